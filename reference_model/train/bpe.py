"""A byte-pair tokenizer in the format of llama2.c's tokenizer.bin.

Merges never cross the boundary between words, digits, punctuation and line ends, so a digit is always one token and the
tokens of a text are the tokens of its parts.
"""

import collections
import math
import re
import struct

UNKNOWN, BOS, EOS = 0, 1, 2
FIRST_BYTE = 3  # tokens 3 .. 258 are the bytes, for characters that have no token
PART = re.compile(r" ?[A-Za-z]+|[0-9]| ?[^A-Za-z0-9\s]+|\n+|\s")


class Tokenizer:
    def __init__(self, pieces, scores):
        self.pieces = pieces  # list of str; the specials and the bytes first
        self.scores = scores  # the higher, the earlier it is merged
        self.token_of = {}
        for token, piece in enumerate(pieces):
            self.token_of.setdefault(piece, token)
        self.known = {}  # part -> its tokens

    def encode(self, text):
        """Tokens of the text as it stands: no BOS, no dummy space."""
        tokens = []
        for part in PART.findall(text):
            found = self.known.get(part)
            if found is None:
                found = self.known[part] = self.merge(part)
            tokens.extend(found)
        return tokens

    def merge(self, part):
        symbols = []
        for character in part:
            if character in self.token_of:
                symbols.append(character)
            else:
                symbols.extend(f"<0x{byte:02X}>" for byte in character.encode())
        while len(symbols) > 1:
            pairs = [a + b for a, b in zip(symbols, symbols[1:])]
            best = max(pairs, key=lambda pair: self.scores[self.token_of[pair]] if pair in self.token_of else -math.inf)
            if best not in self.token_of:
                break
            at = pairs.index(best)  # of equal ones the leftmost
            symbols[at : at + 2] = [best]
        return [self.token_of[symbol] for symbol in symbols]

    def decode(self, tokens):
        text = b""
        for token in tokens:
            if FIRST_BYTE <= token < FIRST_BYTE + 256:
                text += bytes([token - FIRST_BYTE])
            elif token >= FIRST_BYTE + 256:
                text += self.pieces[token].encode()
        return text.decode(errors="replace")

    def write(self, path):
        pieces = [piece.encode() for piece in self.pieces]
        with open(path, "wb") as file:
            file.write(struct.pack("<i", max(len(piece) for piece in pieces)))
            for piece, score in zip(pieces, self.scores):
                file.write(struct.pack("<fi", score, len(piece)) + piece)

    @staticmethod
    def read(path):
        data = open(path, "rb").read()
        pieces, scores, at = [], [], 4
        while at < len(data):
            score, length = struct.unpack_from("<fi", data, at)
            pieces.append(data[at + 8 : at + 8 + length].decode())
            scores.append(score)
            at += 8 + length
        return Tokenizer(pieces, scores)


def train(text, vocab, extra_words=(), extra_count=0):
    """Merges the most frequent pair until there are `vocab` tokens. Each of `extra_words` counts as if it stood
    `extra_count` times more in the text, so that it becomes one token."""
    counts = collections.Counter(PART.findall(text))
    for word in extra_words:
        counts[" " + word] += extra_count
    characters = sorted({c for part in counts for c in part if ord(c) < 128} | set("0123456789"))
    pieces = ["<unk>", "\n<s>\n", "\n</s>\n"] + [f"<0x{byte:02X}>" for byte in range(256)] + characters
    scores = [0.0] * len(pieces)
    words = [[list(part), count] for part, count in sorted(counts.items())]
    while len(pieces) < vocab:
        pairs = collections.Counter()
        for symbols, count in words:
            for pair in zip(symbols, symbols[1:]):
                pairs[pair] += count
        (left, right), _ = max(pairs.items(), key=lambda item: (item[1], item[0]))
        scores.append(float(len(characters) + 259 - len(pieces) - 1))
        pieces.append(left + right)
        for word in words:
            symbols = word[0]
            at = 0
            while at + 1 < len(symbols):
                if symbols[at] == left and symbols[at + 1] == right:
                    symbols[at : at + 2] = [left + right]
                at += 1
    return Tokenizer(pieces, scores)
