#!/usr/bin/env python3
"""Turns the networks of the original KV-Align, PyTorch checkpoints, into the safetensors files that --align FOLDER reads.

    kv_align.py --keys keys_network.pth --values values_network.pth --out FOLDER [--trained-positions 251]
    perplexity --model distilgpt2 --text TEXT --mode sw,kv,ar --align FOLDER --budget 32,64,128,255

Needs torch; nothing but tensors is read of the files. Of the original's table of 256 positions the last five were never trained.
"""
import argparse
import json
import os
import sys

import torch

TENSORS = ("emb_pos.weight", "emb_blocks.weight", "emb_heads.weight", "fc1.weight", "fc1.bias", "fc2.weight", "fc2.bias", "fc3.weight", "fc3.bias")


def convert(path, out, trained):
    held = torch.load(path, map_location="cpu", weights_only=True)
    held = held.get("model_state_dict", held)
    missing = [name for name in TENSORS if name not in held]
    if missing:
        raise ValueError(f"has no tensor {missing[0]}, but {', '.join(map(str, held))}; is it a network of KV-Align?")
    header, data = {"__metadata__": {"trained_positions": str(trained), "trained_start_size": "4"}}, b""
    for name in TENSORS:
        array = held[name].float().contiguous().numpy().astype("<f4")
        header[name] = {"dtype": "F32", "shape": list(array.shape), "data_offsets": [len(data), len(data) + array.nbytes]}
        data += array.tobytes()
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(out, "wb") as file:
        file.write(len(text).to_bytes(8, "little") + text + data)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--keys", required=True, help="checkpoint of the network for keys")
    parser.add_argument("--values", required=True, help="checkpoint of the network for values")
    parser.add_argument("--out", required=True, help="folder to write to")
    parser.add_argument("--trained-positions", type=int, default=251, help="rows of the positions' table that were trained")
    ask = parser.parse_args()
    os.makedirs(ask.out, exist_ok=True)
    for path, name in ((ask.keys, "keys"), (ask.values, "values")):
        try:
            convert(path, os.path.join(ask.out, f"{name}_network.safetensors"), ask.trained_positions)
        except (OSError, ValueError, RuntimeError) as wrong:
            sys.exit(f"kv_align.py: {path}: {wrong}")


if __name__ == "__main__":
    main()
