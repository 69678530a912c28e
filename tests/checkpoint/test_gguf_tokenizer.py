"""Tokenizers in GGUF metadata: SentencePiece and the tokenizers that were written are the oracles."""

import json
import random
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import AddedToken, Regex, decoders, models, normalizers, pre_tokenizers, processors, trainers
from tokenizers import Tokenizer as Backend
from tokenizers.pre_tokenizers import ByteLevel, Digits, PreTokenizer, Split

from checkpoint.small import backend as of_words
from llavakit.checkpoint.gguf_tokenizer import read_tokenizer, tokenizer_metadata
from llavakit.errors import CheckpointError
from llavakit.prompt.tokenizer import Tokenizer
from prompt.backends import CORPUS
from prompt.sentencepieces import TEXTS, oracle
from prompt.sentencepieces import write as write_pieces

HERE = Path("model.gguf")


def sentencepiece_metadata(**changes: Any) -> dict[str, Any]:
    """What llama.cpp's converter writes of a `tokenizer.model`."""
    pieces = oracle()
    ids = range(pieces.get_piece_size())

    def kind(i: int) -> int:
        if pieces.is_unknown(i):
            return 2
        return 3 if pieces.is_control(i) else 6 if pieces.is_byte(i) else 1

    return {
        "tokenizer.ggml.model": "llama",
        "tokenizer.ggml.tokens": [pieces.id_to_piece(i) for i in ids],
        "tokenizer.ggml.scores": [pieces.get_score(i) for i in ids],
        "tokenizer.ggml.token_type": [kind(i) for i in ids],
        "tokenizer.ggml.bos_token_id": 1,
        "tokenizer.ggml.eos_token_id": 2,
        **changes,
    }


# The patterns as their tokenizer.json have them.
REST = r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
WORDS = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|"


def pre_tokenizer(pre: str) -> PreTokenizer:
    if pre == "gpt-2":
        return ByteLevel(add_prefix_space=False)
    if pre == "smollm":
        return pre_tokenizers.Sequence([Digits(individual_digits=True), ByteLevel(add_prefix_space=False)])
    digits = {"llama-bpe": r"\p{N}{1,3}", "qwen2": r"\p{N}"}[pre]
    return pre_tokenizers.Sequence(
        [Split(Regex(WORDS + digits + REST), "isolated"), ByteLevel(add_prefix_space=False, use_regex=False)]
    )


def byte_level(pre: str) -> Tokenizer:
    """A tokenizer trained here, as the models that the pattern is named after have it."""
    backend = Backend(models.BPE(ignore_merges=pre == "llama-bpe"))
    backend.pre_tokenizer = pre_tokenizer(pre)
    backend.decoder = decoders.ByteLevel()
    if pre == "qwen2":
        backend.normalizer = normalizers.NFC()
    special = ["<s>", "</s>", "<pad>", "<image>"]
    trainer = trainers.BpeTrainer(
        vocab_size=500, special_tokens=special, initial_alphabet=ByteLevel.alphabet(), show_progress=False
    )
    backend.train_from_iterator(CORPUS, trainer)
    backend.add_tokens([AddedToken("<tool>", special=False, normalized=False)])
    if pre != "qwen2":
        backend.post_processor = processors.TemplateProcessing(
            single="<s> $A", pair="<s> $A $B", special_tokens=[("<s>", 0)]
        )
    return Tokenizer(backend, bos_token="<s>", eos_token="</s>", pad_token="<pad>", image_token="<image>")


def byte_level_metadata(pre: str, **changes: Any) -> dict[str, Any]:
    """What llama.cpp's converter writes of a `tokenizer.json`."""
    tokenizer = byte_level(pre)
    vocabulary = tokenizer.backend.get_vocab(with_added_tokens=True)
    added = tokenizer.backend.get_added_tokens_decoder()
    types = [(3 if added[i].special else 4) if i in added else 1 for i in range(len(vocabulary))]
    model = json.loads(tokenizer.backend.to_str())["model"]
    return {
        "tokenizer.ggml.model": "gpt2",
        "tokenizer.ggml.pre": pre,
        "tokenizer.ggml.tokens": sorted(vocabulary, key=vocabulary.__getitem__),
        "tokenizer.ggml.token_type": types,
        "tokenizer.ggml.merges": [" ".join(pair) for pair in model["merges"]],
        "tokenizer.ggml.bos_token_id": 0,
        "tokenizer.ggml.eos_token_id": 1,
        "tokenizer.ggml.padding_token_id": 2,
        "tokenizer.ggml.add_bos_token": pre != "qwen2",
        **changes,
    }


def mixtures(marks: list[str], seed: int = 0) -> list[str]:
    rng = random.Random(seed)
    return ["".join(rng.choices([*TEXTS, *marks], k=rng.randint(0, 8))) for _ in range(200)]


# Reading.


@settings(max_examples=200, deadline=None)
@given(text=st.text(st.characters(exclude_categories=["Cs"]), max_size=40))
def test_ids_of_any_text_are_those_of_sentencepiece(text: str) -> None:
    ours = read_tokenizer(sentencepiece_metadata(), HERE)
    assert ours.encode_plain(text, first=True).ids == oracle().encode(text)


def test_a_text_is_begun_as_the_file_says() -> None:
    assert read_tokenizer(sentencepiece_metadata(), HERE).encode("a cat")[0] == 1
    silent = read_tokenizer(sentencepiece_metadata(**{"tokenizer.ggml.add_bos_token": False}), HERE)
    assert silent.encode("a cat") == oracle().encode("a cat")


def test_without_the_space_before_a_text_nothing_is_put_before_it() -> None:
    ours = read_tokenizer(sentencepiece_metadata(**{"tokenizer.ggml.add_space_prefix": False}), HERE)
    assert ours.encode("\ncat") == [1, *oracle().encode("\ncat")[1:]]  # less the space


@pytest.mark.parametrize("pre", ["llama-bpe", "qwen2", "gpt-2", "smollm"])
def test_ids_are_those_of_the_tokenizer_that_was_converted(pre: str) -> None:
    original, ours = byte_level(pre), read_tokenizer(byte_level_metadata(pre), HERE)
    for text in [*TEXTS, *mixtures(["<s>", "</s>", "<image>", "<tool>"])]:
        assert ours.encode(text) == original.encode(text), text
        assert ours.decode(ours.encode(text)) == original.decode(original.encode(text))
    assert ours.special == original.special
    assert (ours.image_token_id, ours.pad_id) == (3, 2)


def test_llama_3s_pattern_goes_by_its_other_names_too() -> None:
    original = byte_level("llama-bpe")
    ours = read_tokenizer(byte_level_metadata("llama-bpe", **{"tokenizer.ggml.pre": "llama3"}), HERE)
    assert ours.encode("It's 12345\n\nfine") == original.encode("It's 12345\n\nfine")


def test_a_file_without_a_pre_tokenizer_has_the_default_one() -> None:
    metadata = byte_level_metadata("gpt-2")
    del metadata["tokenizer.ggml.pre"]
    ours = read_tokenizer(metadata, HERE)
    # punctuation stands alone, and digits in threes: llama.cpp's patterns one after the other
    split = ours.backend.pre_tokenizer.pre_tokenize_str("we're 12345!?")
    assert [piece for piece, _ in split] == ["we", "'", "re", "Ġ", "123", "45", "!?"]


def test_an_image_token_that_is_not_there_gets_the_next_id() -> None:
    ours = read_tokenizer(sentencepiece_metadata(), HERE)
    assert ours.image_token_id == oracle().get_piece_size()


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"tokenizer.ggml.model": "t5"}, "a tokenizer of type 't5' is not supported"),
        ({"tokenizer.ggml.tokens": []}, "holds no tokenizer"),
        ({"tokenizer.ggml.scores": [0.0]}, "tokenizer.ggml.scores must name one for each"),
        ({"tokenizer.ggml.eos_token_id": 10**6}, "eos_token_id is 1000000, but the vocabulary has"),
        ({"tokenizer.ggml.tokens": ["a", "a"]}, "holds a token twice"),
    ],
)  # fmt: skip
def test_a_damaged_tokenizer_is_said(changes: dict[str, Any], says: str) -> None:
    with pytest.raises(CheckpointError, match=says):
        read_tokenizer(sentencepiece_metadata(**changes), HERE)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"tokenizer.ggml.pre": "tekken"}, "the pre-tokenizer 'tekken' .* is not supported, only default"),
        ({"tokenizer.ggml.merges": ["zz yy"]}, "its tokenizer is damaged"),
        ({"tokenizer.ggml.merges": ["zz"]}, "its tokenizer is damaged"),
        ({"tokenizer.ggml.eos_token_id": None}, "names no end token"),
    ],
)
def test_a_damaged_byte_level_tokenizer_is_said(changes: dict[str, Any], says: str) -> None:
    with pytest.raises(CheckpointError, match=says):
        read_tokenizer(byte_level_metadata("gpt-2", **changes), HERE)


# Writing.


def again(tokenizer: Tokenizer, rows: int | None = None) -> Tokenizer:
    return read_tokenizer(tokenizer_metadata(tokenizer, rows or tokenizer.vocab_size, "model"), HERE)


@pytest.mark.parametrize("legacy", [True, False])
def test_scores_that_fell_away_come_back_from_the_order_of_merges(tmp_path: Path, legacy: bool) -> None:
    original = Tokenizer.load(write_pieces(tmp_path, legacy=legacy, add_bos_token=True))
    metadata = tokenizer_metadata(original, original.vocab_size, "model")
    assert metadata["tokenizer.ggml.model"] == "llama"
    pieces = oracle()
    normal = [i for i in range(pieces.get_piece_size()) if metadata["tokenizer.ggml.token_type"][i] == 1]
    theirs = sorted((i for i in normal if len(pieces.id_to_piece(i)) > 1), key=pieces.get_score)
    ours = sorted(theirs, key=metadata["tokenizer.ggml.scores"].__getitem__)
    assert ours == theirs
    ours_again = again(original)
    for text in [*TEXTS, *mixtures(["<s>", "</s>", "<unk>", "<image>"])]:
        assert ours_again.encode(text) == original.encode(text), text


@pytest.mark.parametrize("pre", ["llama-bpe", "qwen2", "gpt-2", "smollm"])
def test_a_byte_level_tokenizer_survives(pre: str) -> None:
    original = byte_level(pre)
    assert tokenizer_metadata(original, original.vocab_size, "model")["tokenizer.ggml.pre"] == pre
    ours = again(original)
    for text in [*TEXTS, *mixtures(["<s>", "</s>", "<image>", "<tool>"], seed=1)]:
        assert ours.encode(text) == original.encode(text), text


def test_rows_of_the_embedding_without_a_token_are_filled_up() -> None:
    original = byte_level("gpt-2")
    metadata = tokenizer_metadata(original, original.vocab_size + 3, "model")
    assert metadata["tokenizer.ggml.tokens"][-1] == f"[PAD{original.vocab_size + 2}]"
    assert metadata["tokenizer.ggml.token_type"][-3:] == [5, 5, 5]
    assert read_tokenizer(metadata, HERE).encode("a cat") == original.encode("a cat")


def test_a_tokenizer_larger_than_its_embedding_is_refused() -> None:
    original = byte_level("gpt-2")
    with pytest.raises(CheckpointError, match=rf"model: .* {original.vocab_size} tokens, .* only 40 rows"):
        tokenizer_metadata(original, 40, "model")


def test_the_tokenizer_of_the_embedded_model_survives() -> None:
    from llavakit.checkpoint.locate import embedded_folder

    original = Tokenizer.load(embedded_folder())
    ours = again(original)
    for text in TEXTS:
        assert ours.encode(text) == original.encode(text)


def test_a_tokenizer_of_another_kind_is_refused() -> None:
    tokenizer = Tokenizer(
        of_words(), bos_token="<s>", eos_token="</s>", pad_token=None, image_token="<image>"
    )
    with pytest.raises(CheckpointError, match="a tokenizer of type WordLevel cannot be written"):
        tokenizer_metadata(tokenizer, 97, "model")


def test_a_pattern_that_llama_cpp_lacks_is_refused() -> None:
    tokenizer = byte_level("gpt-2")
    tokenizer.backend.pre_tokenizer = pre_tokenizers.Sequence(
        [Split(Regex(r"\d+"), "isolated"), ByteLevel(add_prefix_space=False)]
    )
    with pytest.raises(CheckpointError, match=r"llama\.cpp has no pre-tokenizer like this"):
        tokenizer_metadata(tokenizer, tokenizer.vocab_size, "model")


def test_what_the_format_would_lose_is_refused() -> None:
    tokenizer = byte_level("gpt-2")
    tokenizer.backend.normalizer = normalizers.Lowercase()
    with pytest.raises(CheckpointError, match="a part that GGUF has no words for"):
        tokenizer_metadata(tokenizer, tokenizer.vocab_size, "model")


def test_merges_that_sentencepiece_would_not_choose_are_refused(tmp_path: Path) -> None:
    tokenizer = Tokenizer.load(write_pieces(tmp_path))
    described = json.loads(tokenizer.backend.to_str())
    described["model"]["merges"].pop(7)
    tokenizer.backend = Backend.from_str(json.dumps(described))
    with pytest.raises(CheckpointError, match=r"llama\.cpp would read texts differently"):
        tokenizer_metadata(tokenizer, tokenizer.vocab_size, "model")
