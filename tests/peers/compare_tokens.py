#!/usr/bin/env python3
"""Tokens of megabytes of text: Hugging Face's tokenizers against ours, token by token.

    pip install tokenizers==0.23.3
    cmake --build build --target print_tokens && python3 tests/peers/compare_tokens.py build/bin/print_tokens TEXT... [FOLDER...]

Each TEXT is a UTF-8 file. They are encoded together with text drawn from all scripts, by the tokenizers of
tests/data/tokenizers trained anew on them with thousands of tokens, and by those of every FOLDER that is given: its
tokenizer.json, else its vocab.json and merges.txt. Fails unless all tokens are the same.
"""
import importlib.util
import pathlib
import random
import subprocess
import sys
import tempfile
import unicodedata

import numpy
import tokenizers
import tokenizers.normalizers

HERE = pathlib.Path(__file__).parent
DRAWN = 1_000_000  # characters


def drawn_text(random_source):
    """Characters of every assigned range, marks and controls among them, in words, runs and lines of several scripts."""
    def same_form(c):  # The library's tables for NFC end with Unicode 9: what came later is left out.
        around = (c, "a" + c, c + "\u0327", "\u0315" + c, "\u0345" + c)
        return all(tokenizers.normalizers.NFC().normalize_str(s) == unicodedata.normalize("NFC", s) for s in around)
    assigned = [chr(c) for c in range(0x110000) if not 0xD800 <= c < 0xE000]
    assigned = [c for c in assigned if unicodedata.category(c) not in ("Cn", "Co") and same_form(c)]
    blocks = [assigned[i:i + 64] for i in range(0, len(assigned), 64)]
    common = list(" \n\t0123456789.,!?'\"-()") + ["\r\n", "'s", "'LL", "  ", "\u00a0", "\u0301", "\u200d", "\ufe0f", "\U0001f3fd", "<s>", "</s>",
                                                  "<|endoftext|>", "<|im_start|>", "<|eot_id|>", "<stripped>"]
    parts, size = [], 0
    while size < DRAWN:
        block = random_source.choice(blocks[:40] if random_source.random() < 0.5 else blocks)
        for _ in range(random_source.randint(1, 6)):
            word = "".join(random_source.choice(block) for _ in range(random_source.randint(1, 8)))
            parts += [word, random_source.choice(common) if random_source.random() < 0.5 else " "]
            size += len(word) + 1
    return "".join(parts)


def given_tokenizer(folder):
    if (folder / "tokenizer.json").exists():
        return tokenizers.Tokenizer.from_file(str(folder / "tokenizer.json"))
    made = tokenizers.ByteLevelBPETokenizer(str(folder / "vocab.json"), str(folder / "merges.txt"))._tokenizer
    made.add_special_tokens(["<|endoftext|>"])
    return made


def compare(program, name, peer, path, text):
    """Whether all tokens agree; prints how many do."""
    expected = numpy.array(peer.encode(text).ids, dtype=numpy.uint32)
    bos = peer.token_to_id("<|endoftext|>") or 0
    words = [program, str(path), str(peer.get_vocab_size()), str(bos)]
    ran = subprocess.run(words, check=True, input=text.encode("utf-8"), stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    mine = numpy.frombuffer(ran.stdout, dtype=numpy.uint32)
    length = min(len(mine), len(expected))
    same = int((mine[:length] == expected[:length]).sum())
    agree = same == len(mine) == len(expected)
    print(f"{'ok' if agree else 'APART':5}  {name:18} {peer.get_vocab_size():7} in the vocabulary, {same} of {len(expected)} tokens agree; "
          f"{ran.stderr.decode().strip()}")
    if not agree:
        first = next((i for i in range(length) if mine[i] != expected[i]), length)
        print(f"       first apart at token {first}: ours {mine[first:first + 8].tolist()}, theirs "
              f"{expected[first:first + 8].tolist()}, {[peer.id_to_token(int(i)) for i in expected[first:first + 8]]}")
    return agree


def main():
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    program, given = sys.argv[1], [pathlib.Path(word) for word in sys.argv[2:]]
    files = [path for path in given if not path.is_dir()]
    text = "\n".join(path.read_bytes().decode("utf-8") for path in files) + "\n" + drawn_text(random.Random(1))
    print(f"{len(text.encode('utf-8'))} bytes of text; Hugging Face tokenizers {tokenizers.__version__}")

    spec = importlib.util.spec_from_file_location("make", HERE.parent / "data" / "tokenizers" / "make.py")
    make = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(make)
    make.TRAINED_ON, make.SCALE = text[:1_000_000] + text[-200_000:], 50
    agree = True
    with tempfile.TemporaryDirectory() as folder:
        for name, made in make.MADE.items():
            path = pathlib.Path(folder) / f"{name}.json"
            peer = made()
            peer.save(str(path))
            agree &= compare(program, name, peer, path, text)
    for folder in given:
        if folder.is_dir():
            agree &= compare(program, folder.name, given_tokenizer(folder), folder, text)
    sys.exit(0 if agree else 1)


if __name__ == "__main__":
    main()
