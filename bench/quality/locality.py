#!/usr/bin/env python3
"""Where a model's attention goes: the share of the newest tokens, and of the first four, layer by layer. Needs numpy.

    locality.py --generate build/bin/generate --text held_out.txt --layers 4 [--model FILE --tokenizer FILE] [--characters 2000]

Feeds the beginning of the text under a full cache, records queries and keys of each layer, and averages the attention of
the second half of the tokens over tokens and query heads.
"""
import argparse
import json
import os
import struct
import subprocess
import tempfile

import numpy


def tensors(path):
    with open(path, "rb") as file:
        header = json.loads(file.read(struct.unpack("<Q", file.read(8))[0]))
        data = file.read()
    return {name: numpy.frombuffer(data[t["data_offsets"][0]:t["data_offsets"][1]], "<f4").reshape(t["shape"])
            for name, t in header.items() if name != "__metadata__"}


def attention(queries, keys):
    """[heads, tokens, tokens], causal."""
    group = queries.shape[1] // keys.shape[1]
    logits = numpy.einsum("thd,shd->hts", queries, keys.repeat(group, axis=1)) / numpy.sqrt(queries.shape[2])
    logits[:, numpy.triu(numpy.ones(logits.shape[1:], bool), 1)] = -numpy.inf
    weights = numpy.exp(logits - logits.max(axis=2, keepdims=True))
    return weights / weights.sum(axis=2, keepdims=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--generate", required=True)
    parser.add_argument("--text", required=True)
    parser.add_argument("--model", default="")
    parser.add_argument("--layers", type=int, required=True)
    parser.add_argument("--tokenizer", default="")
    parser.add_argument("--characters", type=int, default=2000, help="of the text; its tokens must fit the model's positions")
    parser.add_argument("--newest", default="10,64")
    a = parser.parse_args()
    with open(a.text, encoding="utf-8") as file:
        text = file.read()[:a.characters]
    with tempfile.TemporaryDirectory() as folder:
        prompt, trace = os.path.join(folder, "prompt.txt"), os.path.join(folder, "trace.safetensors")
        with open(prompt, "w", encoding="utf-8") as file:
            file.write(text)
        for layer in range(a.layers):
            asked = [a.generate, "--prompt-file", prompt, "--new-tokens", "1", "--text-only", "--record", trace, "--record-layer", str(layer)]
            asked += ["--model", a.model] if a.model else []
            asked += ["--tokenizer", a.tokenizer] if a.tokenizer else []
            subprocess.run(asked, check=True, stdout=subprocess.DEVNULL)
            t = tensors(trace)
            weights, n = attention(t["queries"], t["keys"]), len(t["queries"])
            shares = [f"first 4: {100 * weights[:, n // 2:, :4].sum(axis=2).mean():.2f} %"]
            for newest in map(int, a.newest.split(",")):
                near = [weights[:, i, max(0, i + 1 - newest):i + 1].sum(axis=1).mean() for i in range(n // 2, n)]
                shares.append(f"newest {newest}: {100 * numpy.mean(near):.1f} %")
            print(f"layer {layer}, {n} tokens:", ", ".join(shares))


if __name__ == "__main__":
    main()
