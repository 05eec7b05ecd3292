#!/usr/bin/env python3
"""Turns CoKV's head scores, pickled dictionaries in .npy files, into one plain .npy file that --set allocator.scores=FILE reads.

    cokv_scores.py --out scores.npy qasper=cc_qasper_32.npy,cc_qasper_64.npy trec=cc_trec_32.npy,cc_trec_64.npy
    generate --policy cokv --set allocator.scores=scores.npy --set allocator.task=0 --budget 128

One argument a task: its name, and a file for each slice; every task has as many. The result is [tasks, slices, 4, heads], doubles: sums of contributions,
their counts, and both of the complements. Tasks stand in the order of the arguments. Needs numpy; runs nothing that the files may hold.
"""
import argparse
import pickle
import sys

import numpy

FIELDS = ("cc_left", "count_left", "cc_right", "count_right")
SAFE = {("multiarray", "_reconstruct"), ("multiarray", "scalar"), ("", "ndarray"), ("", "dtype"), ("numeric", "_frombuffer")}


class Reader(pickle.Unpickler):
    """Arrays and numbers of numpy, by its name of today or of before, and nothing else."""

    def find_class(self, module, name):
        inner = module.replace("numpy._core", "").replace("numpy.core", "").replace("numpy", "").lstrip(".")
        if not module.startswith("numpy") or (inner, name) not in SAFE:
            raise pickle.UnpicklingError(f"holds {module}.{name}, which is no array of numpy")
        if inner == "":
            return getattr(numpy, name)
        core = numpy._core if hasattr(numpy, "_core") else numpy.core
        return getattr(getattr(core, inner), name)


def read(path):
    """[4, heads] of one file."""
    with open(path, "rb") as file:
        version = numpy.lib.format.read_magic(file)
        header = numpy.lib.format.read_array_header_1_0 if version == (1, 0) else numpy.lib.format.read_array_header_2_0
        shape, _, kind = header(file)
        if kind != object or shape != ():
            raise ValueError(f"holds {kind} of shape {shape}; a pickled dictionary is expected")
        held = Reader(file).load()
    held = held.item() if isinstance(held, numpy.ndarray) else held
    missing = [name for name in FIELDS if name not in held]
    if missing:
        raise ValueError(f"has no {missing[0]}; is it a file of CoKV's scores?")
    fields = numpy.stack([numpy.asarray(held[name], dtype="<f8") for name in FIELDS])[:, :-1]  # the last place is never used
    if (fields[1] == 0).any():
        raise ValueError(f"head {int((fields[1] == 0).argmax())} was never sampled; its score is not known")
    return fields


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", required=True, help="the .npy file to write")
    parser.add_argument("tasks", nargs="+", metavar="NAME=FILE,FILE...", help="a task and its files, one a slice")
    ask = parser.parse_args()
    tables = []
    for i, task in enumerate(ask.tasks):
        name, _, files = task.partition("=")
        slices = []
        for path in files.split(","):
            try:
                slices.append(read(path))
            except (OSError, ValueError, pickle.UnpicklingError, AttributeError) as wrong:
                sys.exit(f"cokv_scores.py: {path or task}: {wrong}")
        tables.append(slices)
        print(f"task {i}: {name}, {len(slices)} slices of {slices[0].shape[1]} heads")
    try:
        whole = numpy.array(tables, dtype="<f8")
    except ValueError:
        sys.exit("cokv_scores.py: tasks have different numbers of slices or heads; give every task as many")
    numpy.save(ask.out, numpy.ascontiguousarray(whole))


if __name__ == "__main__":
    main()
