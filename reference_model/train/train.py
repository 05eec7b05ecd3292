#!/usr/bin/env python3
"""Trains the checkpoint that ships with kvsift, on one CPU thread. The recipe and its figures: ../checkpoint/README.md.

  train.py --text tinystories.txt --out DIR --minutes 90         trains, or goes on from DIR/state.pt
  train.py --text tinystories.txt --out DIR --evaluate           measures the exported model of DIR
  train.py --text tinystories.txt --out DIR --held-out FILE      writes the stories that are never trained on
"""

import argparse
import hashlib
import os
import random
import signal
import sys
import time

import torch
import torch.nn.functional as F

import bpe
import tasks
from batches import Batches
from measure import evaluate, sample
from model import Config, Transformer, export, load
from muon import Muon
from tasks import COPY, FRAME, ITEMS, NEEDLES, PAIRS, PASSKEY, REPEAT, TEXT

LENGTHS = [128, 256, 512, 1024, 2048]
LOSS_WEIGHT = {TEXT: 1.0, FRAME: 0.1, COPY: 1.0, REPEAT: 1.0, ITEMS: 1.0, PASSKEY: 3.0, PAIRS: 3.0, NEEDLES: 3.0}


class Training:
    """Everything that a resumed run needs; `keep` and `resume` list it."""

    def __init__(self, config, task_set, a):
        self.a = a
        self.model = Transformer(config)
        self.run = torch.compile(self.model, dynamic=False)
        matrices = [p for layer in self.model.layers for p in layer.parameters() if p.dim() == 2]
        kept_apart = {id(p) for p in matrices}
        self.others = [p for p in self.model.parameters() if id(p) not in kept_apart]
        self.muon = Muon(matrices, a.learning_rate)
        self.adam = torch.optim.AdamW(self.others, betas=(0.9, 0.98), weight_decay=0.0)
        self.tasks, self.draw = task_set, task_set.draw
        self.batches = Batches(task_set, a.noise)
        self.step = self.tokens = self.level = 0
        self.words = 16  # in use: matching is learned on few, then widened
        self.seconds = 0.0
        self.recent = {}  # (length, kind) -> running share of right answer tokens
        self.weights = torch.tensor([LOSS_WEIGHT.get(kind, 0.0) for kind in range(tasks.KINDS)])

    def keep(self, path):
        plain = {name: getattr(self, name) for name in ("step", "tokens", "level", "words", "seconds", "recent")}
        parts = {name: getattr(self, name).state_dict() for name in ("model", "muon", "adam")}
        chances = {"draw": self.draw.getstate(), "torch": torch.get_rng_state()}
        torch.save({"plain": plain, "parts": parts, **chances}, path + ".new")
        os.replace(path + ".new", path)

    def resume(self, path):
        state = torch.load(path, weights_only=False)
        for name, value in state["plain"].items():
            setattr(self, name, value)
        for name, value in state["parts"].items():
            getattr(self, name).load_state_dict(value)
        self.draw.setstate(state["draw"])
        torch.set_rng_state(state["torch"])

    def set_rates(self):
        """Warm-up over 50 steps, then constant, down to nothing over the last 35 % of the time."""
        left = 1 - self.seconds / (60 * self.a.minutes)
        rate = self.a.learning_rate * min(1, (self.step + 1) / 50) * min(1, left / 0.35 + 0.02)
        for optimizer, factor in ((self.muon, 1), (self.adam, 0.2)):
            for group in optimizer.param_groups:
                group["lr"] = factor * rate

    def one_step(self):
        """Trains on rows of one length. Returns {kind: (sum of losses, tokens)}."""
        self.set_rates()
        self.tasks.words = tasks.WORDS[: self.words]
        any_length = self.draw.choice([0, self.draw.randint(0, self.level)])
        length = LENGTHS[self.level if self.draw.random() < 0.4 else any_length]
        rows = max(2, self.a.tokens // length)
        inputs, targets, kinds = self.batches.next(length, rows)
        wanted = kinds.nonzero()[:, 0]  # of the others no logits are computed
        targets, kinds = targets[wanted], kinds[wanted]
        logits = self.model.logits(self.run(inputs).flatten(0, 1)[wanted])
        losses = F.cross_entropy(logits, targets, reduction="none")
        weights = self.weights[kinds]
        self.model.zero_grad(set_to_none=True)
        ((losses * weights).sum() / weights.sum()).backward()
        torch.nn.utils.clip_grad_norm_(self.others, 1.0)
        self.muon.step()
        self.adam.step()
        self.step += 1
        self.tokens += rows * length

        report = {}
        right = (logits.detach().argmax(-1) == targets).float()
        for kind in LOSS_WEIGHT:
            mask = kinds == kind
            if mask.any():
                report[kind] = (losses.detach()[mask].sum().item(), int(mask.sum()))
                key = (length, kind)
                self.recent[key] = 0.95 * self.recent.get(key, 0) + 0.05 * right[mask].mean().item()
        self.move_up()
        return report

    def move_up(self):
        """More words once the items of 128 tokens are known, more tokens once the pass keys are found."""
        if self.words < len(tasks.WORDS) and self.recent.get((128, ITEMS), 0) > 0.93:
            self.words = min(2 * self.words, len(tasks.WORDS))
            self.recent[128, ITEMS] = 0.6
            print(f"step {self.step}: {self.words} words", flush=True)
        ready = self.recent.get((128, ITEMS), 0) > 0.7 and self.recent.get((LENGTHS[self.level], PASSKEY), 0) > 0.96
        if ready and self.level + 1 < len(LENGTHS):
            self.level += 1
            print(f"step {self.step}: up to {LENGTHS[self.level]} tokens", flush=True)

    def line(self, sums):
        top = LENGTHS[self.level]
        parts = [f"{self.seconds / 60:5.1f} min, step {self.step}, {self.tokens / 1e6:.2f} M tokens, {top} long"]
        for kind, name in tasks.NAMES.items():
            if kind in sums:
                loss, count = sums[kind]
                parts.append(f"{name} {loss / count:.2f} {100 * self.recent.get((top, kind), 0):.0f} %")
        return ", ".join(parts)


def train(config, task_set, a):
    state_file = os.path.join(a.out, "state.pt")
    t = Training(config, task_set, a)
    if os.path.exists(state_file):
        t.resume(state_file)
        print("goes on from step", t.step, flush=True)
    stop = []
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.append(True))
    begin = time.time() - t.seconds
    shown = saved = time.time()
    sums = {}
    while t.seconds < 60 * a.minutes and not stop:
        for kind, (loss, count) in t.one_step().items():
            before = sums.get(kind, (0, 0))
            sums[kind] = (before[0] + loss, before[1] + count)
        now = time.time()
        t.seconds = now - begin
        if now - shown > 20:
            print(t.line(sums), flush=True)
            shown, sums = now, {}
        if now - saved > 180:
            t.keep(state_file)
            export(t.model, a.out)
            saved = now
    t.keep(state_file)
    export(t.model, a.out)
    print(f"{t.step} steps, {t.tokens} tokens, {t.seconds / 60:.1f} minutes", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--text", nargs="+", required=True, help="files of stories, one after another")
    parser.add_argument("--out", required=True, help="folder of the state and of the exported model")
    parser.add_argument("--minutes", type=float, default=90, help="of training in all, those before a resume included")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--vocab", type=int, default=1536)
    parser.add_argument("--tokens", type=int, default=4096, help="of one step")
    parser.add_argument("--learning-rate", type=float, default=0.004, help="of the matrices; the rest: a fifth of it")
    parser.add_argument("--noise", type=float, default=0.1, help="share of story tokens that are read as others")
    parser.add_argument("--evaluate", action="store_true", help="measure the exported model")
    parser.add_argument("--prompts", type=int, default=200, help="of each task and length, with --evaluate")
    parser.add_argument("--lengths", type=int, nargs="+", default=[1000, 2000], help="of the prompts, with --evaluate")
    parser.add_argument("--held-out", metavar="FILE", help="write the stories kept from training, and stop")
    a = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(a.seed)
    os.makedirs(a.out, exist_ok=True)

    text = ""
    for name in a.text:
        with open(name, encoding="utf-8") as file:
            text += file.read()
        with open(name, "rb") as file:
            print(name, "SHA-256", hashlib.sha256(file.read()).hexdigest())
    seen, held_out = tasks.held_out(tasks.split_stories(text))
    if a.held_out:
        with open(a.held_out, "w", encoding="utf-8") as file:
            file.write("\n".join(held_out) + "\n")
        return
    tokenizer_file = os.path.join(a.out, "tokenizer.bin")
    if not os.path.exists(tokenizer_file):
        if a.evaluate:
            sys.exit(f"--out is '{a.out}'; it holds no exported model to measure, train one first")
        whole = tasks.WORDS + ["pass", "key", "code", "Remember", "What"]
        bpe.train("\n".join(seen), a.vocab, whole, 120).write(tokenizer_file)
    tokenizer = bpe.Tokenizer.read(tokenizer_file)
    print(len(seen), "stories of", len(tokenizer.encode("\n".join(seen))), "tokens,", len(held_out), "held out", flush=True)
    if a.evaluate:
        model = load(a.out)
        evaluate(model, tasks.Tasks(held_out, tokenizer, random.Random(a.seed + 1)), held_out, a.prompts, a.lengths)
        for seed in range(3):
            print("---\n" + sample(model, tokenizer, "Once upon a time", 250, 0.7, seed))
    else:
        train(Config(vocab=len(tokenizer.pieces)), tasks.Tasks(seen, tokenizer, random.Random(a.seed)), a)


if __name__ == "__main__":
    main()
