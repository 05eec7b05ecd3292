#!/usr/bin/env python3
"""Fails on an include that goes up a floor of include/kvsift.

    floors.py [INCLUDE_FOLDER]   check it (default ../../include); exit status 1 if it prints an offence, as file:line
    floors.py --self-test        check that offending trees fail and a sound one passes

A header may include its own floor and those below. On floor 4 a header includes no other header of floor 4 but the
concepts.hpp of its own folder. Headers reach each other as <kvsift/...> and include nothing of the other source roots.
"""
import argparse
import pathlib
import re
import sys
import tempfile

FLOORS = {
    "core": 0,
    "exec": 1,
    "collective": 2, "payload": 2,
    "cache": 3, "column": 3,
    "score": 4, "scope": 4, "budget": 4, "position": 4,
    "policy": 5,
    "evict": 6, "interop": 6,
}
ROOT_HEADERS = {"version.hpp": 0, "kvsift.hpp": 6}
SIBLINGS = 4  # the floor whose headers do not know one another
OTHER_ROOTS = ("kvsift/cuda/", "reference_model/", "tests/", "support/", "oracle/", "bench/", "examples/")
INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]')


def floor_of(path):
    """Floor of a header given relative to include/kvsift, or None if it stands on none."""
    parts = path.split("/")
    return ROOT_HEADERS.get(path) if len(parts) == 1 else FLOORS.get(parts[0])


def offence(source, bracket, target):
    """What is wrong with `source` including `target`, or None. source is relative to include/kvsift."""
    if bracket == '"':
        return f'includes "{target}"; headers are included as <kvsift/...>'
    if target.startswith(OTHER_ROOTS):
        return f"includes <{target}>, which is outside include/"
    if not target.startswith("kvsift/"):
        return None
    target = target[len("kvsift/"):]
    here, there = floor_of(source), floor_of(target)
    if there is None:
        return f"includes <kvsift/{target}>, which stands on no floor"
    if there > here:
        return f"floor {here} includes <kvsift/{target}> of floor {there}"
    if here == there == SIBLINGS and target != source.split("/")[0] + "/concepts.hpp":
        return f"includes <kvsift/{target}>; on floor {SIBLINGS} only the concepts.hpp of its own folder is known"
    return None


def check(include):
    """(headers seen, offences as file:line: text) of an include folder."""
    base = include / "kvsift"
    headers = sorted(path for pattern in ("*.hpp", "*.h", "*.inl") for path in base.rglob(pattern))
    found = []
    for path in headers:
        source = path.relative_to(base).as_posix()
        if source.startswith("cuda/"):
            continue
        if floor_of(source) is None:
            found.append(f"{path}:1: stands on no floor; known folders: {', '.join(FLOORS)}")
            continue
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
            match = INCLUDE.match(line)
            problem = match and offence(source, match.group(1), match.group(2))
            if problem:
                found.append(f"{path}:{number}: {problem}")
    return len(headers), found


def self_test():
    sound = {
        "version.hpp": [], "core/a.hpp": ["<vector>"], "exec/b.hpp": ["<kvsift/core/a.hpp>"],
        "collective/c.hpp": ["<kvsift/exec/b.hpp>", "<kvsift/payload/p.hpp>"], "payload/p.hpp": ["<kvsift/core/a.hpp>"],
        "score/concepts.hpp": ["<kvsift/column/k.hpp>"], "column/k.hpp": [],
        "score/s.hpp": ["<kvsift/score/concepts.hpp>"],
        "scope/concepts.hpp": [], "evict/e.hpp": ["<kvsift/score/s.hpp>"], "kvsift.hpp": ["<kvsift/evict/e.hpp>"],
    }
    broken = {
        "up a floor": ("core/a.hpp", "<kvsift/exec/b.hpp>"),
        "up to the umbrella": ("policy/x.hpp", "<kvsift/kvsift.hpp>"),
        "a sibling folder": ("score/s.hpp", "<kvsift/scope/concepts.hpp>"),
        "a header of the same folder": ("score/t.hpp", "<kvsift/score/s.hpp>"),
        "spaces before the word": ("exec/b.hpp", " # include <kvsift/cache/r.hpp>"),
        "quotes": ("core/a.hpp", '"b.hpp"'),
        "another root": ("evict/e.hpp", "<reference_model/llama.hpp>"),
        "a header on no floor": ("utils/u.hpp", "<vector>"),
        "an include of no floor": ("evict/e.hpp", "<kvsift/utils/u.hpp>"),
    }

    def offences(tree):
        with tempfile.TemporaryDirectory() as folder:
            for name, includes in tree.items():
                path = pathlib.Path(folder) / "kvsift" / name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text("#pragma once\n" + "".join(
                    (x if "include" in x else f"#include {x}") + "\n" for x in includes))
            return [text.replace(folder, "include") for text in check(pathlib.Path(folder))[1]]

    failures = [f"a sound tree: {text}" for text in offences(sound)]
    for what, (name, include) in broken.items():
        found = offences({**sound, name: ["<cstdint>", include]})
        line = 1 if what == "a header on no floor" else 3
        if len(found) != 1 or not found[0].startswith(f"include/kvsift/{name}:{line}: "):
            failures.append(f"{what}: expected one offence at {name}:{line}, found {found}")
    print("\n".join(failures) if failures else f"self-test: {len(broken)} offending trees fail, a sound one passes")
    return 1 if failures else 0


def main():
    parser = argparse.ArgumentParser(description="no include of include/kvsift goes up a floor")
    default = pathlib.Path(__file__).resolve().parent.parent.parent / "include"
    parser.add_argument("include", type=pathlib.Path, nargs="?", default=default)
    parser.add_argument("--self-test", action="store_true")
    args = parser.parse_args()
    if args.self_test:
        return self_test()
    headers, found = check(args.include)
    if not headers:
        parser.error(f"{args.include}: no headers under kvsift/")
    for line in found:
        print(line)
    print(f"{headers} headers, {len(found)} offences")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
