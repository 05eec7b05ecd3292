"""Writes cases.json: predictions, answers, and what the reference packages say of them.

    pip install rouge-score==0.1.2 sacrebleu==2.6.0 nltk==3.10.4 rapidfuzz==3.14.6
    python3 tests/data/metrics/make.py > tests/data/metrics/cases.json

Neither the build nor a test needs the packages. f1 and squad are not theirs but this script's: SQuAD's normalisation is
three lines of Python. meteor is NLTK's, with a word net without synonyms, on words of sacrebleu's tokenizer 13a.
"""

import json
import random
import re
import string
from collections import Counter

import sacrebleu
from nltk.stem.porter import PorterStemmer
from nltk.translate.meteor_score import single_meteor_score
from rapidfuzz import fuzz
from rouge_score import rouge_scorer
from sacrebleu.tokenizers.tokenizer_13a import Tokenizer13a


class NoSynonyms:
    def synsets(self, word):
        return []


class NoStems:
    def stem(self, word):
        return word


def squad(text):
    bare = "".join(c for c in text.lower() if c not in string.punctuation)
    return re.sub(r"(?<!\S)(a|an|the)(?!\S)", " ", bare).split()


def f1(prediction, answer):
    p, a = squad(prediction), squad(answer)
    if not p and not a:
        return 1.0
    common = sum((Counter(p) & Counter(a)).values())
    return 2 * common / (len(p) + len(a)) if common else 0.0


def number(x):
    return round(float(x), 12)


CASES = [
    ("the cat sat on the mat", ["the cat is on the mat"]),
    ("The cat, the cat, the cat!", ["the cat sat", "a cat"]),
    ("", ["something"]),
    ("something", [""]),
    ("", [""]),
    ("yes", ["yes"]),
    ("Yes.", ["yes", "no"]),
    ("word", ["other"]),
    ("a an the", ["the"]),
    ("48213", ["48213"]),
    ("It is 1,234.5 of 6-7 in 3-4.", ["It is 1234.5 of 6 - 7 in 3-4 ."]),
    ("running runners ran easily", ["the runner runs easy and ran"]),
    ("The dogs' cities were relational, conditional and formally flying.", ["a dog's city was related on condition of formal flies"]),
    ("no no no no no no", ["no no"]),
    ("no no", ["no no no no no no"]),
    ("one two three four five", ["five four three two one"]),
    ("Ärger über Straßen", ["ärger Über straßen"]),
    ("ΟΔΥΣΣΕΥΣ went home", ["οδυσσευς went Home"]),
    ("МОСКВА, Россия — столица", ["москва россия столица"]),
    ("東京は日本の首都です。", ["東京 は 日本 の 首都"]),
    ("naïve café\u00a0crème\u3000brûlée", ["naïve café crème brûlée"]),
    ("emoji 🙂 here", ["emoji 🙂 there"]),
    ("tab\tand\nnewline", ["tab and newline"]),
    ("&quot;A &amp; B&quot; &lt;skipped&gt; x-\ny", ["\"A & B\" <skipped> xy"]),
    ("wait... what?! (really) [yes] {no} ~ok~ `x` a/b @c #d $5 %6", ["wait ... what ? ! ( really ) yes no ok x a b c d 5 6"]),
    ("don't can't it's o'clock", ["do not can not it is oclock"]),
    ("Lily and Ben went to the park. They saw a big red balloon.", ["Lily and Ben went to a park. They saw a red balloon in the sky.", "Ben saw a balloon."]),
    ("for (int i = 0; i < n; ++i) sum += a[i];", ["for (int i = 0; i < n; i++) total += a[i];"]),
    ("return x", ["return x\n"]),
    ("his gas was", ["hi ga wa"]),
    ("The dog ran.\nThe cat sat.\nIt was late.\n", ["A cat sat late.\nThe dog ran and ran.\n\nIt rained.", "one line only the dog"]),
    ("b a\nc b a c", ["a b c\nc a b\na"]),
    ("a.b,c.d 1.2,3.4 .5 5. ,6 6,", ["a.b , c.d 1.2,3.4 .5 5 . , 6 6 ,"]),
    ("I think that the answer is probably Paris", ["Paris", "paris, France"]),
    ("skies dying lying news innings proceed succeed ties died spied", ["sky die lie new inning proceeds success tie dies spies"]),
    ("generalizations oscillators happy happily enjoy enjoyable plays theology", ["generalize oscillate happiness enjoys enjoying play theologies"]),
]


def drawn(draw):
    words = "the a cat dog runs running ran quickly quick house houses of in nationally national hope hoping hopped 7 12 , .".split()
    return " ".join(draw.choices(words, k=draw.randrange(1, 16)))


draw = random.Random(6)
CASES += [(drawn(draw), [drawn(draw) for _ in range(draw.randrange(1, 4))]) for _ in range(25)]

plain = rouge_scorer.RougeScorer(["rouge1", "rouge2", "rougeL", "rougeLsum"])
stemmed = rouge_scorer.RougeScorer(["rouge1", "rouge2", "rougeL", "rougeLsum"], use_stemmer=True)
tokens = Tokenizer13a()
rows = []
for prediction, answers in CASES:
    row = {"prediction": prediction, "answers": answers}
    row["squad"] = [int(squad(prediction) == squad(a)) for a in answers]
    row["f1"] = [number(f1(prediction, a)) for a in answers]
    row["rouge"] = [[number(x) for s in plain.score(a, prediction).values() for x in s[:2]] for a in answers]
    row["rouge_stem"] = [[number(x) for s in stemmed.score(a, prediction).values() for x in s[:2]] for a in answers]
    row["bleu"] = number(sacrebleu.sentence_bleu(prediction, answers).score / 100)
    words = tokens(prediction.lower().rstrip()).split()
    wanted = [tokens(a.lower().rstrip()).split() for a in answers]
    row["meteor"] = [number(single_meteor_score(w, words, wordnet=NoSynonyms())) for w in wanted]
    row["meteor_exact"] = [number(single_meteor_score(w, words, stemmer=NoStems(), wordnet=NoSynonyms())) for w in wanted]
    row["edit"] = [number(fuzz.ratio(prediction, a) / 100) for a in answers]
    rows.append(row)

# A corpus has as many references for every prediction.
several = [c for c in CASES if len(c[1]) >= 2]
single = sacrebleu.corpus_bleu([p for p, a in CASES], [[a[0] for p, a in CASES]])
double = sacrebleu.corpus_bleu([p for p, a in several], [[a[k] for p, a in several] for k in range(2)])

STEMMED = """caresses ponies ties caress cats feed agreed plastered bled motoring sing conflated troubled sized hopping tanned
falling hissing fizzed failing filing happy sky relational conditional rational valenci hesitanci digitizer conformabli
radicalli differentli vileli analogousli vietnamization predication operator feudalism decisiveness hopefulness callousness
formaliti sensitiviti sensibiliti triplicate formative formalize electriciti electrical hopeful goodness revival allowance
inference airliner gyroscopic adjustable defensible irritant replacement adjustment dependent adoption homologou communism
activate angulariti homologous effective bowdlerize probate rate cease controll roll dying lying tying skies news innings
inning outing outings canning cannings howe proceed exceed succeed died dies spied spies enjoy say boy by yyy yes aye eye
beautifully carefully theology archaeology apologetically radically normally idly fully awful pitifulli oed ing bed red
seeing bing fly flies biology psychology ology gelogi ion onion passion session opinion a is as be""".split()
stemmer = PorterStemmer()
out = {
    "corpus_bleu": number(single.score / 100),
    "corpus_bleu_of_two": number(double.score / 100),
    "stems": {w: stemmer.stem(w) for w in STEMMED},
}
print("{" + ",\n".join(f'"{k}": {json.dumps(v, ensure_ascii=False)}' for k, v in out.items()) + ',\n"cases": [')
print(",\n".join(json.dumps(r, ensure_ascii=False, separators=(",", ":")) for r in rows) + "\n]}")
