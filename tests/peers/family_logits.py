#!/usr/bin/env python3
"""Logits of small random models of every family: transformers against the reference model.

    pip install torch 'transformers>=5' safetensors
    cmake --build build --target print_logits && python3 tests/peers/family_logits.py build/bin/print_logits

Each model is saved by transformers in its own layout and loaded from there; both then take the same tokens in the same
pieces. Rotations are read in both spellings. Fails above an absolute difference of 2e-4.

    python3 tests/peers/family_logits.py --fixtures tests/data/family_logits.json

writes what tests/reference_model/families.cpp reads: for models of a formula's weights, the config.json and the tensors
that transformers saves, tokens, and some of the logits.
"""
import inspect
import json
import os
import subprocess
import sys
import tempfile

import numpy
import torch
from safetensors.torch import load_file, save_file
from transformers import (DynamicCache, GPT2Config, GPT2LMHeadModel, LlamaConfig, LlamaForCausalLM, MistralConfig,
                          MistralForCausalLM, MptConfig, MptForCausalLM, Qwen2Config, Qwen2ForCausalLM, Qwen3Config, Qwen3ForCausalLM)
from transformers.utils import logging

logging.set_verbosity_error()
logging.disable_progress_bar()
torch.set_num_threads(1)
LIMIT = 2e-4
TOKENS = 70

LLAMA = dict(hidden_size=64, intermediate_size=96, num_hidden_layers=3, num_attention_heads=4, num_key_value_heads=2,
             vocab_size=131, max_position_embeddings=256, bos_token_id=1, eos_token_id=2)
GPT2 = dict(n_embd=60, n_layer=3, n_head=4, vocab_size=131, n_positions=80, bos_token_id=130, eos_token_id=130)
MPT = dict(d_model=60, n_heads=4, n_layers=3, vocab_size=131, max_seq_len=80, bos_token_id=0, eos_token_id=0)
USUAL = {"gpt2": GPT2, "mpt": MPT}  # of the others LLAMA
CLASSES = {  # the fields that differ from LLAMA or GPT2 in every model of the family
    "llama": (LlamaConfig, LlamaForCausalLM, {}),
    "mistral": (MistralConfig, MistralForCausalLM, dict(sliding_window=None)),
    "qwen2": (Qwen2Config, Qwen2ForCausalLM, dict(use_sliding_window=False)),
    "qwen3": (Qwen3Config, Qwen3ForCausalLM, dict(head_dim=24)),
    "gpt2": (GPT2Config, GPT2LMHeadModel, {}),
    "mpt": (MptConfig, MptForCausalLM, {}),
}


def rope(kind, theta=10000.0, **more):
    return dict(rope_parameters={"rope_type": kind, "rope_theta": theta, **more})


LINEAR = rope("linear", factor=2.5)
DYNAMIC = dict(max_position_embeddings=32, **rope("dynamic", factor=2.0))
LLAMA3 = rope("llama3", theta=500000.0, factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0,
              original_max_position_embeddings=32)
YARN = rope("yarn", theta=1000.0, factor=4.0, original_max_position_embeddings=64)
YARN_BETAS = rope("yarn", factor=4.0, original_max_position_embeddings=64, beta_fast=8.0, beta_slow=0.5)
YARN_STATED = rope("yarn", factor=4.0, original_max_position_embeddings=64, attention_factor=0.8)
YARN_MSCALE = rope("yarn", factor=4.0, original_max_position_embeddings=64, mscale=1.5, mscale_all_dim=0.5)

# family, what is special, the fields that say so
MODELS = [
    ("llama", "Llama 2", rope("default")),
    ("llama", "rms_norm_eps", dict(rms_norm_eps=1e-5)),
    ("llama", "SmolLM2", dict(tie_word_embeddings=True, num_attention_heads=9, num_key_value_heads=3, hidden_size=72,
                              **rope("default", theta=100000.0))),
    ("llama", "one KV head, odd sizes", dict(num_key_value_heads=1, hidden_size=60, head_dim=10, intermediate_size=77)),
    ("llama", "as many KV heads", dict(num_key_value_heads=4)),
    ("llama", "attention_bias", dict(attention_bias=True)),
    ("llama", "attention_bias, mlp_bias", dict(attention_bias=True, mlp_bias=True)),
    ("llama", "linear", LINEAR),
    ("llama", "dynamic, beyond its length", DYNAMIC),
    ("llama", "yarn", YARN),
    ("llama", "yarn, beta_fast, beta_slow", YARN_BETAS),
    ("llama", "yarn, attention_factor", YARN_STATED),
    ("llama", "yarn, mscale, mscale_all_dim", YARN_MSCALE),
    ("llama", "Llama 3: llama3", LLAMA3),
    ("llama", "Llama 3, F16", dict(stored=torch.float16, **LLAMA3)),
    ("llama", "Llama 3, BF16, shards", dict(stored=torch.bfloat16, shards="40KB", **LLAMA3)),
    ("llama", "F32, shards", dict(shards="80KB")),
    ("mistral", "sliding_window null", {}),
    ("mistral", "sliding_window as long as the text", dict(sliding_window=256)),
    ("mistral", "head_dim apart, BF16", dict(head_dim=20, stored=torch.bfloat16, **rope("default", theta=1e6))),
    ("mistral", "yarn", YARN),
    ("qwen2", "Qwen2", {}),
    ("qwen2", "Qwen2.5, tied, BF16", dict(tie_word_embeddings=True, stored=torch.bfloat16,
                                          **rope("default", theta=1e6))),
    ("qwen2", "yarn", YARN),
    ("qwen2", "dynamic", DYNAMIC),
    ("qwen2", "F16, shards", dict(stored=torch.float16, shards="40KB")),
    ("qwen3", "Qwen3", rope("default", theta=1e6)),
    ("qwen3", "tied, one KV head", dict(tie_word_embeddings=True, num_key_value_heads=1)),
    ("qwen3", "attention_bias", dict(attention_bias=True)),
    ("qwen3", "yarn", YARN),
    ("qwen3", "BF16, shards", dict(stored=torch.bfloat16, shards="40KB")),
    ("gpt2", "GPT-2", {}),
    ("gpt2", "DistilGPT2: fewer layers", dict(n_layer=2)),
    ("gpt2", "n_inner, untied", dict(n_inner=77, tie_word_embeddings=False)),
    ("gpt2", "names without a front", dict(front=False)),
    ("gpt2", "F16", dict(stored=torch.float16)),
    ("gpt2", "BF16, shards", dict(stored=torch.bfloat16, shards="40KB")),
    ("mpt", "MPT", {}),
    ("mpt", "6 heads, untied", dict(n_heads=6, tie_word_embeddings=False)),
    ("mpt", "BF16, shards, 5 heads", dict(n_heads=5, stored=torch.bfloat16, shards="40KB")),
]


def build(family, changes):
    """A model of transformers with the family's usual sizes, changed."""
    config_class, model_class, more = CLASSES[family]
    fields = {**USUAL.get(family, LLAMA), **more, **changes, "initializer_range": 0.15}
    return model_class(config_class(**fields)).eval()


def randomise(model):
    """transformers begins with biases of 0 and gains of 1: a model that forgot them would pass."""
    with torch.no_grad():
        for name, tensor in model.named_parameters():
            if tensor.dim() == 1:
                tensor.copy_(torch.randn_like(tensor) * 0.3 + (1.0 if name.endswith("weight") else 0.0))


def old_spelling(path):
    """rope_scaling and rope_theta in place of rope_parameters, as files before transformers 5 have them."""
    fields = json.load(open(path))
    stated = fields.pop("rope_parameters", None)
    if stated is None:
        return False
    fields["rope_theta"] = stated.pop("rope_theta")
    kind = stated.pop("rope_type")
    fields["rope_scaling"] = None if kind == "default" else {"type": kind, **stated}
    json.dump(fields, open(path, "w"))
    return True


def in_pieces(model, tokens, piece):
    named = inspect.signature(model.forward).parameters  # transformers renames it
    cache = {"cache" if "cache" in named else "past_key_values": DynamicCache(config=model.config)}
    parts = []
    with torch.no_grad():
        for at in range(0, tokens.shape[1], piece):
            parts.append(model(tokens[:, at:at + piece], **cache).logits[0])
    return torch.cat(parts).double().numpy()


def compare(program, seed, family, changes):
    """The largest difference of a logit over pieces of several lengths and both spellings, and the largest logit."""
    changes = dict(changes)
    stored = changes.pop("stored", torch.float32)
    shards = changes.pop("shards", "1GB")
    front = changes.pop("front", True)
    torch.manual_seed(seed)
    made = build(family, changes)
    randomise(made)
    tokens = torch.randint(0, made.config.vocab_size, (1, TOKENS))
    worst, largest = 0.0, 0.0
    with tempfile.TemporaryDirectory() as folder:
        made.to(stored).save_pretrained(folder, max_shard_size=shards)
        weights = os.path.join(folder, "model.safetensors")
        if (shards == "1GB") != os.path.exists(weights):
            sys.exit(f"{family}: saved in one file, or in shards, against what was asked for")
        model = type(made).from_pretrained(folder, dtype=torch.float32).eval()  # computed in single, whatever is stored
        if not front:
            save_file({name.removeprefix("transformer."): t for name, t in load_file(weights).items()}, weights)
        expected = {piece: in_pieces(model, tokens, piece) for piece in (1, 16, TOKENS)}
        for spelling in range(2):
            if spelling == 1 and not old_spelling(os.path.join(folder, "config.json")):
                break
            for piece, theirs in expected.items():
                words = [program, folder, str(piece)] + [str(t) for t in tokens[0].tolist()]
                raw = subprocess.run(words, check=True, stdout=subprocess.PIPE, timeout=60).stdout
                ours = numpy.frombuffer(raw, dtype=numpy.float32).reshape(theirs.shape).astype(numpy.float64)
                worst = max(worst, float(numpy.abs(ours - theirs).max()))
                largest = max(largest, float(numpy.abs(theirs).max()))
    return worst, largest


# ---- fixtures: weights of a formula, so that none are stored ----

SMALL_LLAMA = dict(hidden_size=24, intermediate_size=20, num_hidden_layers=2, num_attention_heads=4,
                   num_key_value_heads=2, vocab_size=40, max_position_embeddings=64)
SMALL_GPT2 = dict(n_embd=24, n_layer=2, n_head=4, vocab_size=40, n_positions=32, bos_token_id=39, eos_token_id=39)
SMALL_MPT = dict(d_model=24, n_heads=3, n_layers=2, vocab_size=40, max_seq_len=32, bos_token_id=0, eos_token_id=0)
SMALL_LLAMA3 = rope("llama3", theta=1000.0, factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0,
                    original_max_position_embeddings=16)
SMALL_YARN = rope("yarn", theta=1000.0, factor=4.0, original_max_position_embeddings=16)
FIXTURES = [
    ("llama", "llama3", SMALL_LLAMA3),
    ("llama", "biases, linear", dict(attention_bias=True, mlp_bias=True, **rope("linear", factor=2.5))),
    ("llama", "tied, dynamic", dict(tie_word_embeddings=True, max_position_embeddings=12,
                                    **rope("dynamic", factor=2.0))),
    ("mistral", "head_dim apart", dict(head_dim=8)),
    ("qwen2", "yarn", SMALL_YARN),
    ("qwen3", "head_dim apart", dict(head_dim=10)),
    ("gpt2", "tied", {}),
    ("mpt", "three heads", {}),
]
FIXTURE_TOKENS = 20


def formula(name, shape):
    """From a seed that the name gives: matrices within 0.25 of 0, biases within 0.5, gains within 0.5 of 1."""
    s = 2166136261
    for byte in name.encode():
        s = ((s ^ byte) * 16777619) & 0xffffffff
    reach, middle = (0.25, 0.0) if len(shape) > 1 else (0.5, 1.0 if name.endswith("weight") else 0.0)
    numbers = numpy.empty(int(numpy.prod(shape)), dtype=numpy.float32)
    for i in range(numbers.size):
        s = (1664525 * s + 1013904223) & 0xffffffff
        numbers[i] = middle + ((s >> 8) / 2**24 - 0.5) * 2 * reach
    return torch.from_numpy(numbers.reshape(shape))


def fixture(family, special, changes):
    usual = {"gpt2": SMALL_GPT2, "mpt": SMALL_MPT}.get(family, SMALL_LLAMA)
    model = build(family, {**usual, **changes})
    tokens = [(7 * t * t + 3 * t + 1) % 40 for t in range(FIXTURE_TOKENS)]
    with tempfile.TemporaryDirectory() as folder:
        model.save_pretrained(folder)
        config = json.load(open(os.path.join(folder, "config.json")))
        weights = os.path.join(folder, "model.safetensors")
        shapes = {name: list(t.shape) for name, t in load_file(weights).items()}
        save_file({name: formula(name, shape) for name, shape in shapes.items()}, weights, metadata={"format": "pt"})
        model = type(model).from_pretrained(folder, dtype=torch.float32).eval()
        logits = in_pieces(model, torch.tensor([tokens]), FIXTURE_TOKENS)
    rows = [0, 1, FIXTURE_TOKENS // 2, FIXTURE_TOKENS - 1]
    return dict(family=family, special=special, config=config, tensors=shapes, tokens=tokens,
                logits={str(t): [round(float(x), 5) for x in logits[t][:16]] for t in rows})


def main():
    if len(sys.argv) == 3 and sys.argv[1] == "--fixtures":
        with open(sys.argv[2], "w") as out:
            out.write("[\n" + ",\n".join(json.dumps(fixture(*f)) for f in FIXTURES) + "\n]\n")
        return
    if len(sys.argv) != 2 or sys.argv[1].startswith("-"):
        sys.exit(__doc__)
    failed = 0
    print("| family | what | largest difference | largest logit | |\n| --- | --- | --- | --- | --- |")
    for seed, (family, special, changes) in enumerate(MODELS):
        worst, largest = compare(sys.argv[1], seed, family, changes)
        good = worst < LIMIT
        failed += not good
        print(f"| {family} | {special} | {worst:.1e} | {largest:.1f} | {'' if good else 'APART'} |", flush=True)
    print(f"{failed} of {len(MODELS)} are apart" if failed else f"all {len(MODELS)} agree within {LIMIT}")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
