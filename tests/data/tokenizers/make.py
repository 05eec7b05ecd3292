#!/usr/bin/env python3
"""Makes the tokenizers of this folder, and the tokens that Hugging Face's library gives for many texts.

    pip install tokenizers==0.23.3 && python3 tests/data/tokenizers/make.py

Every tokenizer is trained on the text below, so the files are small and anyone can make them again.
"""
import json
import pathlib

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

HERE = pathlib.Path(__file__).parent
LLAMA3 = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*"
          r"|\s*[\r\n]+|\s+(?!\S)|\s+")
QWEN2 = LLAMA3.replace(r"\p{N}{1,3}", r"\p{N}")

SCALE = 1  # tokens, in units of what the tests' files have
TRAINED_ON = """
The baker opened her shop at seven. She didn't know that the oven wouldn't start, and she'll never forget what we've
seen: 12 loaves, 345 rolls, 6789 crumbs. "Where's the flour?" asked the boy. It's there, they're sure; I'm not, I'd say.
The wind took the flour, the flour took the wind, and the whole street was white by noon. Nobody was angry.
    def bake(loaves):
        return loaves + 1  # one more
Am Morgen öffnete die Bäckerin ihren Laden; größer wurde er nie. Où est le café? Là-bas, à côté du château.
Утром пекарь открыла лавку. Мука кончилась, и хлеба не было. Хлеб хлебом, а мука мукой.
朝、パン屋が店を開けた。小麦粉がない。小麦粉はどこ？ 面包店早上开门。面粉没有了。
빵집이 아침에 문을 열었다. 밀가루가 없다. सुबह दुकान खुली। आटा नहीं था। الخباز فتح الدكان. لا يوجد دقيق.
🍞🍞🥐 👩‍🍳 👍🏽 are what the sign showed.
"""

# What text a tokenizer has to get right: every row is encoded as it stands.
TEXTS = [
    "", " ", "  ", "   ", "\n", "\r\n", "\r", "\t", "\n\n\n", " \n", "\n ", "a", " a", "  a", "   a   b    c", "a ", "a  ", "a \n b",
    "The baker opened her shop at seven.", "Hello, world! Hello,world!", "hello HELLO Hello hElLo",
    "She didn't, we've, they're, I'm, I'd, she'll, it's.", "DIDN'T WE'VE THEY'RE I'M I'D SHE'LL IT'S", "'s 't 're'' ''s '", "don't 'tis o'clock rock'n'roll",
    "it’s the typographic ’one", "'\u017f kelvin \u212a",
    "0", "1", "12", "123", "1234", "12345", "123456", "1234567890", " 1 12 123 1234", "3.14159 1,000,000 -5 +7 1e-5 0x1F", "٣٤٥ ४५६ 一二三 Ⅳ ½ ² ①②③ 𝟘𝟙",
    "a1b2c3 x86_64 v1.2.3-rc4", "word,word;word:word.word!word?word", "((nested [brackets] {here}))", "!!! ??? ... --- === *** ###", "a!!! b??? c...", "_under_score_ __dunder__",
    "line one\nline two\r\nline three\rline four", "para\n\n\npara", "trailing spaces   \nnext", "tabs\tand\t\ttabs", "\t\tindented", "    def f(x):\n        return x + 1\n",
    "\n\n  \n\t\n x", "x\n\n  y", "...\n\n...\r\n", "end.\n", "non\u00a0breaking\u2003em\u2009thin\u202fnarrow\u3000ideographic\u1680ogham", "line\u2028separator\u2029paragraph\u0085nel\u000bvt\u000cff",
    "zero\u200bwidth\u200cnon\u200djoiner\ufeffbom\u2060word", "\u00adsoft\u00adhyphen", "\u200e\u200fdirection\u202a\u202c",
    "Am Morgen öffnete die Bäckerin ihren Laden, größer, GRÖSSE, ẞ", "Où est le café? Là-bas, à côté du château. Œuvre, naïve, Noël",
    "cafe\u0301 cafe\u0301s n\u0303 o\u0308 A\u030a \u212b \u1e9b\u0323 q\u0307\u0323 q\u0323\u0307", "e\u0301\u0301\u0301 a\u0315\u0300\u05ae\u0062", "\u0301alone \u0301", "\u1100\u1161\u11a8 \uac01 \u1112\u1161\u11ab\u1100\u1173\u11af",
    "\u0958 \u0915\u093c \u09dc \u0f43 \u2adc \ufb1d \ufb2a", "\ufb01 \u2460 \u3392 \uff21\uff22\uff23 \uff11\uff12",
    "¿Dónde está? ¡Aquí! mañana", "Zażółć gęślą jaźń", "Příliš žluťoučký kůň", "İstanbul ılık ığdır", "Þórr ætlaði að fara", "Tiếng Việt rất đẹp",
    "Утром пекарь открыла лавку.", "Ёлки-палки! Їжак, ґанок", "Το πρωί άνοιξε το μαγαζί", "Առավոտյան խանութը բացվեց", "დილით მაღაზია გაიხსნა",
    "朝、パン屋が店を開けた。小麦粉はどこ？", "面包店早上开门。面粉没有了。", "𠮷野家で𩸽を食べる", "ﾊﾝｶｸ カタカナ ひらがな が か\u3099", "빵집이 아침에 문을 열었다.",
    "الخباز فتح الدكان، لا يوجد دقيق؟", "الْخَبَّازُ فَتَحَ", "בבוקר נפתחה החנות. שָׁלוֹם", "सुबह दुकान खुली। आटा नहीं था। क्षत्रिय", "সকালে দোকান খুলল", "காலையில் கடை திறந்தது", "ఉదయం దుకాణం", "ಬೆಳಿಗ್ಗೆ ಅಂಗಡಿ", "രാവിലെ കട തുറന്നു",
    "ร้านเปิดตอนเช้า", "ຮ້ານເປີດ", "မနက်မှာဆိုင်ဖွင့်တယ်", "ហាងបើកពេលព្រឹក", "ཞོགས་པར་ཚོང་ཁང", "ጠዋት ሱቁ ተከፈተ", "ᏣᎳᎩ ᎦᏬᏂᎯᏍᏗ", "ᐃᓄᒃᑎᑐᑦ", "ᠮᠣᠩᠭᠣᠯ", "ꦗꦮ", "𐍈𐌰𐌹𐍂", "𒀭𒂗𒆤", "𓂀𓆣", "ߒߞߏ", "ⵜⴰⵎⴰⵣⵉⵖⵜ", "𞤀𞤣𞤤𞤢𞤥", "සිංහල",
    "🍞", "🍞🥐", "a🍞b 🍞 c", "👩‍🍳 👨‍👩‍👧‍👦 🏳️‍🌈 🏴‍☠️", "👍🏽 👍🏿👍 🧑🏽‍🚀", "🇩🇪🇫🇷🇯🇵", "🏴󠁧󠁢󠁥󠁮󠁧󠁿", "1️⃣ #️⃣ ❤️ ❤ ☺︎", "🫨🪿",
    "∑∫√∞ ≠ ≤ → ⇒ ∀x∈ℝ", "€ £ ¥ ₿ $ ¢ ₹", "♠♣♥♦ ♪ ☃ ✓", "™ © ® § ¶ † ‡ • … – — ―", "«quotes» „deutsch“ “english” ‘single’ 「日本」",
    "\x00", "\x01\x02\x03", "a\x00b", "\x1b[31mred\x1b[0m", "\x7f\x80\x9f", "\ud7ff\ue000\uf8ff\ufffd\ufffe\uffff", "\U0001fffe\U0010ffff\U000e0001", "Zalgo: h\u0336\u0321e\u0337\u0322l\u0335\u0323l\u0334\u0327o\u0338\u0328",
    "\u00ff\u00fe\u0100\u0143", "Ġ Ċ ĉ Ń ▁ ▁▁a ▁b", "<0x41> <0x0A> <unk>", "<s>", "</s>", "text <s> in text</s>", "<s>at the front", " <s>", "<s><s>", "</s>\n<s>", "<|endoftext|>", "a<|endoftext|>b", "a <|endoftext|> b\n<|endoftext|>", "<|endoftext", "<|endoftext|><|endoftext|>",
    "<|im_start|>user\nHi there<|im_end|>\n<|im_start|>assistant\n", "<|eot_id|> <|eot|> <|eot_id|", "caf\u00e9mark cafe\u0301mark", "<stripped>  x  <stripped>  y", "  <stripped>\n\nz",
    "https://example.org/a/b?c=d&e=f#g", "user.name+tag@example.co.uk", "C:\\Users\\x\\y.txt /usr/lib/x.so.1", "{\"key\": [1, 2.5, null, true]}", "<a href='x'>y</a>", "SELECT * FROM t WHERE a <> 'b';", "#include <vector>\nint main() { return 0; }",
    "a" * 50, "ab" * 40, "aA" * 20, " " * 40, " " * 17 + "x", "\n" * 20, "9" * 20, "-" * 33, "the" * 30, "é" * 20, "ни" * 20, "面" * 20, "🍞" * 12, " the the  the   the", "crumbs crumbs, breadcrumbs", "flour\u0301", "the flour took the wind the flour",
]


def trained(tokenizer, size, specials=(), alphabet=()):
    """The tokenizer with about `size` tokens more than its special ones; tests/peers/compare_tokens.py asks for many more."""
    trainer = trainers.BpeTrainer(vocab_size=len(specials) + len(alphabet) + size * SCALE, min_frequency=2,
                                  special_tokens=list(specials), show_progress=False, initial_alphabet=list(alphabet))
    tokenizer.train_from_iterator([TRAINED_ON], trainer)
    return tokenizer


def byte_level(split, size, specials, normalizer=None, use_regex=False):
    t = Tokenizer(models.BPE())
    stage = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=use_regex or split is None)
    t.pre_tokenizer = stage if split is None else pre_tokenizers.Sequence([split, stage])
    if normalizer:
        t.normalizer = normalizer
    t.decoder = decoders.ByteLevel()
    return trained(t, size, specials, sorted(pre_tokenizers.ByteLevel.alphabet()))


def regex(pattern):
    return pre_tokenizers.Split(Regex(pattern), behavior="isolated", invert=False)


def gpt2():
    t = byte_level(None, 160, ["<|endoftext|>"])
    t.post_processor = processors.ByteLevel(trim_offsets=False)
    return t


def llama3():
    t = byte_level(regex(LLAMA3), 160, ["<|begin_of_text|>", "<|eot_id|>", "<|eot|>"])
    state = json.loads(t.to_str())
    state["model"]["ignore_merges"] = True
    # A word that is a token and no merge reaches: only ignore_merges finds it.
    state["model"]["vocab"].setdefault("\u0120crumbs", len(state["model"]["vocab"]))
    t = Tokenizer.from_str(json.dumps(state))
    t.post_processor = processors.Sequence([
        processors.ByteLevel(trim_offsets=False),
        processors.TemplateProcessing(single="<|begin_of_text|> $A", pair="<|begin_of_text|> $A $B",
                                      special_tokens=[("<|begin_of_text|>", 0)])])
    return t


def qwen2():
    t = byte_level(regex(QWEN2), 160, ["<|endoftext|>", "<|im_start|>", "<|im_end|>"], normalizers.NFC())
    t.add_tokens([AddedToken("caf\u00e9mark", normalized=True), AddedToken("<stripped>", lstrip=True, rstrip=True, normalized=False)])
    t.post_processor = processors.ByteLevel(trim_offsets=False)
    return t


def smollm2():
    return byte_level(pre_tokenizers.Digits(individual_digits=True), 140, ["<|endoftext|>", "<|im_start|>", "<|im_end|>"],
                      use_regex=True)


def sentence_piece(byte_tokens=True):
    # The alphabet is what the text has; the other characters fall back to bytes.
    t = Tokenizer(models.BPE(unk_token="<unk>", fuse_unk=True, byte_fallback=byte_tokens))
    t.normalizer = normalizers.Sequence([normalizers.Prepend("\u2581"), normalizers.Replace(" ", "\u2581")])
    steps = [decoders.Replace("\u2581", " "), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    if byte_tokens:
        steps.insert(1, decoders.ByteFallback())
    t.decoder = decoders.Sequence(steps)
    specials = ["<unk>", "<s>", "</s>"] + [f"<0x{b:02X}>" for b in range(256) if byte_tokens]
    # The trainer would make one word of the text without a split; merges across words come from pairs of words.
    t.pre_tokenizer = pre_tokenizers.Split(Regex("\u2581?[^\u2581\n]+|[\u2581\n]"), behavior="isolated")
    trained(t, 300, specials)
    state = json.loads(t.to_str())
    state["pre_tokenizer"] = None
    state["added_tokens"] = [token for token in state["added_tokens"] if token["id"] < 3]
    t = Tokenizer.from_str(json.dumps(state))
    t.post_processor = processors.TemplateProcessing(single="<s> $A", pair="<s> $A <s> $B", special_tokens=[("<s>", 1)])
    return t


def metaspace(scheme, split):
    state = json.loads(sentence_piece().to_str())
    state["normalizer"] = None
    state["pre_tokenizer"] = {"type": "Metaspace", "replacement": "\u2581", "prepend_scheme": scheme, "split": split}
    if split:
        state["decoder"] = {"type": "Sequence",
                            "decoders": [state["pre_tokenizer"], {"type": "ByteFallback"}, {"type": "Fuse"}]}
    return Tokenizer.from_str(json.dumps(state))


def unknown():
    """No bytes to fall back to: characters side by side become one <unk>."""
    return sentence_piece(byte_tokens=False)


MADE = {"gpt2": gpt2, "llama3": llama3, "qwen2": qwen2, "smollm2": smollm2, "sentence_piece": sentence_piece,
        "metaspace_first": lambda: metaspace("first", False), "metaspace_always": lambda: metaspace("always", True),
        "unknown": unknown}


def write(name, text):
    (HERE / name).write_text(text, encoding="utf-8")


def main():
    made = {name: make() for name, make in MADE.items()}
    rows = {"texts": TEXTS}
    for name, t in made.items():
        write(f"{name}.json", json.dumps(json.loads(t.to_str()), ensure_ascii=False, separators=(",", ":")) + "\n")
        back = [t.decode(t.encode(text, add_special_tokens=False).ids, skip_special_tokens=False) for text in TEXTS]
        rows[name] = {"tokens": [t.encode(text).ids for text in TEXTS],
                      "decoded": {i: b for i, (b, text) in enumerate(zip(back, TEXTS)) if b != text}}  # the others are the text
    lines = ",\n".join(f"{json.dumps(key)}:{json.dumps(value, separators=(',', ':'))}" for key, value in rows.items())
    write("expected.json", "{\n" + lines + "\n}\n")
    gpt = json.loads(made["gpt2"].to_str())["model"]
    write("vocab.json", json.dumps(gpt["vocab"], separators=(",", ":")) + "\n")
    write("merges.txt", "#version: 0.2\n" + "".join(" ".join(m) + "\n" for m in gpt["merges"]))


if __name__ == "__main__":
    main()
