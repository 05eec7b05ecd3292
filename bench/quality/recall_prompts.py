#!/usr/bin/env python3
"""Prompts of the recall tasks that the shipped checkpoint was trained on, with their answers, for --task FILE.jsonl.

    recall_prompts.py pairs --prompts 40 --facts 60 > pairs.jsonl        key-value pairs, one asked
    recall_prompts.py needles --prompts 40 --facts 4 --filler 100 > needles.jsonl     one of several needles in filler, one asked

The same arguments give the same prompts. Nothing is needed but the word list of reference_model/train/tasks.py.
"""
import argparse
import json
import pathlib
import random
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "reference_model" / "train"))
from tasks import FILLER, WORDS, digits  # noqa: E402


def pairs(draw, ask):
    words = draw.sample(WORDS, ask.facts)
    codes = {word: digits(draw, 3) for word in words}
    asked = draw.choice(words)
    text = " ".join(f"The code of the {word} is {code}." for word, code in codes.items())
    return f"{text} What is the code of the {asked}? The code of the {asked} is ", codes[asked]


def needles(draw, ask):
    words = draw.sample(WORDS, ask.facts)
    keys = {word: digits(draw, 5) for word in words}
    sentences = [draw.choice(FILLER).strip() for _ in range(ask.filler)]
    for word, key in keys.items():
        sentences.insert(draw.randint(0, len(sentences)), f"The pass key of the {word} is {key}.")
    asked = draw.choice(words)
    return f"{' '.join(sentences)} What is the pass key of the {asked}? The pass key of the {asked} is ", keys[asked]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("task", choices=["pairs", "needles"])
    parser.add_argument("--prompts", type=int, default=40)
    parser.add_argument("--facts", type=int, default=4, help="pairs, or needles")
    parser.add_argument("--filler", type=int, default=100, help="needles: sentences of filler")
    parser.add_argument("--seed", type=int, default=1)
    ask = parser.parse_args()
    if not 1 <= ask.facts <= len(WORDS):
        parser.error(f"--facts is {ask.facts}; give 1 to {len(WORDS)}")
    draw = random.Random(ask.seed)
    for _ in range(ask.prompts):
        prompt, answer = (pairs if ask.task == "pairs" else needles)(draw, ask)
        print(json.dumps({"prompt": prompt, "answer": answer}))


if __name__ == "__main__":
    main()
