"""What an exported model can do: perplexity on held-out stories, recall by task and length, samples."""

import math

import torch
import torch.nn.functional as F

import bpe
from tasks import NEEDLES, PAIRS, PASSKEY, SILENT


@torch.no_grad()
def evaluate(model, task_set, held_out, prompts, lengths):
    """`task_set` takes its filler from the held-out stories."""
    total, count = story_loss(model, task_set.tokenizer, held_out)
    print(f"held-out stories: {total / count:.3f} nats a token, perplexity {math.exp(total / count):.2f}", flush=True)
    for length in lengths:
        room = length - 2
        makers = {
            "passkey": (lambda i: task_set.passkey(room, (i + 0.5) / prompts, False), PASSKEY),
            "passkey in stories": (lambda i: task_set.passkey(room, (i + 0.5) / prompts, True), PASSKEY),
            "pairs": (lambda i: task_set.pairs(room, 1), PAIRS),
            "needles, 1 of 4": (lambda i: first_question(task_set.needles(room, 4, False)), NEEDLES),
            "needles, 1 of 8": (lambda i: first_question(task_set.needles(room, 8, False)), NEEDLES),
            "needles in stories, 1 of 4": (lambda i: first_question(task_set.needles(room, 4, True)), NEEDLES),
            "needles in stories, all of 4": (lambda i: task_set.needles(room, 4, True), NEEDLES),
        }
        for name, (make, kind) in makers.items():
            rows = []
            for i in range(prompts):
                tokens, kinds = task_set.encode(make(i))
                rows.append(([bpe.BOS] + tokens, [SILENT] + kinds))
            mean = sum(len(tokens) for tokens, _ in rows) / prompts
            share = sum(answered(model, *row, kind) for row in rows) / prompts
            print(f"{name:29s} {mean:5.0f} tokens: {100 * share:5.1f} % of {prompts}", flush=True)


def story_loss(model, tokenizer, stories):
    """(sum of the negative log-likelihoods, tokens) of the stories as one stream, in windows of 1,024 tokens."""
    stream = tokenizer.encode(" " + "\n".join(stories))
    total = 0
    for at in range(0, len(stream), 1024):
        window = torch.tensor([bpe.BOS] + stream[at : at + 1024])
        total += F.cross_entropy(model.logits(model(window[None, :-1]))[0], window[1:], reduction="sum").item()
    return total, len(stream)


def answered(model, tokens, kinds, kind):
    """Whether greedy decoding gives every token of this kind: each is the likeliest after those before."""
    states = model(torch.tensor([tokens[:-1]]))[0]
    at = [i for i in range(len(kinds) - 1) if kinds[i + 1] == kind]
    return model.logits(states[at]).argmax(-1).tolist() == [tokens[i + 1] for i in at]


def first_question(pieces):
    """A document cut behind its first answer."""
    end = next(i for i, (_, kind) in enumerate(pieces) if kind == NEEDLES)
    return pieces[: end + 1]


@torch.no_grad()
def sample(model, tokenizer, prompt, count, temperature, seed):
    generator = torch.Generator().manual_seed(seed)
    tokens = [bpe.BOS] + tokenizer.encode(" " + prompt)
    for _ in range(count):
        logits = model.logits(model(torch.tensor([tokens]))[0, -1]) / temperature
        tokens.append(torch.multinomial(logits.softmax(-1), 1, generator=generator).item())
        if tokens[-1] == bpe.BOS:
            break
    return tokenizer.decode(tokens[1:])[1:]
