#!/usr/bin/env python3
"""Trains the shipped checkpoint's sibling with learned positions (GPT-2 family), on one CPU thread: stories alone.

  train_gpt2.py --text tinystories.txt --tokenizer ../checkpoint/tokenizer.bin --out DIR --minutes 30

Each row is 256 tokens of stories behind a BOS, so that every position is trained. Writes config.json and model.safetensors (fp16)
as Hugging Face lays GPT-2 out, every three minutes and at the end. What it is for: ../checkpoint_gpt2/README.md.
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
from model import write_safetensors
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


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--text", required=True, help="a file of stories; the last 5 % are held out as train.py does")
    parser.add_argument("--tokenizer", required=True, help="tokenizer.bin of the sibling")
    parser.add_argument("--out", required=True, help="folder of the exported model")
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--rows", type=int, default=16, help="of 256 tokens, in a step")
    parser.add_argument("--learning-rate", type=float, default=0.004, help="of the matrices; the rest: a fifth of it")
    parser.add_argument("--noise", type=float, default=0.1, help="share of story tokens that are read as others")
    a = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(a.seed)
    os.makedirs(a.out, exist_ok=True)
    with open(a.text, encoding="utf-8") as file:
        seen, held_out = tasks.held_out(tasks.split_stories(file.read()))
    tokenizer = bpe.Tokenizer.read(a.tokenizer)
    if os.path.abspath(a.tokenizer) != os.path.abspath(os.path.join(a.out, "tokenizer.bin")):
        shutil.copy(a.tokenizer, os.path.join(a.out, "tokenizer.bin"))
    vocab, length = len(tokenizer.pieces), FIELDS["n_positions"]
    batches = Batches(tasks.Tasks(seen, tokenizer, random.Random(a.seed)), a.noise)
    batches.row = lambda n: [part[: n + 1] for part in batches.stories(n)]
    test = torch.tensor([t for story in held_out for t in [bpe.BOS] + tokenizer.encode(" " + story)])
    test = test[: len(test) // (length + 1) * (length + 1)].view(-1, length + 1)

    model = GPT2(vocab, FIELDS)
    run = torch.compile(model, dynamic=False)
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
        loss = F.cross_entropy(model.logits(run(inputs)).flatten(0, 1), targets)
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
