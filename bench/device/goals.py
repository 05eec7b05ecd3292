#!/usr/bin/env python3
"""Holds rows of bench_device against the goals G1 to G15, and beside them those of bench/peers/device.py.

    bench_device --benchmark_format=json > ours.json
    bench/peers/device.py > peers.jsonl                         # on the same GPU
    goals.py ours.json [--peers peers.jsonl]

A goal of which no row was measured is listed as such. Exit status 1 where a goal's "must" does not hold. Ratios are of rows of one
file, of one process.
    goals.py --filters      the rows that each goal needs, as --benchmark_filter
"""
import argparse
import collections
import json
import math
import re
import sys

LARGE = 256e6  # bytes of a pass
PREFILL_FLOPS = 790e12  # a second; where no peer measured the attention of the prompt

# goal: (what it says, must, should, better, rows that it needs)
GOALS = {
    "G1 must": ("attention: time / (12 us + bytes / (0.85 x copy))", 1, -math.inf, "less", "^attention/"),
    "G1 should": ("attention: time / (7 us + bytes / (0.92 x copy))", math.inf, 1, "less", "^attention/"),
    "G2": ("attention: share of copy, large", 0.85, 0.90, "more", "^attention/"),
    "G3 sum": ("accumulated_attention step / attention, D128, g <= 4, large", 1.06, 1.03, "less",
               "^(attention|step/accumulated_attention)/bf16/rows/D128/g[14]/"),
    "G3 roco": ("roco step / attention, D128, g <= 4, large", 1.12, 1.06, "less", "^(attention|step/roco)/bf16/rows/D128/g[14]/"),
    "G4 sum": ("accumulated_attention step / attention, D64, g <= 4, large", 1.12, 1.05, "less",
               "^(attention|step/accumulated_attention)/bf16/rows/D64/g[14]/"),
    "G4 roco": ("roco step / attention, D64, g <= 4, large", 1.22, 1.10, "less", "^(attention|step/roco)/bf16/rows/D64/g[14]/"),
    "G5": ("roco step - attention, us, b x B <= 4096", 2.5, 1, "less", "^(attention|step/roco)/bf16/rows/"),
    "G6": ("launches a layer of a roco step beyond attention's", 1, 0, "less", "^(attention|step/roco)/bf16/rows/"),
    "G7": ("roco step and gather / roco step, large", 2.5, 2.8, "more", "^step(_and_gather)?/roco/bf16/rows/"),
    "G8": ("victims by key norm and signature: share of copy, large", 0.70, 0.85, "more", "^(evict/key_norm|append/lsh_64)/"),
    "G9 8k": ("select of 8k, at most 132 rows, k <= 2048, us", 15, 8, "less", "^select/r(8|64)/n8192/"),
    "G9 32k": ("select of 32k, at most 132 rows, k <= 2048, us", 30, 15, "less", "^select/r(8|64)/n32768/"),
    "G10": ("select: share of copy, large", 0.35, 0.60, "more", "^select/r1024/n131072/"),
    "G11": ("snapkv compression / attention of the prompt, >= 32k", 0.02, 0.01, "less", "^compress/"),
    "G12": ("gather, moves, keys turned: share of copy, large", 0.85, 0.90, "more", "^(gather|move|turn)/"),
    "G13": ("streaming_llm step / attention, large", 1.03, 1.01, "less", "^(attention|step/streaming_llm)/bf16/rows/"),
    "G14": ("nodes of a step's graph that are no launch", 0, 0, "less", "^step/"),
    "G15": ("attention with masses: share of copy / 0.06, large", 10, 14, "more", "^step/heavy_hitter/"),
}


def pairs(rows, policy, where=lambda row: True):
    """(step, attention) of the same shape, of bf16 in rows."""
    for name, row in rows.items():
        if name.startswith(f"step/{policy}/bf16/rows/") and where(row):
            beside = rows.get(name.replace(f"step/{policy}", "attention"))
            if beside:
                yield row, beside


def shape(row):
    return {key: int(value) for key, value in re.findall(r"/([A-Za-z]+?)(\d+)(?=/|$)", row["name"])}


def large(row):
    return row.get("bytes", 0) >= LARGE


def values(goal, rows, peers):
    """What was measured of a goal: numbers, of which the worst counts."""
    named = lambda pattern, where=lambda row: True: [r for n, r in rows.items() if re.search(pattern, n) and where(r)]
    ratio = lambda policy, where: [a["us"] / b["us"] for a, b in pairs(rows, policy, where)]
    of_dim = lambda d: lambda row: large(row) and shape(row)["D"] == d and shape(row)["g"] <= 4
    share = lambda found: [r["of_copy"] for r in found]
    if goal in ("G1 must", "G1 should"):
        t0, eta = (12, 0.85) if goal == "G1 must" else (7, 0.92)
        limit = lambda r: t0 + r["bytes"] / (eta * r["copy_GB/s"] * 1e3)
        return [r["us"] / limit(r) for r in named("^attention/")]
    if goal == "G2":
        return share(named("^attention/", large))
    if goal in ("G3 sum", "G4 sum"):
        return ratio("accumulated_attention", of_dim(128 if goal == "G3 sum" else 64))
    if goal in ("G3 roco", "G4 roco"):
        return ratio("roco", of_dim(128 if goal == "G3 roco" else 64))
    if goal == "G5":
        return [a["us"] - b["us"] for a, b in pairs(rows, "roco", lambda r: shape(r)["b"] * shape(r)["B"] <= 4096)]
    if goal == "G6":  # one launch a step is nothing a layer
        beyond = lambda a, b: round((a["launches"] - b["launches"]) * a["units"]) - 1
        return [max(0, math.ceil(beyond(a, b) / a["units"])) for a, b in pairs(rows, "roco")]
    if goal == "G7":
        both = [(r, rows.get(n.replace("step_and_gather", "step"))) for n, r in rows.items() if n.startswith("step_and_gather/")]
        return [a["us"] / b["us"] for a, b in both if b and large(b)]
    if goal == "G8":
        return share(named("^(evict/key_norm|append/lsh_64)/", lambda r: r["bytes"] * r["units"] >= 64e6))
    if goal in ("G9 8k", "G9 32k"):
        length = 8192 if goal == "G9 8k" else 32768
        return [r["us"] for r in named("^select/", lambda r: shape(r)["r"] <= 132 and shape(r)["n"] == length and shape(r)["k"] <= 2048)]
    if goal == "G10":
        return share(named("^select/", large))
    if goal == "G11":
        attention = lambda r: peers.get(("prefill_attention", f"L{shape(r)['L']}"), r["attention_flops"] / PREFILL_FLOPS * 1e6)
        return [r["us"] / attention(r) for r in named("^compress/", lambda r: shape(r)["L"] >= 32768)]
    if goal == "G12":
        return share(named("^(gather|move|turn)/", large))
    if goal == "G13":
        return ratio("streaming_llm", large)
    if goal == "G14":
        return [r["not_launches"] for r in named("^step/")]
    return [r["of_copy"] / 0.06 for r in named("^step/heavy_hitter/", large)]


def judge(goal, found):
    """(worst, verdict) of what was found."""
    _, must, should, better, _ = GOALS[goal]
    if not found:
        return None, "unmeasured"
    worst = max(found) if better == "less" else min(found)
    holds = (lambda bar: worst <= bar) if better == "less" else (lambda bar: worst >= bar)
    return worst, "should" if holds(should) else "must" if holds(must) else "no"


def fit(rows, dim):
    """(t0 in us, eta) of time = t0 + bytes / (eta x copy), through the smallest and the largest row of attention; None without two sizes."""
    found = [r for n, r in rows.items() if re.match(rf"attention/bf16/rows/D{dim}/g4/", n)]
    small, big = (pick(found, key=lambda r: r["bytes"], default=None) for pick in (min, max))
    if not found or big["bytes"] == small["bytes"]:
        return None
    rate = (big["bytes"] - small["bytes"]) / (big["us"] - small["us"])
    return small["us"] - small["bytes"] / rate, rate / (big["copy_GB/s"] * 1e3)


def rows_of(report):
    """{name: row} of Google Benchmark's JSON; errors are left out."""
    scale = {"ns": 1e-3, "us": 1, "ms": 1e3, "s": 1e6}
    rows = {}
    for row in report["benchmarks"]:
        if row.get("error_occurred"):
            continue
        name = re.sub(r"/iterations:1/manual_time$", "", row["name"])
        rows[name] = {**row, "name": name, "us": row["real_time"] * scale[row["time_unit"]]}
    return rows


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("ours", nargs="?", help="what bench_device wrote")
    parser.add_argument("--peers", help="what bench/peers/device.py wrote")
    parser.add_argument("--filters", action="store_true")
    parser.add_argument("--self-test", action="store_true", help=argparse.SUPPRESS)
    ask = parser.parse_args()
    if ask.self_test:
        return self_test()
    if ask.filters:
        for goal, (what, *_, needed) in GOALS.items():
            print(f"{goal:9} {needed:60} {what}")
        return 0
    if not ask.ours:
        parser.error("a file is missing; give what bench_device --benchmark_format=json wrote")
    with open(ask.ours, encoding="utf-8") as file:
        rows = rows_of(json.load(file))
    lines = []
    if ask.peers:
        with open(ask.peers, encoding="utf-8") as file:
            lines = [json.loads(line) for line in file]
    peers = {(line["peer"], line["row"]): line["us"] for line in lines}
    verdicts = collections.Counter()
    print(f"{'goal':9} {'worst':>9} {'must':>6} {'should':>6}  {'holds':10} of")
    for goal, (what, must, should, _, _) in GOALS.items():
        worst, verdict = judge(goal, values(goal, rows, peers))
        verdicts[verdict] += 1
        print(f"{goal:9} {'-' if worst is None else format(worst, '9.3f'):>9} {must:6} {should:6}  {verdict:10} {what}")
    for dim in (128, 64):
        if found := fit(rows, dim):
            print(f"attention of bf16 in rows, D{dim}, g4: t0 {found[0]:.1f} us, eta {found[1]:.3f}")
    joined = [(line, rows[line["row"]]) for line in lines if line["row"] in rows]
    if joined:
        print(f"\n{'peer':22} {'peer us':>10} {'ours us':>10} {'ratio':>7}  row")
        for line, row in joined:
            print(f"{line['peer']:22} {line['us']:10.1f} {row['us']:10.1f} {line['us'] / row['us']:7.2f}  {line['row']}")
    return 1 if verdicts["no"] else 0


def self_test():
    """Verdicts of rows made up for it: one goal at its should, one at its must, one below, one without rows."""
    tail = "bf16/rows/D128/g4/B32768/b64"
    made = lambda name, us, **more: {"name": f"{name}/iterations:1/manual_time", "real_time": us, "time_unit": "us", "bytes": 8.6e9,
                                     "copy_GB/s": 4000, "units": 4, "launches": 1, "not_launches": 0, **more}
    rows = rows_of({"benchmarks": [
        made(f"attention/{tail}", 2000, of_copy=0.88), made(f"step/roco/{tail}", 2100, launches=1.25),
        made(f"step/accumulated_attention/{tail}", 2300),
        made("select/r8/n8192/k256", 10), made(f"step/tova/{tail}", 1, error_occurred=True)]})
    verdict = lambda goal: judge(goal, values(goal, rows, {}))[1]
    expected = {"G1 must": "must", "G1 should": "should", "G2": "must", "G3 roco": "should", "G3 sum": "no",
                "G4 sum": "unmeasured", "G6": "should", "G9 8k": "must",
                "G14": "should", "G15": "unmeasured"}
    wrong = [f"{goal}: {verdict(goal)} instead of {want}" for goal, want in expected.items() if verdict(goal) != want]
    rows[f"step/roco/{tail}"]["launches"] = 3.25
    if verdict("G6") != "no":
        wrong.append("G6 does not see two launches more a layer")
    rows[f"step/roco/{tail}"]["launches"] = 2.25
    if verdict("G6") != "must":
        wrong.append("G6 does not allow one launch more a layer")
    rows.update(rows_of({"benchmarks": [made("attention/bf16/rows/D64/g4/B512/b1", 7 + 1, bytes=3.6e6),
                                        made("attention/bf16/rows/D64/g4/B32768/b64", 7 + 1000, bytes=3.6e9)]}))
    t0, eta = fit(rows, 64)
    if abs(t0 - 7) > 1e-6 or abs(eta - 0.9) > 1e-6 or fit(rows, 128):
        wrong.append(f"t0 {t0} and eta {eta} instead of 7 and 0.9, or a fit through one size")
    for line in wrong:
        print(line)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
