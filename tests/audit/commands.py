#!/usr/bin/env python3
"""Runs every command of docs/coming-from.md as it stands, one after another in one folder.

    commands.py BIN            BIN: the folder of the programs
    commands.py BIN PAGE.md    the commands of another page
    commands.py --self-test    commands are found, and what goes wrong is seen

A command is what stands in backquotes in the last cell of a table's row and begins with the name of a program. It has to
end with status 0, to print something, and to write to every folder or file that it names with --out or --cache: what an
earlier command left there does not count (align_train --search only prints). Every row of such a table has to hold one, unless it says that it is not run
by the test.
"""
import json
import os
import pathlib
import random
import re
import shlex
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
PROGRAMS = ("align_train", "ask", "generate", "lab", "latency", "mask_heads", "needle_heads", "passkey", "perplexity", "shapley")


def commands(page):
    """(line, command) of every row; a row without one has None."""
    in_table = False
    for number, line in enumerate(page.splitlines(), 1):
        if line.startswith("| there | here |"):
            in_table = True
        elif not line.startswith("|"):
            in_table = False
        elif in_table and not line.startswith("| ---"):
            cell = line.strip().strip("|").split("|")[-1]
            spans = [s for s in re.findall(r"`([^`]+)`", cell) if s.split()[0] in PROGRAMS]
            if "not run by the test" not in cell:
                yield number, spans[0] if len(spans) == 1 else None


def write_inputs(folder):
    draw = random.Random(5)
    who, what, where = ["Tom", "Lily", "the dog", "a bird"], ["found", "saw", "took", "hid"], ["the ball", "a red box", "the big tree"]
    story = "".join(f"One day {draw.choice(who)} {draw.choice(what)} {draw.choice(where)}. " for _ in range(80))
    (folder / "story.txt").write_text(story)
    (folder / "prompts.txt").write_text("Once upon a time\nLily saw a bird\n")
    (folder / "words.txt").write_text("\n".join(sorted(set(re.findall(r"[a-z]+", story.lower())))) + "\n")
    rows = {
        "exam.jsonl": {"input": story, "instructions": ["Who has the ball? A. Tom B. Lily"], "outputs": ["A"]},
        "hotpotqa.jsonl": {"context": story, "input": "Who found the ball?", "answers": ["Tom"]},
        "xsum.jsonl": {"document": story, "summary": "Tom found the ball."},
        "medqa_mc.jsonl": {"question": "What is red?", "options": {"A": "the box", "B": "the dog", "C": "the tree", "D": "Tom"},
                           "answer_idx": "A"},
    }
    for name, row in rows.items():
        (folder / name).write_text((json.dumps(row) + "\n") * 4)
    (folder / "experiment.json").write_text(json.dumps(
        {"tasks": ["passkey"], "policies": ["full", "lsh"], "budgets": ["50%"], "samples": 2, "lengths": 120}))
    for name in ("examples", "reference_model"):
        (folder / name).symlink_to(ROOT / name)


def contents(path):
    """(file, time of its last change) of a file, or of all in a folder; empty where there is none."""
    files = path.rglob("*") if path.is_dir() else [path]
    return {(str(f), f.stat().st_mtime_ns) for f in files if f.is_file()}


def run(programs, folder, command):
    """What is wrong with it, or None."""
    words = shlex.split(command)
    named = [folder / words[words.index(option) + 1] for option in ("--out", "--cache") if option in words and "--search" not in words]
    before = [contents(path) for path in named]
    try:
        done = subprocess.run([str(programs / words[0]), *words[1:]], cwd=folder, capture_output=True, timeout=300)
    except subprocess.TimeoutExpired:
        return "takes more than 300 s"
    if done.returncode != 0:
        return f"ends with status {done.returncode}: {done.stderr.decode(errors='replace').strip()[-400:]}"
    if not (done.stdout + done.stderr).strip():
        return "prints nothing"
    for path, earlier in zip(named, before):
        if not contents(path) - earlier:
            return f"writes nothing to {path.name}"
    return None


def check(programs, page):
    wrong = ran = 0
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        write_inputs(folder)
        for line, command in commands(page.read_text()):
            begin = time.monotonic()
            problem = run(programs, folder, command) if command else "holds no command, or several"
            ran += command is not None
            if problem:
                wrong += 1
                print(f"{page.name}:{line}: {command or 'the row'}: {problem}")
            elif time.monotonic() - begin > 5:
                print(f"{page.name}:{line}: took {time.monotonic() - begin:.0f} s")
    print(f"{ran - wrong} of {ran} commands do what {page.name} says")
    return 1 if wrong or not ran else 0


def self_test():
    page = "| there | here |\n| --- | --- |\n| a | `lab --x` |\n| b | nothing |\n| c | `x.py` is not run by the test |\n\n| a | `ask` |\n"
    assert list(commands(page)) == [(3, "lab --x"), (4, None)], list(commands(page))
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        for program, body in (("lab", "echo all"), ("ask", "exit 2"), ("shapley", ":"), ("generate", "echo x; echo > out")):
            (folder / program).write_text(f"#!/bin/sh\n{body}\n")
            (folder / program).chmod(0o755)
        assert run(folder, folder, "lab") is None
        assert "status 2" in run(folder, folder, "ask") and "nothing" in run(folder, folder, "shapley")
        assert "writes nothing" in run(folder, folder, "lab --out none")
        assert run(folder, folder, "generate --out out") is None
        assert "writes nothing" in run(folder, folder, "lab --out out")
    return 0


if __name__ == "__main__":
    os.environ.pop("KVSIFT_SHARED", None)
    if sys.argv[1:] == ["--self-test"]:
        sys.exit(self_test())
    if len(sys.argv) not in (2, 3):
        sys.exit(__doc__)
    sys.exit(check(pathlib.Path(sys.argv[1]).resolve(), pathlib.Path(sys.argv[2] if len(sys.argv) == 3 else ROOT / "docs/coming-from.md")))
