#!/usr/bin/env python3
"""Runs a compiler, and keeps what ptxas says of its kernels in OBJECT.ptxas: keep_said.py OBJECT COMMAND...

The rest of what the compiler says goes where it went before."""
import subprocess
import sys

PTXAS = ("ptxas info", "    ")  # its own lines, and the figures below "Function properties"


def main():
    run = subprocess.run(sys.argv[2:], stderr=subprocess.PIPE, text=True)
    lines = run.stderr.splitlines(keepends=True)
    if run.returncode == 0:
        with open(sys.argv[1] + ".ptxas", "w", encoding="utf-8") as kept:
            kept.writelines(line for line in lines if line.startswith(PTXAS))
        lines = [line for line in lines if not line.startswith(PTXAS)]
    sys.stderr.writelines(lines)
    return run.returncode


if __name__ == "__main__":
    sys.exit(main())
