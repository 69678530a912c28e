"""Folders as liuhaotian's: a `tokenizer.model` that SentencePiece itself learned, and no `tokenizer.json`."""

import json
from functools import cache
from io import BytesIO
from pathlib import Path
from typing import Any

import sentencepiece

from prompt.backends import CORPUS

TEXTS = [
    "",
    " ",
    "What is in the picture?",
    " begins with a space",
    "ends with one ",
    "  two   three    four     many                spaces",
    "line\nbreaks\n\n\nand\ttabs\r\n",
    "\nfirst of all a line break",
    "naïve café, ANGSTRÖM, ﬁne ½",
    "中文 字 日本語のテキスト 한국어",
    "Привет, мир! שלום مرحبا हिन्दी ไทย",
    "🙂🙃 👩‍👩‍👧‍👦 🇩🇪 👍🏽",
    "3.14159 1,000,000 0x1F",
    "def f(x):\n    return x ** 2  # squared",
    "▁ the mark itself ▁▁ typed",
    "e\u0301 combining, zero\u200bwidth, non\u00a0breaking",
    "aaaaaaaaaaaaa bbbbbbb ....... !!!!! _____",
    "<0x41> <unk> is letters here? [INST] no",
    "\x00\x01\x7f",
]


@cache
def learned(kind: str = "bpe", **settings: Any) -> bytes:
    """A model with Llama's settings: bytes for what the vocabulary lacks, digits apart, spaces kept."""
    model = BytesIO()
    llama = {
        "vocab_size": 600, "byte_fallback": True, "split_digits": True, "remove_extra_whitespaces": False,
        "normalization_rule_name": "identity", "allow_whitespace_only_pieces": True,
        "character_coverage": 0.98, "hard_vocab_limit": False,
    }  # fmt: skip
    spaces = ["a  b   c    d     e", "def f():\n    return\n        1"] * 10
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(CORPUS * 3 + spaces), model_writer=model, model_type=kind, minloglevel=2,
        **(llama | settings),
    )  # fmt: skip
    return model.getvalue()


def oracle(data: bytes | None = None) -> Any:
    return sentencepiece.SentencePieceProcessor(model_proto=data or learned())


def write(
    folder: Path, data: bytes | None = None, added: dict[str, int] | None = None, **config: Any
) -> Path:
    """`config` are fields of tokenizer_config.json."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "tokenizer.model").write_bytes(learned() if data is None else data)
    (folder / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": "LlamaTokenizer"} | config))
    if added is not None:
        (folder / "added_tokens.json").write_text(json.dumps(added))
    return folder
