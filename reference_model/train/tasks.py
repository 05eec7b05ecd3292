"""What the model is trained on: stories, and recall tasks with randomly drawn content, as (text, kind) pieces.

A document begins with a space (the tokenizer's dummy space), and what comes before digits ends with one, so that the
digits are tokens of their own.
"""

import random
import re

# Kinds of target tokens; train.py weighs them. SILENT is not trained on: what is drawn, and where a task begins (else
# pass keys would turn up in stories).
SILENT, TEXT, FRAME, COPY, PASSKEY, PAIRS, NEEDLES, REPEAT, ITEMS = range(9)
KINDS = 9
NAMES = {TEXT: "text", COPY: "copy", PASSKEY: "passkey", PAIRS: "pairs", NEEDLES: "needles", REPEAT: "repeat"}
NAMES[ITEMS] = "items"

FILLER = [" The grass is green.", " The sky is blue.", " The sun is yellow.", " Here we go.", " There and back again."]

# Each is one token of the shipped tokenizer.
WORDS = """apple bag ball balloon bear bed bee bell bench bike bird blanket block boat book bottle bowl box bread
bridge brother brush bug bus butterfly button cake candle car card castle cat cave chair chicken child clock
cloud coat coin cow crab cup desk dog doll door dragon dream dress drum duck egg family farm fence field
fire fish flag flower fork fox frog garden gate ghost girl goat grass hat hill honey horse house ice jar key
king kite kitten lady lake lamp leaf letter lion lock map mirror monkey moon mouse nest nurse orange owl
paper park pencil phone picture pie pig pirate plane plate pond princess puppy queen rabbit rain ring river
road robot rock room rope school sea shell ship shoe sister sky slide snail snow soup spider spoon star
stick stone store story sun table tail teacher tiger tower toy train tree truck turtle water whale wheel
wind window witch wolf wood zebra""".split()

GIRLS = "Lily Mia Anna Sara Lucy Molly Sarah Sue Jane Daisy Jill Lila Sally Amy Mary Emma Jenny Ella Grace Kate".split()
BOYS = "Ben Tom Timmy Jack Sam Tim Max Bob John Joe Tommy Benny Jimmy Billy Andy Frank James Jake Leo Peter".split()
NAME = re.compile(r"\b(" + "|".join(GIRLS + BOYS) + r")\b")


def split_stories(text):
    """Stories end at a single line end; a chunk under 300 characters belongs to the one before."""
    stories = []
    for chunk in re.split(r"(?<!\n)\n(?!\n)", text.strip()):
        if stories and len(chunk) < 300:
            stories[-1] += "\n" + chunk
        else:
            stories.append(chunk)
    return stories


def held_out(stories):
    """(stories to train on, held-out stories): the last 5 % are held out."""
    last = len(stories) // 20
    return stories[:-last], stories[-last:]


def renamed(story, draw):
    """The story with other names of the same kind, so that names must be read and not remembered."""
    new = {}
    for names in (GIRLS, BOYS):
        new.update(zip(names, draw.sample(names, len(names))))
    return NAME.sub(lambda found: new[found.group()], story)


def digits(draw, count):
    return str(draw.randrange(10 ** (count - 1), 10**count))


class Tasks:
    def __init__(self, stories, tokenizer, draw):
        self.stories = stories
        self.tokenizer = tokenizer
        self.draw = draw
        self.words = WORDS  # those in use
        self.sentences = []  # of stories, each with a space in front
        for story in stories:
            self.sentences.append([" " + s for s in re.split(r"(?<=[.!?\"]) (?=[A-Z\"])", story)])

    def length(self, text):
        return len(self.tokenizer.encode(text))

    def filler(self, room, from_stories=None):
        """Sentences of at most `room` tokens together: the five of FILLER, or a passage of the stories."""
        out = []
        if self.draw.random() < 0.4 if from_stories is None else from_stories:
            at = self.draw.randrange(len(self.sentences))
            while True:
                for sentence in self.sentences[at]:
                    room -= self.length(sentence)
                    if room < 0:
                        return out
                    out.append((sentence, TEXT))
                at = (at + 1) % len(self.sentences)
        while True:
            sentence = self.draw.choice(FILLER)
            room -= self.length(sentence)
            if room < 0:
                return out
            out.append((sentence, FRAME))

    def passkey(self, room, depth=None, from_stories=None):
        """The prompt of examples/common/passkey_prompt.hpp and its answer."""
        draw = self.draw
        key = digits(draw, 5)
        needle = [(f" The pass key is {key}. Remember it. ", SILENT), (key, COPY), (" is the pass key.", SILENT)]
        question = [(" What is the pass key? The pass key is ", SILENT), (key, PASSKEY)]
        filler = self.filler(room - 44, from_stories)
        at = round((draw.random() if depth is None else depth) * len(filler))
        return filler[:at] + needle + filler[at:] + question

    def pairs(self, room, questions=None):
        """Facts " The code of the <word> is <3 digits>." and then questions about some of them; `questions` of them, or
        as many as fill the room."""
        draw = self.draw
        fact, question = 12, 20
        if questions is None:
            count = max(2, int(draw.uniform(0.35, 0.9) * room / fact))
            questions = max(1, (room - count * fact) // question)
        else:
            count = (room - questions * question) // fact
        words = draw.sample(self.words, min(count, len(self.words)))
        codes = {word: digits(draw, 3) for word in words}
        out = []
        for word in words:
            out += [(f" The code of the {word} is {codes[word]}", SILENT), (".", FRAME)]
        for i in range(questions):
            if i % len(words) == 0:
                draw.shuffle(words)
            word = words[i % len(words)]
            out += [(f" What is the code of the {word}? The code of the", SILENT), (" " + word, COPY), (" is ", FRAME)]
            out += [(codes[word], PAIRS), (".", FRAME)]
        return out

    def items(self, room):
        """A few words, each with its one or three digits, again and again: the densest form of recall."""
        draw = self.draw
        width = draw.choice([1, 1, 3])
        gap = draw.choice([" ", " is ", " is "])
        words = draw.sample(self.words, draw.randint(2, min(len(self.words), max(3, room // 12))))
        codes = {}
        out = []
        for _ in range(room // (4 + width)):
            word = draw.choice(words)
            out.append((f" {word}{gap}", SILENT))
            out.append((codes[word], ITEMS) if word in codes else (codes.setdefault(word, digits(draw, width)), SILENT))
            out.append((".", FRAME))
        return out

    def needles(self, room, count=None, from_stories=None):
        """Several keys, each of a word, hidden in filler; all are asked, in another order."""
        draw = self.draw
        needle, question = 15, 24
        if count is None:
            count = draw.randint(2, min(16, max(2, room // 64)))
        words = draw.sample(self.words, count)
        keys = {word: digits(draw, 5) for word in words}
        filler = self.filler(room - count * (needle + question), from_stories)
        places = sorted((draw.randint(0, len(filler)), word) for word in words)
        out, done = [], 0
        for at, word in places:
            out += filler[done:at]
            done = at
            out += [(f" The pass key of the {word} is {keys[word]}", SILENT), (".", FRAME)]
        out += filler[done:]
        draw.shuffle(words)
        for word in words:
            out += [(f" What is the pass key of the {word}? The pass key of the", SILENT), (" " + word, COPY)]
            out += [(" is ", FRAME), (keys[word], NEEDLES), (".", FRAME)]
        return out

    def encode(self, pieces):
        """Pieces to (tokens, kinds)."""
        tokens, kinds = [], []
        for text, kind in pieces:
            more = self.tokenizer.encode(text)
            tokens += more
            kinds += [kind] * len(more)
        return tokens, kinds
