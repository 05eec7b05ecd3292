#!/usr/bin/env python3
"""check_replay.py against a stand-in for `replay` that knows the answers and makes one mistake at a time."""
import pathlib
import subprocess
import sys
import tempfile
import textwrap

HERE = pathlib.Path(__file__).resolve().parent
DATA = HERE.parent / "data" / "traces"

STAND_IN = textwrap.dedent('''\
    #!{python}
    import json, pathlib, shutil, sys
    data, fault = pathlib.Path({data!r}), {fault!r}
    args = dict(zip(sys.argv[1::2], sys.argv[2::2]))
    policy = json.loads(pathlib.Path(args["--policy"]).read_text())
    for case in json.loads((data / "cases.json").read_text()):
        if (case["policy"] == policy and args["--prompt"] == str(case["prompt"])
                and pathlib.Path(args["--trace"]).name == case["trace"]
                and ("--outputs" in args) == (data / "expected" / (case["name"] + ".out.safetensors")).exists()):
            break
    if case.get("status"):
        print("policy.json: refused", file=sys.stderr)
        if fault == "talks": print("{{}}")
        if fault == "complains twice": print("again", file=sys.stderr)
        sys.exit(0 if fault == "accepts" else 2)
    text = (data / "expected" / (case["name"] + ".jsonl")).read_text()
    if fault == "position": text = text.replace(" ", "").replace('"positions":[0,1', '"positions":[1,0')
    if fault == "ends early": text = text[:text.rstrip().rfind("\\n") + 1]
    if fault == "one line too many": text += '{{"event":"final"}}\\n'
    if fault == "no json": text = "final\\n" + text
    sys.stdout.write(text)
    if "--outputs" in args and fault != "no outputs":
        raw = bytearray((data / "expected" / (case["name"] + ".out.safetensors")).read_bytes())
        if fault == "output": raw[-1] ^= 0x80
        if fault == "nan": raw[-4:] = b"\\0\\0\\xc0\\x7f"
        pathlib.Path(args["--outputs"]).write_bytes(raw)
    sys.exit(1 if fault == "status" else 0)
''')

# What the stand-in gets wrong. Without a fault all cases of the policies given agree, with one not all of them.
FAULTS = ("", "position", "ends early", "one line too many", "no json", "status", "no outputs", "output", "nan",
          "talks", "complains twice", "accepts")


def main():
    failures = []
    with tempfile.TemporaryDirectory() as folder:
        stand_in = pathlib.Path(folder) / "replay"
        for fault in FAULTS:
            stand_in.write_text(STAND_IN.format(python=sys.executable, data=str(DATA), fault=fault))
            stand_in.chmod(0o755)
            command = [sys.executable, str(HERE / "check_replay.py"), str(stand_in), "--policies", "full,key_norm"]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            last = done.stdout.splitlines()[-1] if done.stdout else "nothing"
            agreeing, _, total = last.split()[:3] if "cases agree" in last else (0, 0, 0)
            right = (done.returncode == 1 and int(agreeing) < int(total)) if fault else (
                done.returncode == 0 and 0 < int(total) == int(agreeing))
            if not right or done.stderr:
                failures.append(f"fault '{fault}': exit status {done.returncode}, {last} {done.stderr}")
    summary = f"check_replay notices {len(FAULTS) - 1} faults and passes a stand-in without one"
    print("\n".join(failures) or summary)
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
