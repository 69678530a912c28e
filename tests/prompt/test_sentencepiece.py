"""`tokenizer.model` alone: the ids are those of SentencePiece itself, and of transformers.

The sentencepiece package and transformers are the oracles; neither is needed at run time.
"""

import random
from pathlib import Path
from tempfile import NamedTemporaryFile

import pytest
import transformers
from hypothesis import given, settings
from hypothesis import strategies as st

from llavakit.errors import CheckpointError
from llavakit.prompt.sentencepiece_model import read_model
from llavakit.prompt.tokenizer import Tokenizer
from prompt.sentencepieces import TEXTS, learned, oracle, write

MARKS = {"<im_patch>": 600, "<im_start>": 601, "<im_end>": 602}


@pytest.fixture(scope="module")
def ours(tmp_path_factory: pytest.TempPathFactory) -> Tokenizer:
    return Tokenizer.load(write(tmp_path_factory.mktemp("pieces")))


def typed(tokenizer: Tokenizer, text: str) -> list[int]:
    return list(tokenizer.encode_plain(text, first=True).ids)


@pytest.mark.parametrize("text", TEXTS)
def test_ids_are_those_of_sentencepiece(ours: Tokenizer, text: str) -> None:
    assert typed(ours, text) == oracle().encode(text)


@settings(max_examples=300, deadline=None)
@given(text=st.text(st.characters(exclude_categories=["Cs"]), max_size=40))
def test_ids_of_any_text_are_those_of_sentencepiece(ours: Tokenizer, text: str) -> None:
    assert typed(ours, text) == oracle().encode(text)


def test_ids_of_long_mixtures_are_those_of_sentencepiece(ours: Tokenizer) -> None:
    rng = random.Random(0)
    for _ in range(200):
        text = "".join(rng.choices(TEXTS, k=rng.randint(1, 12)))
        assert typed(ours, text) == oracle().encode(text)


@pytest.mark.parametrize("text", TEXTS)
def test_what_was_encoded_decodes_to_itself(ours: Tokenizer, text: str) -> None:
    assert ours.decode(typed(ours, text)) == oracle().decode(oracle().encode(text)) == text.replace("▁", " ")


@pytest.mark.parametrize("legacy", [True, False, None])
@pytest.mark.parametrize("added", [None, MARKS], ids=["", "added"])
def test_ids_with_special_tokens_are_those_of_transformers(
    tmp_path: Path, legacy: bool | None, added: dict[str, int] | None
) -> None:
    """Of its `LlamaTokenizer`, whose version 5 takes a missing `legacy` for false; version 4, with which
    these folders were made, for true."""
    write(tmp_path, added=added, legacy=legacy, add_bos_token=True)
    theirs = transformers.LlamaTokenizer.from_pretrained(tmp_path, legacy=legacy is not False)
    mine = Tokenizer.load(tmp_path)
    assert mine.vocab_size == len(theirs) + 1  # <image>
    marks = ["<s>", "</s>", "<unk>", *(added or {})]
    rng = random.Random(0)
    texts = [text for text in TEXTS if not text.startswith((" ", "▁"))]  # see the next test
    for _ in range(300):
        text = "".join(rng.choices([*texts, *marks], k=rng.randint(0, 6)))
        if any(f"{mark}{space}" in text for mark in marks for space in " ▁"):
            continue
        assert mine.encode(text) == theirs(text)["input_ids"], text


def test_a_space_that_begins_a_text_is_kept_as_sentencepiece_keeps_it(tmp_path: Path) -> None:
    """The tokenizers library's Metaspace, and so transformers, adds none where one stands already."""
    text = " begins with a space"
    assert typed(Tokenizer.load(write(tmp_path / "a", legacy=True)), text) == oracle().encode(text)
    one_less = typed(Tokenizer.load(write(tmp_path / "b", legacy=False)), text)
    assert one_less == oracle().encode(text.strip())


def test_only_the_first_stretch_begins_with_a_space_where_the_tokenizer_is_not_legacy(tmp_path: Path) -> None:
    legacy = Tokenizer.load(write(tmp_path / "a", legacy=True))
    newer = Tokenizer.load(write(tmp_path / "b", legacy=False))
    assert legacy.encode("A cat</s>USER")[-3:] != newer.encode("A cat</s>USER")[-3:]
    assert legacy.decode(legacy.encode("A cat</s>USER")) == "A cat USER"
    assert newer.decode(newer.encode("A cat</s>USER")) == "A catUSER"


def test_begin_and_end_tokens_are_put_where_the_configuration_says(tmp_path: Path) -> None:
    plain = Tokenizer.load(write(tmp_path / "a"))
    both = Tokenizer.load(write(tmp_path / "b", add_eos_token=True))
    neither = Tokenizer.load(write(tmp_path / "c", add_bos_token=False))
    assert plain.encode("A cat")[0] == 1
    assert both.encode("A cat") == [*plain.encode("A cat"), 2]
    assert neither.encode("A cat") == plain.encode("A cat")[1:]
    assert (plain.prefix, both.prefix, neither.prefix) == ([1], [1], [])


def test_added_tokens_get_their_numbers_and_their_part(tmp_path: Path) -> None:
    tokenizer = Tokenizer.load(write(tmp_path, added=MARKS | {"[SEG]": 603}))
    assert [tokenizer.special[mark] for mark in MARKS] == list(MARKS.values())
    assert tokenizer.image_token_id == 604
    ids = tokenizer.encode("A <im_start>cat[SEG]<im_end>")
    assert {601, 602, 603} <= set(ids)
    assert "[SEG]" in tokenizer.decode(ids)
    assert "<im_" not in tokenizer.decode(ids)


def test_flags_of_added_tokens_come_from_the_newer_file(tmp_path: Path) -> None:
    decoder = {
        "2": {"content": "</s>", "special": True},
        "600": {"content": "[SEG]", "special": True, "lstrip": True},
    }
    tokenizer = Tokenizer.load(write(tmp_path, added_tokens_decoder=decoder))
    assert tokenizer.special["[SEG]"] == 600
    assert tokenizer.eats_space["[SEG]"] == (True, False)
    assert "[SEG]" not in tokenizer.decode(tokenizer.encode("A [SEG]"))


def test_empty_names_of_the_first_llama_folders_are_those_of_the_pieces(tmp_path: Path) -> None:
    tokenizer = Tokenizer.load(write(tmp_path, bos_token="", eos_token="", unk_token=""))
    assert (tokenizer.bos_token, tokenizer.eos_token, tokenizer.prefix) == ("<s>", "</s>", [1])


def test_it_is_saved_as_one_that_transformers_reads(tmp_path: Path, ours: Tokenizer) -> None:
    ours.save(tmp_path)
    theirs = transformers.AutoTokenizer.from_pretrained(tmp_path)
    for text in TEXTS:
        assert theirs(text)["input_ids"] == ours.encode(text) == Tokenizer.load(tmp_path).encode(text)


def test_text_behind_a_picture_begins_anew_where_the_tokenizer_says_so_and_the_folder_remembers(
    tmp_path: Path,
) -> None:
    folder = write(tmp_path / "a", legacy=False)
    tokenizer = Tokenizer.load(folder)
    tokenizer.restarts_after_image = True
    tokenizer.save(tmp_path / "b")
    assert not Tokenizer.load(folder).restarts_after_image
    assert Tokenizer.load(tmp_path / "b").restarts_after_image
    theirs = transformers.AutoTokenizer.from_pretrained(tmp_path / "b")
    assert theirs("A")["input_ids"] == tokenizer.encode("A")


@pytest.mark.parametrize("keep", [0, 1, 100, 0.5, -1])
def test_a_model_cut_short_is_named(tmp_path: Path, keep: float) -> None:
    data = learned()
    write(tmp_path, data[: int(len(data) * keep)] if isinstance(keep, float) else data[:keep])
    with pytest.raises(CheckpointError, match=r"tokenizer\.model is not a whole SentencePiece model"):
        Tokenizer.load(tmp_path)


@settings(max_examples=200, deadline=None)
@given(data=st.binary(max_size=60))
def test_rubbish_is_one_error(data: bytes) -> None:
    with NamedTemporaryFile() as file:
        file.write(data)
        file.flush()
        with pytest.raises(CheckpointError):
            read_model(Path(file.name))


@pytest.mark.parametrize(
    ("kind", "arguments", "says"),
    [
        ("unigram", {}, "only SentencePiece models of type BPE"),
        ("bpe", {"normalization_rule_name": "nmt_nfkc"}, "characters replaced"),
        ("bpe", {"remove_extra_whitespaces": True}, "runs of spaces made one"),
        ("bpe", {"treat_whitespace_as_suffix": True}, "spaces behind words"),
    ],
)
def test_a_model_that_would_give_other_ids_is_refused(
    tmp_path: Path, kind: str, arguments: dict[str, object], says: str
) -> None:
    write(tmp_path, learned(kind, **arguments))
    with pytest.raises(CheckpointError, match=says):
        Tokenizer.load(tmp_path)


def test_added_tokens_of_another_tokenizer_are_refused(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="'<im_start>' has the number 700, which is not the next"):
        Tokenizer.load(write(tmp_path, added={"<im_start>": 700}))
    with pytest.raises(CheckpointError, match="no token '<end>'"):
        Tokenizer.load(write(tmp_path, added={}, eos_token="<end>"))


def test_user_defined_pieces_are_found_whole(tmp_path: Path) -> None:
    data = learned(user_defined_symbols="[SEG],<loc>")
    tokenizer = Tokenizer.load(write(tmp_path, data))
    for text in ("A [SEG] cat", "[SEG]<loc>", "x<loc>y"):
        ids = tokenizer.encode(text)[1:]
        assert {i for i in ids if tokenizer.backend.id_to_token(i) in ("[SEG]", "<loc>")} == {
            i for i in oracle(data).encode(text) if oracle(data).id_to_piece(i) in ("[SEG]", "<loc>")
        }
