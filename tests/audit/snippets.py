#!/usr/bin/env python3
"""Holds the code in documents against sources that are compiled and run.

    snippets.py [ROOT]     ROOT: the repository (default ../..)

In README.md and docs/, a line `<!-- from PATH -->` before a block of code says that the block's lines stand one after
another in the file PATH; how they are indented does not matter. Prints file:line of each block that does not; exit status
1 if there is one, or if no document names a source.
"""
import pathlib
import re
import sys

MARK = re.compile(r"<!-- from (\S+) -->\s*")


def lines_of(text):
    return [line.strip() for line in text.splitlines() if line.strip()]


def blocks(document):
    """(line, path, text) of every block of code that names its source."""
    lines = document.read_text().splitlines()
    for i, line in enumerate(lines):
        mark = MARK.fullmatch(line)
        if mark and i + 1 < len(lines) and lines[i + 1].startswith("```"):
            end = lines.index("```", i + 2)
            yield i + 1, mark.group(1), "\n".join(lines[i + 2:end])
        elif mark:
            yield i + 1, mark.group(1), None


def main():
    root = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else pathlib.Path(__file__).parents[2])
    checked, wrong = 0, 0
    for document in [root / "README.md", *sorted(root.glob("docs/**/*.md"))]:
        for line, path, text in blocks(document):
            checked += 1
            source = root / path
            if text is None or not source.exists():
                problem = f"no block of code follows" if text is None else f"{path} does not exist"
            else:
                want, have = lines_of(text), lines_of(source.read_text())
                if any(have[i:i + len(want)] == want for i in range(len(have) - len(want) + 1)):
                    continue
                problem = f"the block does not stand in {path}"
            wrong += 1
            print(f"{document.relative_to(root)}:{line}: {problem}")
    print(f"{checked - wrong} of {checked} blocks stand in their sources")
    return 1 if wrong or not checked else 0


if __name__ == "__main__":
    sys.exit(main())
