#!/usr/bin/env python3
"""Perplexity of stories with one story a window: what is lost when no other text competes for the slots.

    stories.py --perplexity build/bin/perplexity --text held_out.txt [--budgets 50,25] [--policies roco,..] [--model FILE]

A story ends at a single line end, as train.py writes them; those under 700 characters are left out. Budgets are percent
of the story's tokens. Scored are the tokens behind the first quarter of each story, the same for every policy.
"""
import argparse
import collections
import json
import math
import os
import re
import subprocess
import tempfile


def runs(program, model, story, policies, budgets):
    """(policy, budget in percent, negative log-likelihoods) of one story."""
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "story.txt")
        with open(path, "w", encoding="utf-8") as file:
            file.write(story)
        for budget in budgets:
            asked = [program, "--text", path, "--window", "2048", "--policy", "full," + policies, "--budget", f"{budget}%", "--json"]
            out = subprocess.run(asked + (["--model", model] if model else []), check=True, capture_output=True, text=True).stdout
            for line in out.splitlines():
                run = json.loads(line)
                yield run["policy"], budget, [x for x in run["nll"] if x is not None]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--perplexity", required=True)
    parser.add_argument("--text", required=True)
    parser.add_argument("--model", default="")
    parser.add_argument("--policies", default="roco,heavy_hitter,streaming_llm,random")
    parser.add_argument("--budgets", default="50,25")
    a = parser.parse_args()
    with open(a.text, encoding="utf-8") as file:
        stories = [s.strip() for s in re.split(r"(?<!\n)\n(?!\n)", file.read())]
    stories = [s for s in stories if len(s) > 700]
    sums = collections.defaultdict(lambda: [0.0, 0])
    for story in stories:
        for policy, budget, nll in runs(a.perplexity, a.model, story, a.policies, a.budgets.split(",")):
            tail = nll[len(nll) // 4:]
            sums[policy, budget][0] += sum(tail)
            sums[policy, budget][1] += len(tail)
    print(len(stories), "stories")
    for (policy, budget), (total, count) in sums.items():
        print(f"{policy:20} {budget:>3} %  {math.exp(total / count):.2f}  ({count} tokens)")


if __name__ == "__main__":
    main()
