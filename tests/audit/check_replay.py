#!/usr/bin/env python3
"""Conformance of `replay`: recorded cases in, decision lines and attention outputs compared.

    check_replay.py REPLAY [--data FOLDER] [--policies NAME,NAME,...] [--executor NAME] [--timeout SECONDS] [--list]

FOLDER (default ../data/traces) holds cases.json, the traces and expected/, as its README says. --policies keeps the
cases of these policies; a case that has to be refused stays if its policy is among them or is no policy at all. Without
it all cases run. A line has to be the same JSON value; an output may be off by 1e-4 of the largest component of its
vector. Prints the first difference of each failing case, then "N of M cases agree". Exit status: 0 if all agree, 1 if
one does not, 2 for bad arguments. Python's standard library only.
"""
import argparse
import json
import pathlib
import struct
import subprocess
import sys
import tempfile

KNOWN = {
    "full", "streaming_llm", "accumulated_attention", "mean_attention", "tova", "roco", "deviation_scope",
    "recent_global", "heavy_hitter", "key_norm", "keep_it_odd", "lsh", "reservoir", "snapkv", "ada_snapkv", "strided",
}
CLOSE = 1e-4


def shorten(text, most=160):
    return text if len(text) <= most else text[:most] + " ..."


def refusal_problem(result):
    """What is wrong with a run that should have been refused, or None."""
    complaints = result.stderr.decode(errors="replace").strip().splitlines()
    if result.returncode != 2:
        return f"exit status {result.returncode} where 2 is due"
    if result.stdout:
        return "something on standard output, though it refuses"
    if len(complaints) != 1:
        return f"{len(complaints)} lines on standard error where one is due"
    return None


def lines_problem(text, wanted_text):
    """The first line that differs, or None."""
    lines, wanted = text.splitlines(), wanted_text.splitlines()
    for number, (line, want) in enumerate(zip(lines, wanted), start=1):
        try:
            same = json.loads(line) == json.loads(want)
        except ValueError:
            return f"line {number} is no JSON: {shorten(line)}"
        if not same:
            return f"line {number}\n  is       {shorten(line)}\n  expected {shorten(want)}"
    if len(lines) != len(wanted):
        return f"{len(lines)} lines where {len(wanted)} are due"
    return None


def read_attention(path):
    """Shape and numbers of the F32 tensor `attention`; ValueError if the file does not hold it."""
    raw = path.read_bytes()
    if len(raw) < 8:
        raise ValueError("output file is too short")
    start = 8 + struct.unpack_from("<Q", raw)[0]
    entry = json.loads(raw[8:start]).get("attention")
    if not entry or entry["dtype"] != "F32":
        raise ValueError("output file holds no F32 tensor `attention`")
    first, last = (start + offset for offset in entry["data_offsets"])
    count = 1
    for extent in entry["shape"]:
        count *= extent
    if last - first != 4 * count or last > len(raw):
        raise ValueError("`attention` does not fill its shape")
    return entry["shape"], struct.unpack_from(f"<{count}f", raw, first)


def outputs_problem(path, wanted_path, prompt):
    """The first attention vector that is too far off, or None."""
    if not path.exists():
        return "no output file was written"
    try:
        shape, numbers = read_attention(path)
    except (ValueError, KeyError, TypeError, struct.error) as error:
        return str(error)
    wanted_shape, wanted = read_attention(wanted_path)
    if shape != wanted_shape:
        return f"attention has the shape {shape}, not {wanted_shape}"
    heads, dim = shape[1:]
    for vector in range(shape[0] * heads):
        want = wanted[vector * dim:(vector + 1) * dim]
        got = numbers[vector * dim:(vector + 1) * dim]
        allowed = CLOSE * max(map(abs, want))
        for component, (a, b) in enumerate(zip(got, want)):
            if not abs(a - b) <= allowed:  # also true of NaN
                return (f"attention of token {prompt + vector // heads}, query head {vector % heads}, "
                        f"component {component} is {a:.8g}, not {b:.8g}")
    return None


def problem_of(case, replay, data, executor, timeout, scratch):
    policy, written = scratch / "policy.json", scratch / "outputs.safetensors"
    policy.write_text(json.dumps(case["policy"]))
    written.unlink(missing_ok=True)
    wanted = data / "expected" / f"{case['name']}.out.safetensors"
    command = [str(replay), "--trace", str(data / case["trace"]), "--policy", str(policy)]
    command += ["--prompt", str(case["prompt"])]
    if executor:
        command += ["--executor", executor]
    if wanted.exists():
        command += ["--outputs", str(written)]
    try:
        result = subprocess.run(command, capture_output=True, timeout=timeout, check=False)
    except subprocess.TimeoutExpired:
        return f"not done after {timeout:g} s"
    if case.get("status", 0) == 2:
        return refusal_problem(result)
    if result.returncode:
        return f"exit status {result.returncode}: {shorten(result.stderr.decode(errors='replace').strip())}"
    expected = (data / "expected" / f"{case['name']}.jsonl").read_text()
    problem = lines_problem(result.stdout.decode(errors="replace"), expected)
    if problem is None and wanted.exists():
        problem = outputs_problem(written, wanted, case["prompt"])
    return problem


def main():
    parser = argparse.ArgumentParser(description="hold a built replay against the recorded cases")
    parser.add_argument("replay", type=pathlib.Path)
    traces = pathlib.Path(__file__).resolve().parent.parent / "data" / "traces"
    parser.add_argument("--data", type=pathlib.Path, default=traces)
    parser.add_argument("--policies", default="", help="names, separated by commas (all)")
    parser.add_argument("--executor", default="", help="serial, parallel, block:N or cuda")
    parser.add_argument("--timeout", type=float, default=120.0, help="seconds a case (120)")
    parser.add_argument("--list", action="store_true", help="print the names of the cases and run nothing")
    args = parser.parse_args()

    wanted = {name for name in args.policies.split(",") if name}
    if wanted - KNOWN:
        parser.error(f"--policies: {', '.join(sorted(wanted - KNOWN))} is not among {', '.join(sorted(KNOWN))}")
    try:
        cases = json.loads((args.data / "cases.json").read_text())
    except (OSError, ValueError) as error:
        parser.error(f"--data {args.data}: {error}")
    if wanted:
        cases = [c for c in cases if c["policy"]["policy"] in wanted or c["policy"]["policy"] not in KNOWN]
    if args.list:
        print("\n".join(case["name"] for case in cases))
        return 0
    if not args.replay.is_file():
        parser.error(f"{args.replay} is not a file; build the target replay first")

    agreeing = 0
    with tempfile.TemporaryDirectory() as folder:
        for case in cases:
            problem = problem_of(case, args.replay.resolve(), args.data, args.executor, args.timeout,
                                 pathlib.Path(folder))
            if problem is None:
                agreeing += 1
            else:
                print(f"{case['name']}: {problem}")
    print(f"{agreeing} of {len(cases)} cases agree")
    return 0 if cases and agreeing == len(cases) else 1


if __name__ == "__main__":
    sys.exit(main())
