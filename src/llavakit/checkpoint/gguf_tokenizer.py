"""A tokenizer in GGUF metadata and back: SentencePiece's pieces ("llama"), or byte-level BPE ("gpt2").

Keys, token types and the patterns behind the names of pre-tokenizers are those of llama.cpp
(`docs/gguf.md` of ggml, `src/llama-vocab.cpp`).
"""

import json
import re
from collections.abc import Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

from tokenizers import AddedToken, Regex, decoders, normalizers, pre_tokenizers, processors
from tokenizers import Tokenizer as Backend
from tokenizers.models import BPE
from tokenizers.pre_tokenizers import ByteLevel, Digits, Metaspace, PreTokenizer, Split

from llavakit.errors import CheckpointError
from llavakit.prompt.sentencepiece import (
    BYTE,
    CONTROL,
    NORMAL,
    SPACE,
    UNKNOWN,
    UNUSED,
    USER_DEFINED,
    llama_backend,
)
from llavakit.prompt.tokenizer import Tokenizer

IMAGE_TOKEN_ID = "llavakit.image_token_id"
_IMAGE = "<image>"
# A scheme of the tokenizers library's Metaspace, where the tokenizer has one. llama.cpp knows no other way
# than SentencePiece's: a space before every stretch of text, also where one stands already.
_METASPACE = "llavakit.tokenizer.metaspace"

_GPT_2 = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)"
_WORDS = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|"
_REST = r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
_PATTERNS: dict[str, list[str]] = {
    "default": [r"[\p{P}\$\+<=>\^~\|]+", _GPT_2, r"\p{N}+", r"[0-9][0-9][0-9]"],
    "llama-bpe": [_WORDS + r"\p{N}{1,3}" + _REST],
    "qwen2": [_WORDS + r"\p{N}" + _REST],
}
_ALIASES = {"llama3": "llama-bpe", "llama-v3": "llama-bpe"}
_PRE = (*_PATTERNS, "gpt-2", "smollm")
_BEGUN = ("llama-bpe",)  # opened with the begin token unless the file says otherwise


def read_tokenizer(metadata: Mapping[str, Any], path: Path) -> Tokenizer:
    """The tokenizer that a model file's metadata describes.

    An image token that the vocabulary lacks, as files made of original checkpoints do, gets the first
    id behind it.

    Raises:
        CheckpointError: a part is missing, or of a kind that is not supported.
    """
    model = metadata.get("tokenizer.ggml.model")
    tokens = metadata.get("tokenizer.ggml.tokens")
    if not isinstance(tokens, list) or not tokens:
        raise CheckpointError(f"{path} holds no tokenizer (tokenizer.ggml.tokens): convert the model again")
    if model not in ("llama", "gpt2"):
        raise CheckpointError(f"{path}: a tokenizer of type {model!r} is not supported, only llama and gpt2")
    if len(set(tokens)) != len(tokens):
        raise CheckpointError(f"{path}: its vocabulary holds a token twice: convert the model again")
    special = _Special(metadata, path, tokens, unstated_eos=2 if model == "llama" else None)
    build = _sentencepiece if model == "llama" else _byte_level
    try:
        backend = build(metadata, path, tokens, special)
    except CheckpointError:
        raise
    except Exception as error:  # the library raises plain Exception
        raise CheckpointError(
            f"{path}: its tokenizer is damaged ({error}): convert the model again"
        ) from None
    image = metadata.get(IMAGE_TOKEN_ID)
    return Tokenizer(
        backend,
        bos_token=special.bos,
        eos_token=special.eos,
        pad_token=special.pad,
        image_token=_IMAGE if image is None else special.named(IMAGE_TOKEN_ID, image),
    )


def image_token_id(metadata: Mapping[str, Any]) -> int:
    """The id that `read_tokenizer` finds or gives, without building the tokenizer."""
    tokens = metadata.get("tokenizer.ggml.tokens") or []
    given = metadata.get(IMAGE_TOKEN_ID)
    if given is not None:
        return int(given)
    return tokens.index(_IMAGE) if _IMAGE in tokens else len(tokens)


def end_ids(metadata: Mapping[str, Any]) -> tuple[int, ...]:
    """Tokens that end an answer: of the text, and of a turn."""
    kinds = ("tokenizer.ggml.eos_token_id", "tokenizer.ggml.eot_token_id")
    defaults = {kinds[0]: 2} if metadata.get("tokenizer.ggml.model") == "llama" else {}
    ids = [(defaults | dict(metadata)).get(kind) for kind in kinds]
    return tuple(dict.fromkeys(i for i in ids if i is not None))


class _Special:
    """The tokens that have a part to play, by their letters."""

    def __init__(
        self, metadata: Mapping[str, Any], path: Path, tokens: Sequence[str], unstated_eos: int | None
    ) -> None:
        self._path, self._tokens = path, tokens
        unstated_bos = None if unstated_eos is None else 1

        def token(kind: str, default: int | None = None) -> str | None:
            key = f"tokenizer.ggml.{kind}_token_id"
            value = metadata.get(key, default)
            return None if value is None else self.named(key, value)

        eos = token("eos", unstated_eos)
        if eos is None:
            raise CheckpointError(f"{path} names no end token (tokenizer.ggml.eos_token_id)")
        self.bos, self.eos, self.pad = token("bos", unstated_bos), eos, token("padding")

    def named(self, key: str, value: Any) -> str:
        if not isinstance(value, int) or not 0 <= value < len(self._tokens):
            raise CheckpointError(
                f"{self._path}: {key} is {value!r}, but the vocabulary has {len(self._tokens)} tokens"
            )
        return self._tokens[value]


def _sentencepiece(
    metadata: Mapping[str, Any], path: Path, tokens: Sequence[str], special: _Special
) -> Backend:
    scores = _as_long("scores", metadata, path, tokens)
    types = _as_long("token_type", metadata, path, tokens)
    begun = metadata.get("tokenizer.ggml.add_bos_token", True)
    backend = llama_backend(
        list(zip(tokens, scores, types, strict=True)),
        space_before=metadata.get("tokenizer.ggml.add_space_prefix", True),
        bos_token=special.bos if begun else None,
    )
    if (scheme := metadata.get(_METASPACE)) is not None:
        backend.normalizer = None
        backend.pre_tokenizer = Metaspace(SPACE, scheme, split=False)
    return backend


def _byte_level(metadata: Mapping[str, Any], path: Path, tokens: Sequence[str], special: _Special) -> Backend:
    pre = metadata.get("tokenizer.ggml.pre", "default")
    name = _ALIASES.get(pre, pre)
    if name not in _PRE:
        raise CheckpointError(
            f"{path}: the pre-tokenizer {pre!r} (tokenizer.ggml.pre) is not supported, "
            f"only {', '.join(sorted((*_PRE, *_ALIASES)))}"
        )
    pairs = [tuple(line.split(" ", 1)) for line in metadata.get("tokenizer.ggml.merges", ())]
    ids = {token: i for i, token in enumerate(tokens)}
    backend = Backend(BPE(vocab=ids, merges=pairs, ignore_merges=name == "llama-bpe"))
    backend.pre_tokenizer = _pre_tokenizer(name)
    backend.decoder = decoders.ByteLevel()
    if name == "qwen2":
        backend.normalizer = normalizers.NFC()
    types = metadata.get("tokenizer.ggml.token_type", [NORMAL] * len(tokens))
    for token, kind in zip(tokens, types, strict=True):
        if kind in (CONTROL, UNKNOWN):
            backend.add_special_tokens([AddedToken(token, special=True, normalized=False)])
        elif kind == USER_DEFINED:
            backend.add_tokens([AddedToken(token, special=False, normalized=False)])
    if special.bos is not None and metadata.get("tokenizer.ggml.add_bos_token", name in _BEGUN):
        backend.post_processor = processors.TemplateProcessing(
            single=f"{special.bos} $A",
            pair=f"{special.bos} $A $B",
            special_tokens=[(special.bos, ids[special.bos])],
        )
    return backend


def _as_long(kind: str, metadata: Mapping[str, Any], path: Path, tokens: Sequence[str]) -> list[Any]:
    values = metadata.get(f"tokenizer.ggml.{kind}")
    if not isinstance(values, list) or len(values) != len(tokens):
        raise CheckpointError(
            f"{path}: tokenizer.ggml.{kind} must name one for each of the {len(tokens)} tokens: "
            "convert the model again"
        )
    return values


def _pre_tokenizer(name: str) -> PreTokenizer:
    if name == "gpt-2":
        return ByteLevel(add_prefix_space=False)
    if name == "smollm":
        return pre_tokenizers.Sequence([Digits(individual_digits=True), ByteLevel(add_prefix_space=False)])
    splits: list[PreTokenizer] = [Split(Regex(pattern), "isolated") for pattern in _PATTERNS[name]]
    return pre_tokenizers.Sequence([*splits, ByteLevel(add_prefix_space=False, use_regex=False)])


def tokenizer_metadata(tokenizer: Tokenizer, rows: int, where: str) -> dict[str, Any]:
    """`tokenizer` as GGUF metadata, filled up with unused tokens to the embedding's `rows`.

    Raises:
        CheckpointError: the format has no words for a tokenizer of this kind, or tokens have no row.
    """
    described = json.loads(tokenizer.backend.to_str())
    model = described["model"]
    if model["type"] != "BPE":
        raise CheckpointError(
            f"{where}: a tokenizer of type {model['type']} cannot be written as GGUF, only BPE can"
        )
    if (ids := 1 + max(tokenizer.backend.get_vocab(with_added_tokens=True).values())) > rows:
        raise CheckpointError(
            f"{where}: its tokenizer has ids for {ids} tokens, its embedding only {rows} rows: "
            "is that the tokenizer it was trained with?"
        )
    write = _sentencepiece_metadata if model["byte_fallback"] else _byte_level_metadata
    values = write(described, tokenizer, rows, where)
    values |= {
        "tokenizer.ggml.eos_token_id": tokenizer.eos_id,
        "tokenizer.ggml.padding_token_id": tokenizer.pad_id,
        "tokenizer.ggml.add_bos_token": bool(tokenizer.prefix),
        "tokenizer.ggml.add_eos_token": False,
        IMAGE_TOKEN_ID: tokenizer.image_token_id,
    }
    if tokenizer.bos_id is not None:
        values["tokenizer.ggml.bos_token_id"] = tokenizer.bos_id
    again = read_tokenizer(values, Path(where))
    if _meaning(again) != _meaning(tokenizer):
        raise CheckpointError(
            f"{where}: its tokenizer has a part that GGUF has no words for: "
            "llama.cpp would read texts differently"
        )
    return values


def _vocabulary(tokenizer: Tokenizer, rows: int) -> tuple[list[str], list[int]]:
    """Every row's token and type; rows without one are named as llama.cpp's converter names them."""
    tokens = [f"[PAD{i}]" for i in range(rows)]
    types = [UNUSED] * rows
    for token, i in tokenizer.backend.get_vocab(with_added_tokens=True).items():
        tokens[i], types[i] = token, NORMAL
    for i, added in tokenizer.backend.get_added_tokens_decoder().items():
        types[i] = CONTROL if added.special else USER_DEFINED
    return tokens, types


def _sentencepiece_metadata(
    described: Mapping[str, Any], tokenizer: Tokenizer, rows: int, where: str
) -> dict[str, Any]:
    tokens, types = _vocabulary(tokenizer, rows)
    unknown = described["model"]["unk_token"]
    for i, token in enumerate(tokens):
        if types[i] == NORMAL and re.fullmatch("<0x[0-9A-F]{2}>", token):
            types[i] = BYTE
    # Scores fell away when the model became a list of pairs: what is joined first had the highest.
    joined = dict.fromkeys(left + right for left, right in described["model"]["merges"])
    ranks = {token: rank for rank, token in enumerate(joined)}
    scores = [-float(ranks.get(token, len(ranks) + i)) for i, token in enumerate(tokens)]
    values: dict[str, Any] = {
        "tokenizer.ggml.model": "llama",
        "tokenizer.ggml.pre": "default",
        **_spaces(described, where),
    }
    if unknown in tokens:
        types[tokens.index(unknown)] = UNKNOWN
        values["tokenizer.ggml.unknown_token_id"] = tokens.index(unknown)
    return values | {
        "tokenizer.ggml.tokens": tokens,
        "tokenizer.ggml.scores": scores,
        "tokenizer.ggml.token_type": types,
    }


def _spaces(described: Mapping[str, Any], where: str) -> dict[str, Any]:
    """How spaces become "▁" and where one is put before: a normaliser's affair, or Metaspace's."""
    steps, pre = _parts(described["normalizer"], "normalizers"), described["pre_tokenizer"]
    replace = {"type": "Replace", "pattern": {"String": " "}, "content": SPACE}
    before = "tokenizer.ggml.add_space_prefix"
    if pre is None and steps == [{"type": "Prepend", "prepend": SPACE}, replace]:
        return {before: True}
    if pre is None and steps == [replace]:
        return {before: False}
    if not steps and pre is not None and pre["type"] == "Metaspace" and not pre["split"]:
        return {before: pre["prepend_scheme"] != "never", _METASPACE: pre["prepend_scheme"]}
    raise CheckpointError(f"{where}: its tokenizer treats spaces in a way that GGUF has no words for")


def _parts(step: Mapping[str, Any] | None, inner: str) -> list[Any]:
    return [] if step is None else list(step.get(inner, [step]))


def _byte_level_metadata(
    described: Mapping[str, Any], tokenizer: Tokenizer, rows: int, where: str
) -> dict[str, Any]:
    steps = _steps(described["pre_tokenizer"])
    pre = next((name for name in _PRE if _steps(_json(_pre_tokenizer(name))) == steps), None)
    if pre is None:
        raise CheckpointError(
            f"{where}: llama.cpp has no pre-tokenizer like this tokenizer's; those known: {', '.join(_PRE)}"
        )
    tokens, types = _vocabulary(tokenizer, rows)
    return {
        "tokenizer.ggml.model": "gpt2",
        "tokenizer.ggml.pre": pre,
        "tokenizer.ggml.tokens": tokens,
        "tokenizer.ggml.token_type": types,
        "tokenizer.ggml.merges": [" ".join(pair) for pair in described["model"]["merges"]],
    }


def _json(pre_tokenizer: PreTokenizer) -> Any:
    backend = Backend(BPE())
    backend.pre_tokenizer = pre_tokenizer
    return json.loads(backend.to_str())["pre_tokenizer"]


def _steps(pre_tokenizer: Mapping[str, Any] | None) -> list[Any]:
    """A pre-tokenizer's steps, without what has no effect on ids."""
    steps = _parts(pre_tokenizer, "pretokenizers")
    return [{key: value for key, value in step.items() if key != "trim_offsets"} for step in steps]


def _meaning(tokenizer: Tokenizer) -> dict[str, Any]:
    """What decides a tokenizer's ids; tokens that only fill up rows are left out."""
    described = json.loads(tokenizer.backend.to_str())
    model = described["model"]
    merges: list[Any] = model["merges"]
    if model["byte_fallback"]:  # ways to join the same piece have the same score: their order says nothing
        merges = [sorted(ways) for _, ways in groupby(merges, "".join)]
    vocabulary = tokenizer.backend.get_vocab(with_added_tokens=True).items()
    return {
        "vocabulary": {(token, i) for token, i in vocabulary if not re.fullmatch(r"\[PAD\d+\]", token)},
        "merges": merges,
        "added": {(t.content, i, t.special) for i, t in tokenizer.backend.get_added_tokens_decoder().items()},
        "unknown": model["unk_token"] if model["byte_fallback"] else None,  # bytes leave nothing unknown
        "affixes": (model["continuing_subword_prefix"] or "", model["end_of_word_suffix"] or ""),
        "normalizer": _parts(described["normalizer"], "normalizers"),
        "pre_tokenizer": _steps(described["pre_tokenizer"]),
        "prefix": tokenizer.prefix,
        "image": tokenizer.image_token_id,
    }
