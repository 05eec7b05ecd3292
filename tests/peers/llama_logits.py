#!/usr/bin/env python3
"""Logits of small random Llamas: transformers against the reference model.

    pip install torch 'transformers>=4.56'
    cmake --build build --target print_logits && python3 tests/peers/llama_logits.py build/bin/print_logits

Each model is saved by transformers in its own layout and loaded from there. Fails above an absolute difference of 2e-4.
"""
import subprocess
import sys
import tempfile

import numpy
import torch
from transformers import LlamaConfig, LlamaForCausalLM
from transformers.utils import logging

logging.set_verbosity_error()
logging.disable_progress_bar()
LIMIT = 2e-4
MODELS = [  # what differs from the first
    dict(),
    dict(tie_word_embeddings=True),
    dict(num_key_value_heads=4),
    dict(num_key_value_heads=1, hidden_size=60, head_dim=10, intermediate_size=77),
    dict(rope_theta=500000.0, rms_norm_eps=1e-6),
    dict(dtype=torch.bfloat16),
    dict(dtype=torch.float16),
    dict(max_shard_size="40KB"),
]


def compare(program, seed, changes):
    """The largest difference of a logit, over pieces of several lengths."""
    changes = dict(changes)
    stored = changes.pop("dtype", torch.float32)
    shards = changes.pop("max_shard_size", "1GB")
    fields = dict(hidden_size=64, intermediate_size=96, num_hidden_layers=3, num_attention_heads=4,
                  num_key_value_heads=2, vocab_size=131, max_position_embeddings=256, bos_token_id=1, eos_token_id=2)
    theta = changes.pop("rope_theta", 10000.0)
    config = LlamaConfig(**{**fields, **changes, "rope_theta": theta, "initializer_range": 0.15})
    if getattr(config, "rope_parameters", None) is not None:  # transformers 5 keeps the base there
        config.rope_parameters = {"rope_type": "default", "rope_theta": theta}
    torch.manual_seed(seed)
    tokens = torch.randint(0, config.vocab_size, (1, 70))
    with tempfile.TemporaryDirectory() as folder:
        LlamaForCausalLM(config).to(stored).save_pretrained(folder, max_shard_size=shards)
        model = LlamaForCausalLM.from_pretrained(folder, dtype=torch.float32)  # computed in single, whatever is stored
        with torch.no_grad():
            expected = model(tokens).logits[0].double().numpy()
        worst = 0.0
        for piece in (1, 16, 70):
            words = [program, folder, str(piece)] + [str(t) for t in tokens[0].tolist()]
            raw = subprocess.run(words, check=True, stdout=subprocess.PIPE).stdout
            mine = numpy.frombuffer(raw, dtype=numpy.float32).reshape(expected.shape).astype(numpy.float64)
            worst = max(worst, float(numpy.abs(mine - expected).max()))
    return worst, float(numpy.abs(expected).max())


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    failed = 0
    for seed, changes in enumerate(MODELS):
        worst, largest = compare(sys.argv[1], seed, changes)
        verdict = "ok" if worst < LIMIT else "APART"
        failed += worst >= LIMIT
        print(f"{verdict:5}  largest difference {worst:.2e}  largest logit {largest:.2f}  {changes}")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
