#!/usr/bin/env python3
"""Fails when a decode step takes more instructions per slot and head than it should.

    instructions.py DRIVER COMPILER    DRIVER is the program instruction_driver, COMPILER one of limits.json (GNU, Clang)

Runs the driver under callgrind at two sizes. The slope between them is what a slot costs: fixed costs drop out, and the
count does not depend on the machine's load. The policies' figures are what they add to attention alone. The growth
exponent is the slope in a log-log plot: 1 is linear. Exit status 1 if a limit is crossed; 77 if valgrind is absent.
"""
import concurrent.futures
import json
import math
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

SIZES = (2048, 8192)
LINEAR = {"attention": (0.95, 1.02), "accumulated_attention": (0.95, 1.02), "roco": (0.95, 1.02),
          "attention_in_pages": (0.95, 1.02), "roco_in_pages": (0.95, 1.02), "key_norm": (0, 1.02),
          "lsh_64": (0, 1.02), "lsh_16": (0, 1.02),
          "overwrite": (-0.02, 0.02)}


def count(driver, operation, slots):
    """(instructions, heads) of one operation."""
    with tempfile.TemporaryDirectory() as folder:
        run = subprocess.run(["valgrind", "--tool=callgrind", f"--callgrind-out-file={folder}/out",
                              "--toggle-collect=measured", driver, operation, str(slots)], capture_output=True, text=True)
    found = re.search(r"Collected : (\d+)", run.stderr)
    if run.returncode != 0 or not found:
        sys.exit(f"instructions.py: {operation} {slots} failed:\n{run.stderr[-2000:]}")
    return int(found.group(1)), int(run.stdout)


def main():
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    driver, compiler = sys.argv[1:]
    if shutil.which("valgrind") is None:
        print("skipped: valgrind is not installed (Debian package valgrind)")
        return 77
    limits = json.loads((pathlib.Path(__file__).parent / "instructions" / "limits.json").read_text())
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        runs = {(o, n): pool.submit(count, driver, o, n) for o in LINEAR for n in SIZES}
        counted = {key: run.result() for key, run in runs.items()}

    crossed = 0
    slopes = {}
    print(f"{'operation':24}{'per slot and head':>18}{'limit':>8}{'goal':>8}{'exponent':>10}{'within':>16}")
    for operation, (low, high) in LINEAR.items():
        (small, heads), (large, _) = (counted[operation, n] for n in SIZES)
        slopes[operation] = (large - small) / (SIZES[1] - SIZES[0]) / heads
        exponent = math.log(large / small) / math.log(SIZES[1] / SIZES[0])
        beside = {"accumulated_attention": "attention", "roco": "attention", "roco_in_pages": "attention_in_pages"}.get(operation)
        adds = slopes[operation] - (slopes[beside] if beside else 0)
        limit = limits.get(operation, {}).get(compiler, math.inf)
        goal = limits.get(operation, {}).get("goal", math.nan)
        bad = adds > limit or not low <= exponent <= high
        crossed += bad
        print(f"{operation:24}{adds:18.2f}{limit:8g}{goal:8g}{exponent:10.3f}{f'{low} .. {high}':>16}{'  CROSSED' if bad else ''}")
    return 1 if crossed else 0


if __name__ == "__main__":
    sys.exit(main())
