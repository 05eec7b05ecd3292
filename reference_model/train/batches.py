"""Rows of training: stories and recall tasks mixed, each row exactly length + 1 tokens, each document behind a BOS."""

import torch

import bpe
import tasks
from tasks import REPEAT, SILENT, TEXT

# Shares of the rows: at 128 tokens, where matching is learned, and above, where it is stretched.
SHORT = {"stories": 0.12, "repeated": 0.10, "items": 0.35}
LONG = {"stories": 0.45, "repeated": 0.02, "items": 0.08}
TASKS = {"passkey": 0.2, "pairs": 0.25, "needles": 0.55}  # of the rest


class Batches:
    def __init__(self, task_set, noise):
        self.tasks, self.tokenizer, self.draw, self.noise = task_set, task_set.tokenizer, task_set.draw, noise

    def next(self, length, rows):
        """(inputs [rows, length], targets and their kinds [rows x length])."""
        made = [self.row(length) for _ in range(rows)]
        tokens, kinds = torch.tensor([m[0] for m in made]), torch.tensor([m[1] for m in made])
        inputs = tokens[:, :-1].contiguous()
        # A story is not learned by heart if some of it reads wrong. What is asked for always reads right.
        noisy = (kinds[:, :-1] == TEXT) & (torch.rand(inputs.shape) < self.noise)
        inputs[noisy] = torch.randint(bpe.FIRST_BYTE + 256, len(self.tokenizer.pieces), (int(noisy.sum()),))
        return inputs, tokens[:, 1:].reshape(-1), kinds[:, 1:].reshape(-1)

    def row(self, length):
        share = SHORT if length == 128 else LONG
        makers = [self.stories, self.repeated, self.items, self.recall]
        weights = [*share.values(), 1 - sum(share.values())]
        tokens, kinds = self.draw.choices(makers, weights)[0](length)
        missing = max(0, length + 1 - len(tokens))
        return (tokens + [bpe.BOS] * missing)[: length + 1], (kinds + [SILENT] * missing)[: length + 1]

    def stories(self, length):
        """Stories one by one, or in one stream as the file has them; the first may be entered in its middle."""
        draw, stories = self.draw, self.tasks.stories
        stream = draw.random() < 0.3
        at = draw.randrange(len(stories))
        tokens, kinds = [bpe.BOS], [SILENT]
        while len(tokens) <= length:
            first = len(tokens) == 1
            story = tasks.renamed(stories[at % len(stories)], draw)
            more = self.tokenizer.encode((" " if first or not stream else "\n") + story)
            if first and draw.random() < 0.3:
                more = more[draw.randrange(len(more) // 2) :]
            if not first and not stream:
                tokens.append(bpe.BOS)
                kinds.append(TEXT)
            tokens += more
            kinds += [TEXT] * len(more)
            at = at + 1 if stream else draw.randrange(len(stories))
        return tokens, kinds

    def repeated(self, length):
        """Random words three times over: nothing but copying helps."""
        span = self.draw.randint(4, min(length // 3, 64, len(self.tasks.words)))
        tokens, kinds = [bpe.BOS], [SILENT]
        while len(tokens) <= length:
            part = self.tokenizer.encode("".join(" " + word for word in self.draw.sample(self.tasks.words, span)))
            tokens += part * 3
            kinds += [SILENT] * (span + 1) + [REPEAT] * (2 * span - 1)
        return tokens, kinds

    def items(self, length):
        tokens, kinds = self.tasks.encode(self.tasks.items(length))
        return [bpe.BOS] + tokens, [SILENT] + kinds

    def recall(self, length):
        """Documents of one task until the row is full; most fill what is left of it."""
        draw = self.draw
        task = getattr(self.tasks, draw.choices(list(TASKS), list(TASKS.values()))[0])
        tokens, kinds = [], []
        while not tokens or length - len(tokens) >= 70:
            left = length - len(tokens)
            room = left if draw.random() < 0.6 else draw.randint(min(left, 80), left)
            more, their = self.tasks.encode(task(room - 2))
            tokens += [bpe.BOS] + more
            kinds += [SILENT] + their
        return tokens, kinds
