#!/usr/bin/env python3
"""Trains the shipped checkpoint's sibling with learned positions (GPT-2 family), on one CPU thread: stories, and words said again.

  train_gpt2.py --text tinystories.txt --tokenizer ../checkpoint/tokenizer.bin --out FIRST --minutes 22 --noise 0 --repeat 0.25 --waves 0.12
      (stopped after 12)
  train_gpt2.py --text tinystories.txt --tokenizer ../checkpoint/tokenizer.bin --out DIR --minutes 20 --noise 0.05 --repeat 0.6 --learning-rate 0.003
      --start FIRST

Each row is 256 tokens of stories, or of random words three times over, behind a BOS, so that every position is trained. Writes
config.json and model.safetensors (fp16) as Hugging Face lays GPT-2 out, every three minutes and at the end. What it is for:
../checkpoint_gpt2/README.md.
"""

import argparse
import json
import os
import random
import shutil
import time

import torch
import torch.nn.functional as F
from torch import nn

import bpe
import tasks
from batches import Batches
from model import read_safetensors, write_safetensors
from muon import Muon

FIELDS = {"n_embd": 128, "n_layer": 4, "n_head": 4, "n_inner": 512, "n_positions": 256}


class Block(nn.Module):
    def __init__(self, dim, heads, hidden):
        super().__init__()
        self.heads = heads
        self.ln_1, self.ln_2 = nn.LayerNorm(dim), nn.LayerNorm(dim)
        self.query, self.key, self.value, self.proj = (nn.Linear(dim, dim) for _ in range(4))
        self.fc, self.down = nn.Linear(dim, hidden), nn.Linear(hidden, dim)
        nn.init.zeros_(self.proj.weight)
        nn.init.zeros_(self.down.weight)

    def forward(self, x):  # [B, T, dim]
        batch, length, dim = x.shape
        normed = self.ln_1(x)
        q, k, v = (f(normed).view(batch, length, self.heads, -1).transpose(1, 2) for f in (self.query, self.key, self.value))
        attended = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.proj(attended.transpose(1, 2).reshape(batch, length, dim))
        return x + self.down(F.gelu(self.fc(self.ln_2(x)), approximate="tanh"))


class GPT2(nn.Module):
    def __init__(self, vocab, fields):
        super().__init__()
        dim = fields["n_embd"]
        self.wte, self.wpe = nn.Embedding(vocab, dim), nn.Embedding(fields["n_positions"], dim)
        self.h = nn.ModuleList(Block(dim, fields["n_head"], fields["n_inner"]) for _ in range(fields["n_layer"]))
        self.ln_f = nn.LayerNorm(dim)
        nn.init.normal_(self.wte.weight, std=0.05)
        nn.init.normal_(self.wpe.weight, std=0.02)

    def forward(self, tokens):  # [B, T] to states [B, T, dim]
        x = self.wte(tokens) + self.wpe.weight[: tokens.shape[1]]
        for block in self.h:
            x = block(x)
        return self.ln_f(x)

    def logits(self, states):
        return F.linear(states, self.wte.weight)


def export(model, vocab, fields, folder):
    config = {"architectures": ["GPT2LMHeadModel"], "model_type": "gpt2", "vocab_size": vocab, **fields, "layer_norm_epsilon": 1e-5,
              "activation_function": "gelu_new", "tie_word_embeddings": True, "bos_token_id": 1, "eos_token_id": 2, "torch_dtype": "float16"}
    with open(os.path.join(folder, "config.json"), "w") as file:
        json.dump(config, file, indent=2)
        file.write("\n")
    tensors = {"wte.weight": model.wte.weight, "wpe.weight": model.wpe.weight}
    for i, block in enumerate(model.h):
        parts = (block.query, block.key, block.value)
        matrices = {  # GPT-2 stores a matrix as [in, out]
            "ln_1": (block.ln_1.weight, block.ln_1.bias),
            "attn.c_attn": (torch.cat([p.weight for p in parts]).T, torch.cat([p.bias for p in parts])),
            "attn.c_proj": (block.proj.weight.T, block.proj.bias),
            "ln_2": (block.ln_2.weight, block.ln_2.bias),
            "mlp.c_fc": (block.fc.weight.T, block.fc.bias),
            "mlp.c_proj": (block.down.weight.T, block.down.bias),
        }
        for name, (weight, bias) in matrices.items():
            tensors[f"h.{i}.{name}.weight"], tensors[f"h.{i}.{name}.bias"] = weight, bias
    tensors["ln_f.weight"], tensors["ln_f.bias"] = model.ln_f.weight, model.ln_f.bias
    arrays = {f"transformer.{name}": tensor.detach().half().contiguous().numpy() for name, tensor in tensors.items()}
    write_safetensors(arrays, os.path.join(folder, "model.safetensors"))


def load(model, folder):
    """What export wrote."""
    stored = {name.removeprefix("transformer."): t for name, t in read_safetensors(os.path.join(folder, "model.safetensors")).items()}
    named = {"wte.weight": model.wte.weight, "wpe.weight": model.wpe.weight, "ln_f.weight": model.ln_f.weight, "ln_f.bias": model.ln_f.bias}
    for i, block in enumerate(model.h):
        for name, layer in (("ln_1", block.ln_1), ("attn.c_proj", block.proj), ("ln_2", block.ln_2), ("mlp.c_fc", block.fc), ("mlp.c_proj", block.down)):
            named[f"h.{i}.{name}.weight"], named[f"h.{i}.{name}.bias"] = layer.weight, layer.bias
    with torch.no_grad():
        for name, to in named.items():
            to.copy_(stored[name].T if name.startswith("h.") and stored[name].dim() == 2 else stored[name])
        for i, block in enumerate(model.h):
            matrices = stored[f"h.{i}.attn.c_attn.weight"].T.chunk(3)
            biases = stored[f"h.{i}.attn.c_attn.bias"].chunk(3)
            for layer, matrix, bias in zip((block.query, block.key, block.value), matrices, biases):
                layer.weight.copy_(matrix)
                layer.bias.copy_(bias)


def add_waves(positions, deviation, count=16):
    """Adds to the positions [T, dim] sines and cosines of `count` lengths from 3 to T, turned by a random rotation, with that standard
    deviation: a model that starts so leans on positions, and one that starts from noise hardly learns to."""
    length, dim = positions.shape
    at = torch.arange(length)[:, None].float()
    turn = 2 * torch.pi / torch.tensor([3.0 * (length / 3.0) ** (i / (count - 1)) for i in range(count)])
    waves = torch.cat([(at * turn).cos(), (at * turn).sin()], 1)
    into, _ = torch.linalg.qr(torch.randn(dim, 2 * count))
    waves = waves @ into.T
    with torch.no_grad():
        positions.add_(waves * (deviation / waves.std()))


def write_texts(seen, words, folder):
    """mixed.txt: the stories, behind each two runs of 6 to 40 random words, each three times over, as the networks of ../checkpoint_gpt2 are
    trained on. repeated.txt: 150 such runs alone, which only copying predicts; no training draws the same."""
    draw = random.Random(1000003)
    run = lambda: " ".join(draw.sample(words, draw.randint(6, 40)) * 3)
    texts = {"repeated.txt": " ".join(run() for _ in range(150)), "mixed.txt": "\n".join("\n".join((story, run(), run())) for story in seen)}
    os.makedirs(folder, exist_ok=True)
    for name, text in texts.items():
        with open(os.path.join(folder, name), "w", encoding="utf-8") as file:
            file.write(text)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--text", required=True, help="a file of stories; the last 5 % are held out as train.py does")
    parser.add_argument("--tokenizer", required=True, help="tokenizer.bin of the sibling")
    parser.add_argument("--out", help="folder of the exported model")
    parser.add_argument("--write-texts", help="write mixed.txt and repeated.txt into this folder, in place of training; see write_texts")
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--rows", type=int, default=16, help="of 256 tokens, in a step")
    parser.add_argument("--learning-rate", type=float, default=0.004, help="of the matrices; the rest: a fifth of it")
    parser.add_argument("--noise", type=float, default=0.1, help="share of story tokens that are read as others")
    parser.add_argument("--repeat", type=float, default=0.0, help="share of rows that are random words three times over")
    parser.add_argument("--waves", type=float, default=0.0, help="standard deviation of what is added to the positions at the start, see add_waves")
    parser.add_argument("--start", help="folder of a model to go on from")
    a = parser.parse_args()
    if not a.out and not a.write_texts:
        parser.error("--out is not given; give the folder of the model, or --write-texts FOLDER")
    torch.set_num_threads(1)
    torch.manual_seed(a.seed)
    with open(a.text, encoding="utf-8") as file:
        seen, held_out = tasks.held_out(tasks.split_stories(file.read()))
    tokenizer = bpe.Tokenizer.read(a.tokenizer)
    task_set = tasks.Tasks(seen, tokenizer, random.Random(a.seed))
    if a.write_texts:
        return write_texts(seen, task_set.words, a.write_texts)
    os.makedirs(a.out, exist_ok=True)
    if os.path.abspath(a.tokenizer) != os.path.abspath(os.path.join(a.out, "tokenizer.bin")):
        shutil.copy(a.tokenizer, os.path.join(a.out, "tokenizer.bin"))
    vocab, length = len(tokenizer.pieces), FIELDS["n_positions"]
    batches = Batches(task_set, a.noise)
    pick = random.Random(a.seed + 5)
    batches.row = lambda n: [part[: n + 1] for part in (batches.repeated(n) if pick.random() < a.repeat else batches.stories(n))]
    test = torch.tensor([t for story in held_out for t in [bpe.BOS] + tokenizer.encode(" " + story)])
    test = test[: len(test) // (length + 1) * (length + 1)].view(-1, length + 1)

    model = GPT2(vocab, FIELDS)
    if a.start:
        load(model, a.start)
    if a.waves > 0:
        add_waves(model.wpe.weight, a.waves)
    matrices = [p for block in model.h for p in block.parameters() if p.dim() == 2]
    kept_apart = {id(p) for p in matrices}
    others = [p for p in model.parameters() if id(p) not in kept_apart]
    muon, adam = Muon(matrices, a.learning_rate), torch.optim.AdamW(others, betas=(0.9, 0.98), weight_decay=0.0)
    begin = shown = saved = time.time()
    step, total, losses = 0, 60 * a.minutes, []
    while (seconds := time.time() - begin) < total:
        rate = a.learning_rate * min(1, (step + 1) / 50) * min(1, (1 - seconds / total) / 0.35 + 0.02)
        for optimizer, factor in ((muon, 1), (adam, 0.2)):
            for group in optimizer.param_groups:
                group["lr"] = factor * rate
        inputs, targets, _ = batches.next(length, a.rows)
        loss = F.cross_entropy(model.logits(model(inputs)).flatten(0, 1), targets)
        model.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(others, 1.0)
        muon.step()
        adam.step()
        step += 1
        losses.append(loss.item())
        if time.time() - shown > 30:
            with torch.no_grad():
                held = F.cross_entropy(model.logits(model(test[:, :-1])).flatten(0, 1), test[:, 1:].flatten()).item()
            print(f"{seconds / 60:5.1f} min, step {step}, loss {sum(losses) / len(losses):.3f}, held out {held:.3f}", flush=True)
            shown, losses = time.time(), []
        if time.time() - saved > 180:
            export(model, vocab, FIELDS, a.out)
            saved = time.time()
    export(model, vocab, FIELDS, a.out)
    print(f"{step} steps, {step * a.rows * length} tokens", flush=True)


if __name__ == "__main__":
    main()
