#!/usr/bin/env python3
"""Holds what nvcc made of the kernels to what it was: registers, stack, spills and shared memory of each, and the calls that enqueue them.

    kernels.py OBJECT...            compare with --table, a file beside kernels/keep_said.py; exit status 1 where a kernel takes more than it says, spills
                                    at all, is not in it, is launched but not there on the device, or an object calls what a step must not call
    kernels.py --write OBJECT...    write that table, if nothing spills
    kernels.py                      77: nothing was compiled by nvcc here

Beside each OBJECT lies OBJECT.ptxas, what ptxas said (kernels/keep_said.py). Figures are a compiler's: under another nvcc than the
table's they are printed, and not compared.
"""
import argparse
import pathlib
import re
import subprocess
import sys

TABLES = pathlib.Path(__file__).parent / "kernels"
ALL_COLUMNS = ("attention_sum attention_square_sum last_attention window_attention observations key_square_norm signature young_attention "
               "token_class")  # as policies chosen at run time store them
FIGURES = ("registers", "stack", "spilled", "shared")  # the last three in bytes; spilled: stores and loads together
SPILLED = FIGURES.index("spilled")
# What an enqueue may ask of the CUDA runtime. No allocation, no copy, nothing that waits.
ALLOWED = {"cudaLaunchKernel", "cudaFuncSetAttribute", "cudaGetLastError", "cudaGetErrorString",
           "cublasGemmEx", "cublasGetStatusString",  # between the reference model's kernels
           # nvcc's own, of every object with a kernel
           "__cudaGetKernel", "__cudaInitModule", "__cudaLaunchKernel", "__cudaPopCallConfiguration", "__cudaPushCallConfiguration",
           "__cudaRegisterFatBinary", "__cudaRegisterFatBinaryEnd", "__cudaRegisterFunction", "__cudaUnregisterFatBinary"}


def output(*command, stdin=None):
    return subprocess.run(command, input=stdin, capture_output=True, text=True, check=True).stdout


def compiled(said):
    """{(architecture, mangled name): figures} of what ptxas said."""
    found = {}
    for part in said.split("Compiling entry function ")[1:]:
        name, architecture = re.match(r"'(\w+)' for '(\w+)'", part).groups()
        number = lambda pattern: sum(int(n) for n in re.findall(pattern, part))
        found[architecture, name] = (number(r"Used (\d+) registers"), number(r"(\d+) bytes stack frame"),
                                     number(r"(\d+) bytes spill"), number(r"(\d+) bytes smem"))
    return found


def arguments(text):
    """Of `a<b, c<d>>` the list ['b', 'c<d>']."""
    parts, depth, begin = [], 0, text.index("<") + 1
    for i in range(begin, len(text)):
        depth += (text[i] in "<(") - (text[i] in ">)")
        if depth < 0 or (depth == 0 and text[i] == ","):
            parts.append(text[begin:i].strip())
            begin = i + 1
        if depth < 0:
            break
    return parts


def short(demangled):
    """`step_task plain<float> {attention_sum} dropped in_rows no_rule` of what c++filt makes of a kernel's name."""
    text = demangled.replace("kvsift::", "").replace("unsigned int", "uint")
    task = arguments(text)[0]
    words = []
    for part in arguments(task) if "<" in task else []:
        if part.startswith("bound_cache<"):
            columns, *rest = arguments(part)
            words += ["{" + " ".join(arguments(columns)) + "}", *rest]
        elif not part.startswith("column_set<"):
            words.append(part)
        elif "bound_cache<" not in task:
            words.append("{" + " ".join(arguments(part)) + "}")
    return " ".join([task.split("<")[0], *words]).replace(ALL_COLUMNS, "all_columns")


def enqueued(path):
    """(kernels that an object launches, calls that it must not make)."""
    # What the host calls to launch a kernel has the kernel's name, or that of a function known to its object alone (L).
    stubs = (re.fullmatch(r"_ZN6kvsift4cudaL?(8run_task\w+)", line.split()[-1])
             for line in output("nm", "--defined-only", path).splitlines())
    kernels = {"_ZN6kvsift4cuda" + stub.group(1) for stub in stubs if stub}
    calls = {line.split()[-1].split("@")[0] for line in output("nm", "--undefined-only", path).splitlines()}
    return kernels, sorted(c for c in calls if re.match(r"_*(cuda|cu[A-Z]|cublas)", c) and c not in ALLOWED)


def spills(figures):
    """A line for each kernel that keeps in memory what it had in registers."""
    return [f"{' '.join(key)}: {f[SPILLED]} bytes spilled, and none may be" for key, f in sorted(figures.items()) if f[SPILLED] != 0]


def table(text):
    """{(architecture, name): figures} of a table's text."""
    known = {}
    for line in text.splitlines()[1:]:
        architecture, *numbers, name = line.split(" ", 1 + len(FIGURES))
        known[architecture, name] = tuple(map(int, numbers))
    return known


def differences(figures, known):
    """A line for each kernel that takes more than the table `known` says, or is in one of both alone."""
    found = [f"{a} {n}: not in the table" for a, n in sorted(figures.keys() - known.keys())]
    found += [f"{a} {n}: in the table, and not compiled" for a, n in sorted(known.keys() - figures.keys())]
    for key in sorted(figures.keys() & known.keys()):
        found += [f"{' '.join(key)}: {now} {what}, {was} in the table" for what, now, was in zip(FIGURES, figures[key], known[key]) if now > was]
    return found


def self_test():
    """Sound figures, and one fault at a time."""
    said = ("ptxas info    : Compiling entry function 'k' for 'sm_90'\nptxas info    : Function properties for k\n"
            "    40 bytes stack frame, 0 bytes spill stores, {spilled} bytes spill loads\n"
            "ptxas info    : Used {registers} registers, used 1 barriers, 40 bytes cumulative stack size\n")
    line = "# nvcc 0.\nsm_90 100 40 {spilled} 0 k\n"
    now = lambda registers=100, spilled=0: compiled(said.format(registers=registers, spilled=spilled))
    was = lambda spilled=0: table(line.format(spilled=spilled))
    cases = {"sound figures": (now(), was(), 0, 0), "fewer registers": (now(99), was(), 0, 0), "more registers": (now(101), was(), 1, 0),
             "a spill": (now(spilled=4), was(), 1, 1), "a spill that the table has": (now(spilled=4), was(4), 0, 1),
             "another kernel": ({("sm_90", "l"): (1, 0, 0, 0)}, was(), 2, 0)}
    wrong = [f"{what}: {found} lines instead of {want}" for what, (figures, known, *want) in cases.items()
             if (found := [len(differences(figures, known)), len(spills(figures))]) != want]
    if len(spills(was(4))) != 1:
        wrong.append("a table that has a spill passes")
    for text in wrong:
        print(text)
    print(f"{len(cases) + 1} cases, {len(wrong)} judged wrongly")
    return 1 if wrong else 0


def main():
    parser = argparse.ArgumentParser(description="what nvcc made of the kernels is what it was")
    parser.add_argument("objects", nargs="*")
    parser.add_argument("--write", action="store_true")
    parser.add_argument("--self-test", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--table", type=lambda name: TABLES / name, default="kernels.txt")
    parser.add_argument("--nvcc", default="unknown", help="version of the compiler")
    args = parser.parse_args()
    if args.self_test:
        return self_test()
    if not args.objects:
        print("skipped: nothing was compiled by nvcc; configure with -DKVSIFT_CUDA=ON")
        return 77
    problems, figures = [], {}
    names = {}
    for path in args.objects:
        try:
            found = compiled(pathlib.Path(path + ".ptxas").read_text(encoding="utf-8"))
        except FileNotFoundError:
            print(f"skipped: {path} was not built; build the targets nvcc_kernels and nvcc_typed_kernels")
            return 77
        launched, forbidden = enqueued(path)
        where = pathlib.Path(path).name
        problems += [f"{where} calls {call}, which allocates, copies or waits" for call in forbidden]
        mangled = sorted({name for _, name in found} | launched)
        names.update(zip(mangled, (short(n) for n in output("c++filt", stdin="\n".join(mangled)).splitlines())))
        for architecture in {a for a, _ in found}:
            missing = launched - {name for a, name in found if a == architecture}
            problems += [f"{where} launches {names[n]}, of which there is no kernel for {architecture}" for n in sorted(missing)]
        if launched and not found:
            problems.append(f"{where} launches kernels, and ptxas compiled none")
        for (architecture, name), new in found.items():
            key = (architecture, names[name])
            figures[key] = tuple(map(max, figures.get(key, new), new))

    header = f"# nvcc {args.nvcc}. Written by tests/audit/kernels.py --write; columns: architecture {' '.join(FIGURES)} kernel\n"
    spilling = spills(figures)
    if args.write:
        for line in spilling:
            print(line)
        if spilling:
            print(f"{args.table} is not written")
            return 1
        lines = [f"{a} {' '.join(map(str, f))} {n}\n" for (a, n), f in sorted(figures.items())]
        args.table.write_text(header + "".join(lines), encoding="utf-8")
        print(f"{len(lines)} kernels written to {args.table}")
        return 0

    text = args.table.read_text(encoding="utf-8")
    same_compiler = text.startswith(f"# nvcc {args.nvcc}.")
    known = table(text)
    problems += [f"table: {line}" for line in spills(known)]
    differing = differences(figures, known)
    for line in problems + spilling + differing:
        print(line)
    if (spilling or differing) and not same_compiler:
        print(f"not compared: the table is of another compiler: {text.splitlines()[0]}")
    elif differing:
        print("where that is meant, write the table anew: kernels.py --write")
    worst = [max(f[i] for f in figures.values()) for i in range(len(FIGURES))]
    print(f"{len(figures)} kernels; at most " + ", ".join(f"{n} {what}" for n, what in zip(worst, FIGURES)))
    return 1 if problems or ((spilling or differing) and same_compiler) else 0


if __name__ == "__main__":
    sys.exit(main())
