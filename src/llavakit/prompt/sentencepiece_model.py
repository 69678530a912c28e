"""`tokenizer.model`, SentencePiece's file, read without SentencePiece: it is three messages of protobuf.

Field numbers are those of `sentencepiece_model.proto`; numbers in it never change their meaning. The
sentencepiece package could read them too, but knows no added tokens and no offsets, so everything else
would still be made with the tokenizers library, and the core would have one more compiled dependency.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tokenizers import AddedToken, pre_tokenizers, processors
from tokenizers import Tokenizer as Backend

from llavakit.errors import CheckpointError
from llavakit.prompt.sentencepiece import NORMAL, SPACE, Piece, llama_backend

_BPE = 2
_PIECES, _TRAINER, _NORMALISER = 1, 2, 3  # of ModelProto
_TEXT, _SCORE, _KIND = 1, 2, 3  # of SentencePiece
_MODEL_TYPE, _BEGIN, _END, _SUFFIX = 3, 41, 42, 24  # of TrainerSpec
_CHARACTERS, _SPACE_BEFORE, _COLLAPSE, _ESCAPE = 2, 3, 4, 5  # of NormalizerSpec


@dataclass(frozen=True)
class PieceModel:
    """A model of SentencePiece.

    Attributes:
        pieces: in the order of their ids
        space_before: text begins with a space
        bos_token, eos_token: None where it has none
    """

    pieces: tuple[Piece, ...]
    space_before: bool
    bos_token: str | None
    eos_token: str | None


def read_model(path: Path) -> PieceModel:
    """Read a `tokenizer.model`.

    Raises:
        CheckpointError: it is damaged, or of a kind that no LLaVA has.
    """
    try:
        return _model(path.read_bytes(), path)
    except (OSError, ValueError, LookupError, TypeError, AttributeError, struct.error) as error:
        raise CheckpointError(
            f"{path} is not a whole SentencePiece model ({error}): fetch it again"
        ) from None


def _model(data: bytes, path: Path) -> PieceModel:
    pieces: list[Piece] = []
    trainer: dict[int, Any] = {}
    normaliser: dict[int, Any] = {}
    for number, value in _fields(data):
        if number == _PIECES:
            fields = dict(_fields(value))
            score = struct.unpack("<f", fields.get(_SCORE, bytes(4)))[0]
            pieces.append((fields[_TEXT].decode(), score, fields.get(_KIND, NORMAL)))
        elif number == _TRAINER:
            trainer = dict(_fields(value))
        elif number == _NORMALISER:
            normaliser = dict(_fields(value))
    if not pieces:
        raise ValueError("it has no pieces")
    if trainer.get(_MODEL_TYPE) != _BPE:
        raise CheckpointError(
            f"{path}: only SentencePiece models of type BPE are supported, as Llama's and Mistral's are: "
            "save the tokenizer as tokenizer.json with transformers"
        )
    unsupported = {
        "characters replaced": normaliser.get(_CHARACTERS),
        "runs of spaces made one": normaliser.get(_COLLAPSE, 1),
        "spaces kept as spaces": not normaliser.get(_ESCAPE, 1),
        "spaces behind words": trainer.get(_SUFFIX),
    }
    if found := [what for what, there in unsupported.items() if there]:
        raise CheckpointError(
            f"{path}: text with {' and '.join(found)} before it is tokenized is not supported: "
            "save the tokenizer as tokenizer.json with transformers"
        )

    def named(field: int, default: int) -> str | None:
        i = trainer.get(field, default)
        return pieces[i][0] if i < len(pieces) else None  # -1 is a huge number here: no such token

    return PieceModel(tuple(pieces), bool(normaliser.get(_SPACE_BEFORE, 1)), named(_BEGIN, 1), named(_END, 2))


def _fields(data: bytes) -> Iterator[tuple[int, Any]]:
    """(field number, value) of a message: a whole number, or the bytes of anything else."""
    at = 0
    while at < len(data):
        key, at = _varint(data, at)
        number, wire = key >> 3, key & 7
        if wire == 0:
            value, at = _varint(data, at)
            yield number, value
            continue
        if wire == 2:
            size, at = _varint(data, at)
        elif wire in (1, 5):
            size = {1: 8, 5: 4}[wire]
        else:
            raise ValueError("a field of an unknown kind")
        if number == 0 or at + size > len(data):
            raise ValueError("a field that ends beyond the file")
        yield number, data[at : at + size]
        at += size


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[at]
        value |= (byte & 127) << shift
        at, shift = at + 1, shift + 7
        if byte < 128:
            return value, at
        if shift > 63:
            raise ValueError("a number of more than 64 bits")


def backend_of(path: Path, settings: dict[str, Any], added: dict[str, int]) -> tuple[Backend, PieceModel]:
    """The tokenizer of a `tokenizer.model`, with the ids that transformers' `LlamaTokenizer` gives.

    Args:
        settings: `tokenizer_config.json`. Its `legacy` (true where it is missing) says that a space is put
            before every stretch between special tokens, and not the first alone.
        added: `added_tokens.json`, text -> id

    Raises:
        CheckpointError: the file is damaged, or the added tokens do not stand right behind its pieces.
    """
    model = read_model(path)
    before = settings.get("add_prefix_space")
    before = model.space_before if before is None else bool(before)
    backend = llama_backend(model.pieces, space_before=before)
    if settings.get("legacy") is False:
        backend.normalizer = None
        scheme = "first" if before else "never"
        backend.pre_tokenizer = pre_tokenizers.Metaspace(SPACE, scheme, split=False)
    _add(backend, settings, added, path)
    bos = _text(settings.get("bos_token")) or model.bos_token
    eos = _text(settings.get("eos_token")) or model.eos_token
    begin = [bos] if bos is not None and settings.get("add_bos_token", True) else []
    end = [eos] if eos is not None and settings.get("add_eos_token", False) else []
    marks = [(mark, backend.token_to_id(mark)) for mark in dict.fromkeys(begin + end)]
    if any(i is None for _, i in marks):
        raise CheckpointError(f"{path} has no {marks[0][0]!r}, which tokenizer_config.json names")
    if marks:
        single = [*begin, "$A", *end]
        backend.post_processor = processors.TemplateProcessing(
            single=single, pair=[*single, *begin, "$B:1", *end], special_tokens=marks
        )
    return backend, model


def _add(backend: Backend, settings: dict[str, Any], added: dict[str, int], path: Path) -> None:
    tokens = {
        i: AddedToken(text, special=_is_special(text, settings), normalized=False)
        for text, i in added.items()
    }
    for i, token in (settings.get("added_tokens_decoder") or {}).items():
        flags = {name: token[name] for name in _FLAGS if name in token}
        tokens[int(i)] = AddedToken(token["content"], **flags)
    for i, token in sorted(tokens.items()):
        if token.special:
            backend.add_special_tokens([token])
        else:
            backend.add_tokens([token])
        if backend.token_to_id(token.content) != i:
            raise CheckpointError(
                f"{path.parent}: the added token {token.content!r} has the number {i}, which is not the next "
                f"behind {path.name}: its files belong to different models"
            )


_FLAGS = ("special", "lstrip", "rstrip", "single_word", "normalized")


def _is_special(text: str, settings: dict[str, Any]) -> bool:
    """`added_tokens.json` does not say which are left out of answers: those with a part to play are."""
    named = [settings.get(f"{kind}_token") for kind in ("bos", "eos", "pad", "unk")]
    named += settings.get("additional_special_tokens") or []
    return text in map(_text, named) or text.startswith("<im_")


def _text(token: Any) -> str | None:
    """A token's text, however the file spells it."""
    return token.get("content") if isinstance(token, dict) else token
