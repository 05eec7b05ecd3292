#!/usr/bin/env python3
"""Times the compression of a prompt as SnapKV does it, written in PyTorch, beside ours: same machine, shape and threads, in turn.

    prompt.py --bench build/bin/bench_prompt [--budgets 1024,4096] [--threads 1,2] [--rounds 3]

One layer of 32 heads of 128 in fp32, a prompt of 8,192 tokens whose attention is over. Attention of the last 32 queries over all
keys, summed over the queries, pooled over 7 neighbours, the best `budget - 32` and the window gathered. The peer is
written from a description of the method. Allocators as in decode.py; ratios are medians over rounds; above 1 ours is faster.
"""
import argparse
import json
import math
import os
import statistics
import subprocess
import sys
import time

from decode import best_allocator

HEADS, DIM, TOKENS, WINDOW, KERNEL = 32, 128, 8192, 32, 7
EXPECTED = {(1024, "best"): 1.5}


def worker(budget, threads, seconds, clock):
    """Prints the median milliseconds of a compression."""
    import torch
    torch.set_num_threads(threads)
    torch.manual_seed(20240607)
    queries = torch.randn(HEADS, WINDOW, DIM)
    keys, values = torch.randn(HEADS, TOKENS, DIM), torch.randn(HEADS, TOKENS, DIM)
    hidden = torch.ones(WINDOW, WINDOW, dtype=torch.bool).triu(1)

    def compress():
        scores = queries @ keys.transpose(1, 2) / math.sqrt(DIM)
        scores[:, :, -WINDOW:].masked_fill_(hidden, -math.inf)
        mass = torch.softmax(scores, dim=-1)[:, :, :-WINDOW].sum(dim=1)
        pooled = torch.nn.functional.max_pool1d(mass, KERNEL, stride=1, padding=KERNEL // 2)
        best = pooled.topk(budget - WINDOW, dim=-1).indices.unsqueeze(-1).expand(-1, -1, DIM)
        return [torch.cat([x[:, :-WINDOW].gather(1, best), x[:, -WINDOW:]], dim=1) for x in (keys, values)]

    times = []
    began = time.perf_counter()
    with torch.inference_mode():
        while len(times) < 5 or time.perf_counter() - began < seconds:
            start = clock()
            compress()
            times.append((clock() - start) * 1e3)
    print(statistics.median(times[1:]))


def ours(bench, budget, threads, clock):
    name = f"^compress_snapkv/tokens:{TOKENS}/budget:{budget}/threads:{threads}/"
    run = subprocess.run([bench, f"--benchmark_filter={name}", "--benchmark_format=json"], capture_output=True, text=True, check=True)
    row = json.loads(run.stdout)["benchmarks"][0]
    return row["cpu_time" if clock is time.process_time else "real_time"]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bench", help="our program, build/bin/bench_prompt")
    parser.add_argument("--budgets", default="1024,4096")
    parser.add_argument("--threads", default="1")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=2.0, help="of the peer in each round")
    parser.add_argument("--processor-time", action="store_true", help="time of the processor instead of the clock's: one thread on a busy machine")
    parser.add_argument("--worker", nargs=2, metavar=("BUDGET", "THREADS"), help=argparse.SUPPRESS)
    ask = parser.parse_args()
    clock = time.process_time if ask.processor_time else time.perf_counter
    if ask.worker:
        worker(int(ask.worker[0]), int(ask.worker[1]), ask.seconds, clock)
        return
    if not ask.bench:
        parser.error("--bench is missing; give the path of bench_prompt")
    best = best_allocator()
    print(f"best allocator: {' '.join(f'{k}={v}' for k, v in best.items())}\n")
    print(f"{'allocator':>10}{'budget':>8}{'threads':>8}{'peer ms':>10}{'ours ms':>10}{'ratio':>8}{'expected':>10}")
    for budget in map(int, ask.budgets.split(",")):
        for threads in map(int, ask.threads.split(",")):
            pairs = {"stock": [], "best": []}
            for _ in range(ask.rounds):
                mine = ours(ask.bench, budget, threads, clock)
                for allocator, extra in (("stock", {}), ("best", best)):
                    again = ["--processor-time"] if ask.processor_time else []
                    run = subprocess.run([sys.executable, __file__, "--seconds", str(ask.seconds), *again, "--worker", str(budget), str(threads)],
                                         env={**os.environ, **extra}, capture_output=True, text=True, check=True)
                    pairs[allocator].append((float(run.stdout), mine))
            for allocator, rows in pairs.items():
                ratio = statistics.median(a / b for a, b in rows)
                print(f"{allocator:>10}{budget:>8}{threads:>8}{statistics.median(a for a, _ in rows):10.3f}"
                      f"{statistics.median(b for _, b in rows):10.3f}{ratio:8.1f}{EXPECTED.get((budget, allocator), '-'):>10}", flush=True)


if __name__ == "__main__":
    main()
