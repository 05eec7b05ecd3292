#!/usr/bin/env python3
"""Times what others do, written in PyTorch, at the shapes of bench_device; prints a JSON object a line, with the row that it is the peer of.

    device.py [--peers NAME,..] [--held 2048,32768] [--batch 1,8,64] [--head-dim 128] [--group 4] [--prompt 8192,32768] [--device cpu]

    bench/device/goals.py ours.json --peers peers.jsonl      joins them with ours

The peers are written from descriptions of what others do, not from their code:

  easykv             RoCo as EasyKV does it: keys, values and scores are concatenated with the new token, attention goes through a matrix of
                     probabilities, and the victim leaves by a boolean mask over everything: a new cache every step
  gather             the same, with torch.gather in place of the mask
  in_place           a heavy hitter as in cold-compress: the victim's slot is overwritten, the mean of observations decides
  sdpa               PyTorch's own attention of one query, without a policy
  flashinfer         FlashInfer's decode attention over pages of 16, where it is installed
  snapkv             a prompt as kvpress compresses it: probabilities of the last queries, pooled, top-k, gathered
  flattened_append   heads of different lengths end to end in one array, as AdaKV has them: a token means a new array
  topk               torch.topk of rows, and flashinfer_topk where it is installed
  prefill_attention  causal attention over a whole prompt, by PyTorch: what a compression is compared with

On a GPU: events, as many layers in turn as exceed the L2 five times, the median of --samples; each step is launched as its
originals launch it, without a graph. On a CPU the clock, for seeing that it works. Before it is timed, what attends is compared with attention in double precision; more
than 2 % apart is an error (exit status 1).
"""
import argparse
import json
import math
import statistics
import sys
import time

KV_HEADS, NEWEST, WINDOW, KERNEL = 8, 10, 32, 7
PEERS = "easykv,gather,in_place,sdpa,flashinfer,snapkv,flattened_append,topk,prefill_attention".split(",")


class Machine:
    """Where tensors lie, and how time passes there."""

    def __init__(self, torch, device, dtype, samples):
        self.torch, self.device, self.samples = torch, device, samples
        self.dtype = {"bf16": torch.bfloat16, "fp16": torch.float16, "fp32": torch.float32}[dtype]
        self.l2 = torch.cuda.get_device_properties(0).L2_cache_size if device == "cuda" else 1 << 20

    def random(self, *shape, dtype=None):
        return self.torch.randn(*shape, device=self.device, dtype=dtype or self.dtype)

    def copies(self, bytes_each):
        return max(1, min(256, math.ceil(5 * self.l2 / bytes_each)))

    def times(self, works):
        """Microseconds of one of the works, each of which is called in turn: (lower quartile, median, upper)."""
        taken = []
        for sample in range(self.samples + 1):
            if self.device == "cuda":
                begin, end = (self.torch.cuda.Event(enable_timing=True) for _ in range(2))
                begin.record()
                for work in works:
                    work()
                end.record()
                end.synchronize()
                microseconds = begin.elapsed_time(end) * 1e3
            else:
                start = time.perf_counter()
                for work in works:
                    work()
                microseconds = (time.perf_counter() - start) * 1e6
            if sample:  # the first warms up
                taken.append(microseconds / len(works))
        return statistics.quantiles(taken, n=4) if len(taken) > 1 else taken * 3


class Layer:
    """K, V [b, Hkv, n, D] and scores [b, Hkv, n] of a generation that has run for a while."""

    def __init__(self, at, batch, held, dim, group):
        torch = at.torch
        self.batch, self.held, self.dim, self.group = batch, held, dim, group
        self.keys, self.values = at.random(batch, KV_HEADS, held, dim), at.random(batch, KV_HEADS, held, dim)
        self.visits = torch.arange(held, 0, -1, device=at.device, dtype=torch.float32).expand(batch, KV_HEADS, held).clone()
        mean = at.random(batch, KV_HEADS, held, dtype=torch.float32).exp() / held
        self.sums = mean * self.visits
        self.squares = mean * mean * self.visits * (1 + torch.rand_like(mean))

    def token(self, at):
        """Queries [b, Hkv, g, D], a key and a value [b, Hkv, 1, D]."""
        return tuple(at.random(self.batch, KV_HEADS, n, self.dim) for n in (self.group, 1, 1))


def attention(torch, queries, keys, values):
    """Output [b, Hkv, g, D] and each slot's mass, the mean over the group [b, Hkv, n]."""
    weights = torch.softmax((queries @ keys.transpose(2, 3)).float() / math.sqrt(keys.shape[-1]), dim=-1)
    return weights.to(values.dtype) @ values, weights.mean(dim=2)


def roco_by_compaction(torch, layer, queries, key, value, by_mask):
    held, dim = layer.held, layer.dim
    excluded = held * 3 // 10 - 9
    keys, values = torch.cat([layer.keys, key], dim=2), torch.cat([layer.values, value], dim=2)
    zero = torch.zeros_like(layer.sums[:, :, :1])
    sums, squares, visits = (torch.cat([old, zero], dim=2) for old in (layer.sums, layer.squares, layer.visits))
    out, mass = attention(torch, queries, keys, values)
    sums, squares, visits = sums + mass, squares + mass * mass, visits + 1
    mean = sums / visits
    deviation = torch.sqrt((squares / visits - mean * mean).clamp_(min=0))
    deviation[:, :, -NEWEST:] = 1e9
    feasible = torch.topk(deviation, held + 1 - NEWEST - excluded, dim=2, largest=False).indices
    victim = feasible.gather(2, mean.gather(2, feasible).argmin(dim=2, keepdim=True))
    stays = torch.ones_like(sums, dtype=torch.bool).scatter_(2, victim, False)
    if by_mask:
        layer.keys, layer.values = (x[stays].view(*x.shape[:2], held, dim) for x in (keys, values))
        layer.sums, layer.squares, layer.visits = (x[stays].view(*x.shape[:2], held) for x in (sums, squares, visits))
    else:
        place = torch.arange(held, device=keys.device).expand(*keys.shape[:2], held)
        kept = place + (place >= victim)
        wide = kept.unsqueeze(-1).expand(-1, -1, -1, dim)
        layer.keys, layer.values = keys.gather(2, wide), values.gather(2, wide)
        layer.sums, layer.squares, layer.visits = (x.gather(2, kept) for x in (sums, squares, visits))
    return out


def heavy_hitter_in_place(torch, layer, queries, key, value):
    mean = layer.sums / layer.visits.clamp(min=1)
    mean[layer.visits <= NEWEST] = 1.0
    victim = mean.argmin(dim=2, keepdim=True)
    wide = victim.unsqueeze(-1).expand(-1, -1, -1, layer.dim)
    layer.keys.scatter_(2, wide, key)
    layer.values.scatter_(2, wide, value)
    layer.sums.scatter_(2, victim, 0.0)
    layer.visits.scatter_(2, victim, 0.0)
    out, mass = attention(torch, queries, layer.keys, layer.values)
    layer.sums += mass
    layer.visits += 1
    return out


def sdpa(torch, layer, queries):
    return torch.nn.functional.scaled_dot_product_attention(queries, layer.keys, layer.values)  # the group as rows of one KV head


def apart(torch, out, queries, keys, values):
    """How far an output is from attention in double precision over these, relative."""
    want, _ = attention_double(torch, queries, keys, values)
    return ((out.double() - want).norm() / want.norm()).item()


def attention_double(torch, queries, keys, values):
    weights = torch.softmax(queries.double() @ keys.double().transpose(2, 3) / math.sqrt(keys.shape[-1]), dim=-1)
    return weights @ values.double(), weights


def flashinfer_works(at, layers, tokens):
    """Works of FlashInfer's batched decode, and outputs to compare; none where it is not installed."""
    try:
        import flashinfer
    except ImportError:
        return None
    torch, page = at.torch, 16
    works = []
    for layer, (queries, _, _) in zip(layers, tokens):
        pages = layer.held // page
        split = lambda x: x.view(layer.batch, KV_HEADS, pages, page, layer.dim).permute(0, 2, 1, 3, 4).reshape(-1, KV_HEADS, page, layer.dim)
        cache = torch.stack([split(layer.keys), split(layer.values)], dim=1).contiguous()
        workspace = torch.empty(128 << 20, dtype=torch.uint8, device=at.device)
        wrapper = flashinfer.BatchDecodeWithPagedKVCacheWrapper(workspace, "HND", use_tensor_cores=layer.group >= 4)
        whole = lambda n: torch.arange(n, dtype=torch.int32, device=at.device)
        last = torch.full((layer.batch,), page, dtype=torch.int32, device=at.device)
        wrapper.plan(whole(layer.batch + 1) * pages, whole(layer.batch * pages), last,
                     KV_HEADS * layer.group, KV_HEADS, layer.dim, page, q_data_type=at.dtype, kv_data_type=at.dtype)
        rows = queries.reshape(layer.batch, KV_HEADS * layer.group, layer.dim)
        works.append(lambda w=wrapper, q=rows, c=cache, like=queries: w.run(q, c).view_as(like))
    return works


def decode(at, peer, ask, report):
    """The peers of a decode step, one layer."""
    torch = at.torch
    rows = {"easykv": "step/roco", "gather": "step/roco", "in_place": "step/heavy_hitter"}
    for dim in ask.head_dim:
        for group in ask.group:
            for held in ask.held:
                for batch in ask.batch:
                    bytes_each = 2 * batch * KV_HEADS * held * dim * at.dtype.itemsize
                    layers = [Layer(at, batch, held, dim, group) for _ in range(at.copies(bytes_each))]
                    tokens = [layer.token(at) for layer in layers]
                    calls = {"easykv": lambda l, q, k, v: roco_by_compaction(torch, l, q, k, v, True),
                             "gather": lambda l, q, k, v: roco_by_compaction(torch, l, q, k, v, False),
                             "in_place": lambda l, q, k, v: heavy_hitter_in_place(torch, l, q, k, v),
                             "sdpa": lambda l, q, k, v: sdpa(torch, l, q)}
                    if peer == "flashinfer":
                        works = flashinfer_works(at, layers, tokens)
                        if works is None:
                            print("flashinfer is not installed: left out", file=sys.stderr)
                            return
                    else:
                        works = [lambda l=l, t=t: calls[peer](l, *t) for l, t in zip(layers, tokens)]
                    layer, (queries, key, value) = layers[0], tokens[0]
                    keys, values = layer.keys.clone(), layer.values.clone()
                    out = works[0]()
                    if peer in ("easykv", "gather"):
                        keys, values = torch.cat([keys, key], dim=2), torch.cat([values, value], dim=2)
                    elif peer == "in_place":
                        keys, values = layer.keys, layer.values
                    error = apart(torch, out, queries, keys, values)
                    shape = f"{ask.dtype}/rows/D{dim}/g{group}/B{held}/b{batch}"
                    report(peer, f"{rows.get(peer, 'attention')}/{shape}", at.times(works), bytes_each, error)


def snapkv(at, ask, report):
    """A prompt of one sequence: fp32 as our rows have it, the keys of its KV heads, queries of their groups."""
    torch = at.torch
    for dim in ask.head_dim:
        for group in ask.group:
            for tokens in ask.prompt:
                bytes_each = tokens * KV_HEADS * dim * 4
                random = lambda *shape: at.random(*shape, dtype=torch.float32)
                lengths, count = (group * WINDOW, tokens, tokens), min(4, at.copies(bytes_each))
                sets = [tuple(random(KV_HEADS, n, dim) for n in lengths) for _ in range(count)]
                hidden = torch.ones(WINDOW, WINDOW, dtype=torch.bool, device=at.device).triu(1).repeat(group, 1)

                def compress(queries, keys, values, budget):
                    scores = queries @ keys.transpose(1, 2) / math.sqrt(dim)
                    scores[:, :, -WINDOW:].masked_fill_(hidden, -math.inf)
                    mass = torch.softmax(scores, dim=-1)[:, :, :-WINDOW].sum(dim=1) / group
                    pooled = torch.nn.functional.max_pool1d(mass, KERNEL, stride=1, padding=KERNEL // 2)
                    best = pooled.topk(budget - WINDOW, dim=-1).indices.unsqueeze(-1).expand(-1, -1, dim)
                    return [torch.cat([x[:, :-WINDOW].gather(1, best), x[:, -WINDOW:]], dim=1).to(at.dtype) for x in (keys, values)]

                for budget in (1024, 2048):
                    if budget >= tokens:
                        continue
                    times = at.times([lambda s=s: compress(*s, budget) for s in sets])
                    report("snapkv", f"compress/snapkv/{ask.dtype}/rows/D{dim}/g{group}/L{tokens}/C{budget}", times, bytes_each)


def flattened_append(at, ask, report):
    """Heads of half to one and a half times the mean, end to end; a token goes behind each."""
    torch = at.torch
    for dim in ask.head_dim:
        for group in ask.group:
            for held in ask.held:
                for batch in ask.batch:
                    lengths = torch.tensor([held // 2 + held // (KV_HEADS - 1) * h for h in range(KV_HEADS)] * batch, device=at.device)
                    total, heads = int(lengths.sum()), KV_HEADS * batch
                    owner = torch.repeat_interleave(torch.arange(heads, device=at.device), lengths)
                    moved, ends = torch.arange(total, device=at.device) + owner, lengths.cumsum(0) + torch.arange(heads, device=at.device)
                    bytes_each = 2 * total * dim * at.dtype.itemsize
                    sets = [(at.random(total, dim), at.random(total, dim), at.random(heads, dim)) for _ in range(at.copies(bytes_each))]

                    def append(keys, values, token):
                        fresh = []
                        for old in (keys, values):
                            new = torch.empty(total + heads, dim, dtype=old.dtype, device=old.device)
                            new[moved] = old
                            new[ends] = token
                            fresh.append(new)
                        return fresh

                    assert torch.equal(append(*sets[0])[0][ends], sets[0][2])
                    times = at.times([lambda s=s: append(*s) for s in sets])
                    report("flattened_append", f"append/ragged/{ask.dtype}/rows/D{dim}/g{group}/B{held}/b{batch}", times, 2 * bytes_each)


def topk(at, ask, report):
    torch = at.torch
    ways = {"topk": lambda x, k: torch.topk(x, k, largest=False, sorted=False)}
    try:
        import flashinfer
        if hasattr(flashinfer, "top_k"):
            ways["flashinfer_topk"] = flashinfer.top_k
    except ImportError:
        pass
    for rows in ask.rows:
        for length in ask.prompt:
            for count in (256, 2048):
                if count >= length:
                    continue
                sets = [at.random(rows, length, dtype=torch.float32) for _ in range(at.copies(4 * rows * length))]
                for name, way in ways.items():
                    report(name, f"select/r{rows}/n{length}/k{count}", at.times([lambda x=x: way(x, count) for x in sets]), 4 * rows * length)


def prefill_attention(at, ask, report):
    torch = at.torch
    for tokens in ask.prompt:
        make = lambda heads: at.random(1, heads, tokens, ask.head_dim[0])
        queries, keys, values = make(KV_HEADS * ask.group[0]), make(KV_HEADS), make(KV_HEADS)
        work = lambda: torch.nn.functional.scaled_dot_product_attention(queries, keys, values, is_causal=True, enable_gqa=True)
        report("prefill_attention", f"L{tokens}", at.times([work]), 0)


def main():
    numbers = lambda text: [int(n) for n in text.split(",")]
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument("--dtype", choices=("bf16", "fp16", "fp32"), default="bf16")
    parser.add_argument("--peers", default=",".join(PEERS))
    for name, default in (("held", "2048,32768"), ("batch", "1,8,64"), ("head-dim", "128"), ("group", "4"),
                          ("prompt", "8192,32768"), ("rows", "8,64,1024")):
        parser.add_argument(f"--{name}", type=numbers, default=numbers(default))
    parser.add_argument("--samples", type=int, default=9)
    ask = parser.parse_args()
    peers = ask.peers.split(",")
    unknown = [p for p in peers if p not in PEERS]
    if unknown:
        parser.error(f"peer '{unknown[0]}' is unknown; there are {', '.join(PEERS)}")
    import torch
    if ask.device == "cuda" and not torch.cuda.is_available():
        print("device.py: no GPU here that this PyTorch can use; --device cpu runs the same on the CPU", file=sys.stderr)
        return 77
    torch.manual_seed(20240607)
    at = Machine(torch, ask.device, ask.dtype, ask.samples)
    on = torch.cuda.get_device_name(0) if ask.device == "cuda" else "cpu"
    wrong = []

    def report(peer, row, times, bytes_each, error=None):
        lower, median, upper = times
        line = {"peer": peer, "row": row, "us": median, "lower_us": lower, "upper_us": upper, "bytes": bytes_each,
                "device": on, "torch": torch.__version__}
        if error is not None:
            line["apart"] = error
            if not error <= 0.02:
                wrong.append(row)
        print(json.dumps(line), flush=True)

    others = {"snapkv": snapkv, "flattened_append": flattened_append, "topk": topk, "prefill_attention": prefill_attention}
    with torch.inference_mode():
        for peer in peers:
            if peer in others:
                others[peer](at, ask, report)
            else:
                decode(at, peer, ask, report)
    for row in wrong:
        print(f"device.py: {row}: more than 2 % from attention in double precision", file=sys.stderr)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
