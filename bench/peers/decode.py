#!/usr/bin/env python3
"""Times a decode step written in PyTorch beside ours: same machine, shapes, number of threads, in turn.

    decode.py --bench build/bin/bench_decode [--budgets 512,2048,8192] [--threads 1,2] [--rounds 3] [--peers NAME,..]

One layer of 32 heads of 128 in fp32 that holds `budget` slots; as many layers in turn as no cache of the processor holds.
The peers are written from descriptions of what others do, not from their code:

  easykv       RoCo as EasyKV does it: keys and values are concatenated with the new token, attention is a product of
               matrices, the scores are torch arrays, the victim leaves by a boolean mask over everything: a new cache
               every step
  gather       the same, with torch.gather in place of the mask
  in_place     a heavy-hitter policy as in cold-compress: the victim's slot is overwritten, attention over a mask
  attention    the attention of these alone, without a policy
  key_norm     the largest norm goes, norms computed again from the keys; ours keeps them (selection without attention)
  stored_norm  the same with norms kept
  lsh_8        the code that differs most from the arriving key's goes, 8 bits, a byte a bit; ours has 64 bits, packed (selection)
  lsh_64       the same with 64 bits

Each is timed under glibc's allocator as it comes, and under the best that was found: jemalloc with huge pages when the
library is installed, else glibc told to keep its memory. Ratios are medians over rounds; above 1 ours is faster.
"""
import argparse
import json
import math
import os
import pathlib
import statistics
import subprocess
import sys
import time

HEADS, DIM, NEWEST = 32, 128, 10
OURS = {"easykv": "step/roco", "gather": "step/roco", "in_place": "step/roco", "attention": "attention",
        "key_norm": "policy/key_norm", "stored_norm": "policy/key_norm", "lsh_8": "policy/lsh_64", "lsh_64": "policy/lsh_64"}
EXPECTED = {("easykv", "best"): 8, ("easykv", "stock"): 25, ("in_place", "best"): 3.5, ("key_norm", "best"): 20,
            ("lsh_8", "best"): 15}
JEMALLOC = ["/usr/lib/x86_64-linux-gnu/libjemalloc.so.2", "/usr/lib/aarch64-linux-gnu/libjemalloc.so.2"]


def best_allocator():
    for library in JEMALLOC:
        if pathlib.Path(library).exists():
            return {"LD_PRELOAD": library, "MALLOC_CONF": "thp:always,retain:true,dirty_decay_ms:-1,muzzy_decay_ms:-1"}
    return {"MALLOC_MMAP_THRESHOLD_": str(1 << 40), "MALLOC_TRIM_THRESHOLD_": str(1 << 40),
            "GLIBC_TUNABLES": "glibc.malloc.hugetlb=1"}


class Layer:
    """K, V [heads, slots, dim] and scores [heads, slots] of a generation that has run for a while."""

    def __init__(self, torch, budget):
        self.keys = torch.randn(HEADS, budget, DIM)
        self.values = torch.randn(HEADS, budget, DIM)
        self.visits = torch.arange(budget, 0, -1, dtype=torch.float32).repeat(HEADS, 1)
        mean = torch.randn(HEADS, budget).exp() / budget
        self.sums = mean * self.visits
        self.squares = mean * mean * self.visits * (1 + torch.rand(HEADS, budget))
        self.norms = self.keys.norm(dim=-1)
        self.mask = torch.ones(HEADS, 1, budget, dtype=torch.bool)


def attention(torch, query, keys, values):
    weights = torch.softmax(query @ keys.transpose(1, 2) / math.sqrt(DIM), dim=-1)
    return weights @ values, weights[:, 0]


def roco_by_compaction(torch, budget, by_mask):
    excluded = budget * 3 // 10 - 9

    def step(layer, query, key, value):
        keys = torch.cat([layer.keys, key], dim=1)
        values = torch.cat([layer.values, value], dim=1)
        zero = torch.zeros(HEADS, 1)
        sums, squares, visits = (torch.cat([old, zero], dim=1) for old in (layer.sums, layer.squares, layer.visits))
        out, weights = attention(torch, query, keys, values)
        sums += weights
        squares += weights * weights
        visits += 1
        mean = sums / visits
        deviation = torch.sqrt((squares / visits - mean * mean).clamp_(min=0))
        deviation[:, -NEWEST:] = 1e9
        feasible = torch.topk(deviation, budget + 1 - NEWEST - excluded, dim=1, largest=False).indices
        victim = feasible.gather(1, mean.gather(1, feasible).argmin(dim=1, keepdim=True))
        stays = torch.ones(HEADS, budget + 1, dtype=torch.bool).scatter_(1, victim, False)
        if by_mask:
            layer.keys, layer.values = keys[stays].view(HEADS, budget, DIM), values[stays].view(HEADS, budget, DIM)
            layer.sums, layer.squares, layer.visits = (x[stays].view(HEADS, budget) for x in (sums, squares, visits))
        else:
            kept = stays.nonzero()[:, 1].view(HEADS, budget)
            wide = kept.unsqueeze(-1).expand(-1, -1, DIM)
            layer.keys, layer.values = keys.gather(1, wide), values.gather(1, wide)
            layer.sums, layer.squares, layer.visits = (x.gather(1, kept) for x in (sums, squares, visits))
        return out

    return step


def in_place(torch, _budget):
    def step(layer, query, key, value):
        mean = layer.sums / layer.visits
        mean[layer.visits <= NEWEST] = 1.0
        victim = mean.argmin(dim=1, keepdim=True)
        wide = victim.unsqueeze(-1).expand(-1, -1, DIM)
        layer.keys.scatter_(1, wide, key)
        layer.values.scatter_(1, wide, value)
        layer.sums.scatter_(1, victim, 0.0)
        layer.visits.scatter_(1, victim, 0.0)
        scores = query @ layer.keys.transpose(1, 2) / math.sqrt(DIM)
        weights = torch.softmax(scores.masked_fill(~layer.mask, -math.inf), dim=-1)
        out = weights @ layer.values
        layer.sums += weights[:, 0]
        layer.visits += 1
        return out

    return step


def by_norm(torch, _budget, stored):
    def step(layer, _query, key, value):
        norms = layer.norms.clone() if stored else layer.keys.norm(dim=-1)
        norms[layer.visits <= NEWEST] = -math.inf
        victim = norms.argmax(dim=1, keepdim=True)
        wide = victim.unsqueeze(-1).expand(-1, -1, DIM)
        layer.keys.scatter_(1, wide, key)
        layer.values.scatter_(1, wide, value)
        if stored:
            layer.norms.scatter_(1, victim, key.norm(dim=-1))
        return victim

    return step


def by_signature(torch, bits):
    projection = torch.randn(DIM, bits)

    def step(layer, _query, key, value):
        if not hasattr(layer, "codes"):
            layer.codes = layer.keys @ projection >= 0
        code = key @ projection >= 0
        differing = (layer.codes != code).sum(dim=-1)
        differing[layer.visits <= NEWEST] = -1
        victim = differing.argmax(dim=1, keepdim=True)
        wide = victim.unsqueeze(-1)
        layer.keys.scatter_(1, wide.expand(-1, -1, DIM), key)
        layer.values.scatter_(1, wide.expand(-1, -1, DIM), value)
        layer.codes.scatter_(1, wide.expand(-1, -1, bits), code)
        return victim

    return step


def worker(peer, budget, threads, seconds, clock):
    """Prints the median milliseconds of a layer's step."""
    import torch
    torch.set_num_threads(threads)
    torch.manual_seed(20240607)
    step = {
        "easykv": lambda: roco_by_compaction(torch, budget, True),
        "gather": lambda: roco_by_compaction(torch, budget, False),
        "in_place": lambda: in_place(torch, budget),
        "attention": lambda: lambda layer, q, k, v: attention(torch, q, layer.keys, layer.values),
        "key_norm": lambda: by_norm(torch, budget, False),
        "stored_norm": lambda: by_norm(torch, budget, True),
        "lsh_8": lambda: by_signature(torch, 8),
        "lsh_64": lambda: by_signature(torch, 64),
    }[peer]()
    layers = [Layer(torch, budget) for _ in range(max(1, -(-(192 << 20) // (HEADS * budget * DIM * 8))))]
    times = []
    began = time.perf_counter()
    with torch.inference_mode():
        while len(times) < 5 * len(layers) or time.perf_counter() - began < seconds:
            for layer in layers:
                token = [torch.randn(HEADS, 1, DIM) for _ in range(3)]
                start = clock()
                step(layer, *token)
                times.append((clock() - start) * 1e3)
    print(statistics.median(times[len(layers):]))


def ours(bench, case, budget, threads, clock):
    name = f"^{case}/fp32/head_dim:{DIM}/budget:{budget}/group:1/threads:{threads}/"
    run = subprocess.run([bench, f"--benchmark_filter={name}", "--benchmark_format=json"], capture_output=True, text=True,
                         check=True)
    row = json.loads(run.stdout)["benchmarks"][0]
    return row["cpu_time" if clock is time.process_time else "real_time"] / row["layers"]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bench", help="our program, build/bin/bench_decode")
    parser.add_argument("--budgets", default="2048")
    parser.add_argument("--threads", default="1")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=2.0, help="of each peer in each round")
    parser.add_argument("--processor-time", action="store_true",
                        help="time of the processor instead of the clock's: one thread on a busy machine")
    parser.add_argument("--peers", default="easykv,gather,in_place,attention,key_norm,stored_norm,lsh_8,lsh_64")
    parser.add_argument("--worker", nargs=3, metavar=("PEER", "BUDGET", "THREADS"), help=argparse.SUPPRESS)
    ask = parser.parse_args()
    clock = time.process_time if ask.processor_time else time.perf_counter
    if ask.worker:
        worker(ask.worker[0], int(ask.worker[1]), int(ask.worker[2]), ask.seconds, clock)
        return
    peers = ask.peers.split(",")
    unknown = [p for p in peers if p not in OURS]
    if unknown or not ask.bench:
        parser.error(f"peer '{unknown[0]}' is unknown; there are {', '.join(OURS)}" if unknown else
                     "--bench is missing; give the path of bench_decode")
    best = best_allocator()
    print(f"best allocator: {' '.join(f'{k}={v}' for k, v in best.items())}\n")
    print(f"{'peer':12}{'allocator':>10}{'budget':>8}{'threads':>8}{'peer ms':>10}{'ours ms':>10}{'ratio':>8}{'expected':>10}")
    for budget in map(int, ask.budgets.split(",")):
        for threads in map(int, ask.threads.split(",")):
            for peer in peers:
                pairs = {"stock": [], "best": []}
                for _ in range(ask.rounds):
                    mine = ours(ask.bench, OURS[peer], budget, threads, clock)
                    for allocator, extra in (("stock", {}), ("best", best)):
                        again = ["--processor-time"] if ask.processor_time else []
                        run = subprocess.run([sys.executable, __file__, "--seconds", str(ask.seconds), *again, "--worker",
                                              peer, str(budget), str(threads)], env={**os.environ, **extra},
                                             capture_output=True, text=True, check=True)
                        pairs[allocator].append((float(run.stdout), mine))
                for allocator, rows in pairs.items():
                    ratio = statistics.median(a / b for a, b in rows)
                    print(f"{peer:12}{allocator:>10}{budget:>8}{threads:>8}{statistics.median(a for a, _ in rows):10.3f}"
                          f"{statistics.median(b for _, b in rows):10.3f}{ratio:8.1f}"
                          f"{EXPECTED.get((peer, allocator), '-'):>10}", flush=True)


if __name__ == "__main__":
    main()
