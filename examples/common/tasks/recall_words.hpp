#pragma once
// The words that recall tasks name things by: those of reference_model/train/tasks.py, each one token of the shipped
// model.
#include <string>
#include <vector>

namespace programs {

inline std::vector<std::string> const& recall_words() {
  static std::vector<std::string> const all = {
      "apple",   "bag",     "ball",  "balloon", "bear",      "bed",    "bee",   "bell",   "bench",    "bike",
      "bird",    "blanket", "block", "boat",    "book",      "bottle", "bowl",  "box",    "bread",    "bridge",
      "brother", "brush",   "bug",   "bus",     "butterfly", "button", "cake",  "candle", "car",      "card",
      "castle",  "cat",     "cave",  "chair",   "chicken",   "child",  "clock", "cloud",  "coat",     "coin",
      "cow",     "crab",    "cup",   "desk",    "dog",       "doll",   "door",  "dragon", "dream",    "dress",
      "drum",    "duck",    "egg",   "family",  "farm",      "fence",  "field", "fire",   "fish",     "flag",
      "flower",  "fork",    "fox",   "frog",    "garden",    "gate",   "ghost", "girl",   "goat",     "grass",
      "hat",     "hill",    "honey", "horse",   "house",     "ice",    "jar",   "key",    "king",     "kite",
      "kitten",  "lady",    "lake",  "lamp",    "leaf",      "letter", "lion",  "lock",   "map",      "mirror",
      "monkey",  "moon",    "mouse", "nest",    "nurse",     "orange", "owl",   "paper",  "park",     "pencil",
      "phone",   "picture", "pie",   "pig",     "pirate",    "plane",  "plate", "pond",   "princess", "puppy",
      "queen",   "rabbit",  "rain",  "ring",    "river",     "road",   "robot", "rock",   "room",     "rope",
      "school",  "sea",     "shell", "ship",    "shoe",      "sister", "sky",   "slide",  "snail",    "snow",
      "soup",    "spider",  "spoon", "star",    "stick",     "stone",  "store", "story",  "sun",      "table",
      "tail",    "teacher", "tiger", "tower",   "toy",       "train",  "tree",  "truck",  "turtle",   "water",
      "whale",   "wheel",   "wind",  "window",  "witch",     "wolf",   "wood",  "zebra"};
  return all;
}

}  // namespace programs
