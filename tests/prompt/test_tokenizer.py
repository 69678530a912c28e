"""Loading and saving tokenizers, and text as it streams."""

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer as Backend
from tokenizers import processors
from transformers import AutoTokenizer

from llavakit.errors import CheckpointError
from llavakit.prompt.tokenizer import TextStream, Tokenizer
from prompt.backends import BACKENDS, small

WORDS = "A cat, naïve 中文 🙂 龍!"


def write(folder: Path, backend: Backend, config: dict[str, object] | None) -> None:
    backend.save(str(folder / "tokenizer.json"))
    if config is not None:
        (folder / "tokenizer_config.json").write_text(json.dumps(config))


@pytest.mark.parametrize("kind", BACKENDS)
def test_a_saved_tokenizer_loads_as_the_same(kind: str, tmp_path: Path) -> None:
    tokenizer = small(kind)
    tokenizer.save(tmp_path)
    again = Tokenizer.load(tmp_path)
    for name in ("bos_id", "eos_id", "pad_id", "image_token_id", "vocab_size", "prefix"):
        assert getattr(again, name) == getattr(tokenizer, name), name
    assert again.encode(WORDS) == tokenizer.encode(WORDS)


@pytest.mark.parametrize("kind", BACKENDS)
def test_transformers_reads_what_is_saved(kind: str, tmp_path: Path) -> None:
    tokenizer = small(kind)
    tokenizer.save(tmp_path, chat_template="{{ messages }}")
    theirs = AutoTokenizer.from_pretrained(tmp_path)
    assert theirs.eos_token_id == tokenizer.eos_id
    assert theirs.bos_token_id == tokenizer.bos_id
    assert theirs.pad_token_id == tokenizer.pad_id
    assert theirs.image_token == "<image>"
    assert theirs.convert_tokens_to_ids(theirs.image_token) == tokenizer.image_token_id
    assert theirs.chat_template == "{{ messages }}"
    text = f"USER: <image>\n{WORDS} ASSISTANT: {WORDS}</s>"
    ids = theirs(text)["input_ids"]
    assert ids == tokenizer.encode(text)
    assert theirs.decode(ids, skip_special_tokens=True) == tokenizer.decode(ids)


def test_an_image_token_that_is_missing_is_added_at_the_end(tmp_path: Path) -> None:
    backend = BACKENDS["llama-prepend"]()
    size = backend.get_vocab_size()
    write(tmp_path, backend, {"eos_token": "</s>", "bos_token": "<s>"})
    tokenizer = Tokenizer.load(tmp_path)
    assert (tokenizer.image_token_id, tokenizer.vocab_size) == (size, size + 1)
    assert tokenizer.decode([tokenizer.image_token_id]) == ""


def test_the_folders_own_image_token_wins(tmp_path: Path) -> None:
    backend = BACKENDS["qwen-bytes"]()
    write(tmp_path, backend, {"eos_token": "<|im_end|>", "image_token": "<im_start>"})
    assert Tokenizer.load(tmp_path).image_token == "<im_start>"


def test_token_names_may_be_objects_and_stand_in_the_older_file(tmp_path: Path) -> None:
    write(tmp_path, BACKENDS["qwen-bytes"](), {"bos_token": None})
    older = {"eos_token": {"content": "</s>", "lstrip": False}, "pad_token": "<|im_end|>"}
    (tmp_path / "special_tokens_map.json").write_text(json.dumps(older))
    tokenizer = Tokenizer.load(tmp_path)
    assert (tokenizer.bos_id, tokenizer.eos_token, tokenizer.pad_token) == (None, "</s>", "<|im_end|>")


def test_without_a_padding_token_the_end_token_pads() -> None:
    assert small("qwen-bytes").pad_id == small("qwen-bytes").eos_id


def test_only_what_stands_before_a_text_opens_it() -> None:
    backend = Backend.from_str(small("llama3-bytes").backend.to_str())
    begin, end = (backend.token_to_id(token) for token in ("<s>", "</s>"))
    backend.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", special_tokens=[("<s>", begin), ("</s>", end)]
    )
    tokenizer = Tokenizer(backend, bos_token="<s>", eos_token="</s>", pad_token=None, image_token="<image>")
    assert tokenizer.prefix == [begin]
    assert small("qwen-bytes").prefix == []


def test_a_folder_without_a_tokenizer_is_named(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"no tokenizer\.json: the model is incomplete"):
        Tokenizer.load(tmp_path)
    (tmp_path / "tokenizer.model").write_bytes(b"")
    with pytest.raises(CheckpointError, match=r"tokenizer\.model is not a whole SentencePiece model"):
        Tokenizer.load(tmp_path)


def test_damaged_files_are_named(tmp_path: Path) -> None:
    write(tmp_path, BACKENDS["qwen-bytes"](), None)
    (tmp_path / "tokenizer_config.json").write_text("{")
    with pytest.raises(CheckpointError, match=r"tokenizer_config\.json is not readable JSON"):
        Tokenizer.load(tmp_path)
    (tmp_path / "tokenizer_config.json").write_text("[]")
    with pytest.raises(CheckpointError, match="not a JSON object"):
        Tokenizer.load(tmp_path)
    (tmp_path / "tokenizer.json").write_text("{}")
    with pytest.raises(CheckpointError, match=r"tokenizer\.json is not a tokenizer"):
        Tokenizer.load(tmp_path)


def test_a_missing_or_unknown_end_token_is_named(tmp_path: Path) -> None:
    write(tmp_path, BACKENDS["qwen-bytes"](), {"bos_token": "<s>"})
    with pytest.raises(CheckpointError, match="names no eos_token"):
        Tokenizer.load(tmp_path)
    write(tmp_path, BACKENDS["qwen-bytes"](), {"eos_token": "<end>"})
    with pytest.raises(CheckpointError, match="no token '<end>'"):
        Tokenizer.load(tmp_path)


unicode = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\ufffd"), max_size=20)
streams = st.lists(unicode | st.sampled_from(["🙂🙃", "中文", "  ", " a", "\n", "é"]), max_size=8).map(
    "".join
)


def stream(tokenizer: Tokenizer, ids: list[int]) -> list[str]:
    text = TextStream(tokenizer)
    return [*(text.push(id_) for id_ in ids), text.flush()]


@pytest.mark.parametrize("kind", BACKENDS)
@settings(max_examples=100, deadline=None)
@given(text=streams)
def test_streamed_pieces_join_to_the_full_decode_and_are_whole_characters(kind: str, text: str) -> None:
    tokenizer = small(kind)
    ids = list(tokenizer.encode_plain(text, first=True).ids)
    pieces = stream(tokenizer, ids)
    assert "".join(pieces) == tokenizer.decode(ids)
    assert not any("\ufffd" in piece for piece in pieces)
    assert pieces[-1] == ""


@pytest.mark.parametrize("kind", BACKENDS)
def test_a_character_in_parts_is_held_back_until_it_is_whole(kind: str) -> None:
    tokenizer = small(kind)
    ids = list(tokenizer.encode_plain("a🙂b", first=True).ids)
    assert [piece for piece in stream(tokenizer, ids) if piece] == ["a", "🙂", "b"]


@pytest.mark.parametrize("kind", BACKENDS)
def test_special_tokens_are_not_streamed(kind: str) -> None:
    tokenizer = small(kind)
    ids = [*tokenizer.encode_plain("first second", first=True).ids, tokenizer.eos_id]
    with_images = [tokenizer.image_token_id, *ids]
    assert "".join(stream(tokenizer, with_images)) == "first second"


@pytest.mark.parametrize("kind", BACKENDS)
def test_an_incomplete_character_comes_out_at_the_end(kind: str) -> None:
    tokenizer = small(kind)
    ids = list(tokenizer.encode_plain("a🙂", first=True).ids)[:-1]
    pieces = stream(tokenizer, ids)
    assert pieces[-1].startswith("\ufffd")
    assert "".join(pieces) == tokenizer.decode(ids)


@settings(max_examples=100, deadline=None)
@given(data=st.data())
@pytest.mark.parametrize("kind", ["llama3-bytes", "qwen-bytes"])
def test_any_ids_stream_to_what_they_decode_to(kind: str, data: st.DataObject) -> None:
    """A model may write bytes that are no text; fewer than the stream's patience here."""
    tokenizer = small(kind)
    ids = data.draw(st.lists(st.integers(0, tokenizer.vocab_size - 1), max_size=20))
    assert "".join(stream(tokenizer, ids)) == tokenizer.decode(ids)


def test_endless_rubbish_is_not_held_back_for_ever() -> None:
    tokenizer = small("llama3-bytes")
    rubbish = tokenizer.backend.token_to_id("ÿ")  # the byte 0xFF, which no character begins with
    text = TextStream(tokenizer)
    pieces = [text.push(rubbish) for _ in range(200)]
    assert sum(map(bool, pieces)) > 1
