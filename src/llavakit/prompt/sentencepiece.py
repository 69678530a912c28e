"""SentencePiece's BPE in the `tokenizers` library: pieces and their scores say which pair to join first.

SentencePiece (Kudo and Richardson 2018) joins, again and again, the two neighbours whose union has the
highest score. The `tokenizers` library wants that as an ordered list of pairs.
"""

from collections.abc import Sequence

from tokenizers import AddedToken, decoders, normalizers, processors
from tokenizers import Tokenizer as Backend
from tokenizers.models import BPE

SPACE = "▁"
# The types of pieces, as sentencepiece_model.proto numbers them.
NORMAL, UNKNOWN, CONTROL, USER_DEFINED, UNUSED, BYTE = range(1, 7)

Piece = tuple[str, float, int]  # its text, its score, its type


def llama_backend(
    pieces: Sequence[Piece], *, space_before: bool = True, bos_token: str | None = None
) -> Backend:
    """A tokenizer that gives the ids that SentencePiece gives.

    `tokenizer.model` of the original layout and `tokenizer.ggml.*` of GGUF both hold such pieces.

    Args:
        pieces: in the order of their ids, each once
        space_before: every stretch of text begins with a space (SentencePiece's `add_dummy_prefix`)
        bos_token: opens every text
    """
    ids = {text: i for i, (text, _, _) in enumerate(pieces)}
    unknown = next((text for text, _, kind in pieces if kind == UNKNOWN), None)
    has_bytes = any(kind == BYTE for _, _, kind in pieces)
    backend = Backend(
        BPE(vocab=ids, merges=merges(pieces), unk_token=unknown, fuse_unk=True, byte_fallback=has_bytes)
    )
    begin = [normalizers.Prepend(SPACE)] if space_before else []
    backend.normalizer = normalizers.Sequence([*begin, normalizers.Replace(" ", SPACE)])
    strip = [decoders.Strip(" ", 1, 0)] if space_before else []
    backend.decoder = decoders.Sequence(
        [decoders.Replace(SPACE, " "), decoders.ByteFallback(), decoders.Fuse(), *strip]
    )
    for text, _, kind in pieces:
        if kind in (UNKNOWN, CONTROL):
            backend.add_special_tokens([AddedToken(text, special=True, normalized=False)])
        elif kind == USER_DEFINED:
            backend.add_tokens([AddedToken(text, special=False, normalized=False)])
    if bos_token is not None:
        opened = f"{bos_token} $A"
        backend.post_processor = processors.TemplateProcessing(
            single=opened, pair=f"{opened} $B", special_tokens=[(bos_token, ids[bos_token])]
        )
    return backend


def merges(pieces: Sequence[Piece]) -> list[tuple[str, str]]:
    """Every pair of normal pieces whose union is one, the union of the highest score first."""
    scores = {text: score for text, score, kind in pieces if kind == NORMAL}
    pairs = [
        (text[:i], text[i:])
        for text in scores
        for i in range(1, len(text))
        if text[:i] in scores and text[i:] in scores
    ]
    return sorted(pairs, key=lambda pair: -scores[pair[0] + pair[1]])
