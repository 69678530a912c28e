"""Examples become batches: lengths, padding, labels."""

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from llavakit.config import ImageConfig, Tiling
from llavakit.data.collate import (
    Featured,
    PackedBatch,
    TokenBatch,
    TokenCollator,
)
from llavakit.errors import LlavaError, PromptError
from llavakit.prompt.encode import IGNORE, PromptEncoder
from llavakit.prompt.messages import Message, assistant, user
from llavakit.prompt.templates import TEMPLATES
from prompt.backends import small

RED, BLUE = Image.new("RGB", (8, 8), "red"), Image.new("RGB", (8, 8), "blue")
SHORT = (user(RED, "What?"), assistant("A cat."))
LONG = (
    user(BLUE, "What is in the picture?"),
    assistant("A cat sits on a mat."),
    user("Sure?"),
    assistant("Yes."),
)
WORDS = (user("Is it night?"), assistant("No."))


@pytest.fixture
def encoder() -> PromptEncoder:
    return PromptEncoder(small("llama3-bytes"), TEMPLATES["vicuna_v1"], 3, ImageConfig(size=8))


Conversation = tuple[Message, ...]


def padded(encoder: PromptEncoder, conversations: list[Conversation], max_length: int = 10_000) -> TokenBatch:
    [batch] = TokenCollator(encoder, max_length, pack=False)(conversations)
    assert type(batch) is TokenBatch
    return batch


def packed(encoder: PromptEncoder, conversations: list[Conversation]) -> PackedBatch:
    [batch] = TokenCollator(encoder, 10_000)(conversations)
    assert isinstance(batch, PackedBatch)
    return batch


def test_a_batch_holds_its_conversations_whole_in_a_length_of_few_kinds(encoder: PromptEncoder) -> None:
    batch = padded(encoder, [SHORT, LONG, WORDS])
    encoded = [encoder.encode(messages, reply=False) for messages in (SHORT, LONG, WORDS)]
    lengths = [len(e.ids) for e in encoded]
    length = batch.ids.shape[1]
    assert batch.ids.shape == batch.labels.shape == (3, length)
    assert max(lengths) <= length < max(lengths) + 16
    assert length % 16 == 0
    for i, e in enumerate(encoded):
        assert batch.ids[i, : lengths[i]].tolist() == e.ids
        assert batch.labels[i, : lengths[i]].tolist() == e.labels


def test_padding_is_on_the_right_and_never_learned(encoder: PromptEncoder) -> None:
    batch = padded(encoder, [SHORT, LONG])
    n = len(encoder.encode(SHORT, reply=False).ids)
    assert n < batch.ids.shape[1]
    assert (batch.ids[0, n:] == encoder.tokenizer.pad_id).all()
    assert (batch.labels[0, n:] == IGNORE).all()


def test_pictures_of_a_batch_follow_their_conversations(encoder: PromptEncoder) -> None:
    batch = padded(encoder, [LONG, WORDS, SHORT])
    assert batch.pixels is not None
    assert batch.pixels.dtype == torch.float32
    assert torch.equal(batch.pixels, torch.from_numpy(encoder.pixels([BLUE, RED])))
    assert padded(encoder, [WORDS]).pixels is None


TILING = Tiling(grids=((8, 16), (16, 8), (16, 16)), tile=8, patches=2, max_tiles=2)
WIDE, TALL = Image.new("RGB", (40, 20), "red"), Image.new("RGB", (20, 60), "blue")


@pytest.mark.parametrize("single", [True, False])
def test_views_of_a_batch_are_those_of_each_conversation_by_itself(single: bool) -> None:
    """A picture alone in its conversation may have tiles while those of its neighbours have none."""
    tiling = TILING.model_copy(update={"single": single})
    encoder = PromptEncoder(
        small("llama3-bytes"), TEMPLATES["vicuna_v1"], 4, ImageConfig(size=8), tiling=tiling
    )
    rows = [(user(WIDE, "?"), assistant("A.")), WORDS, (user(TALL, WIDE, "?"), assistant("B."))]
    batch = padded(encoder, rows)
    alone = [encoder.encode(row, reply=False) for row in rows]
    assert batch.layouts == tuple(layout for each in alone for layout in each.layouts or ())
    assert [layout.views for layout in batch.layouts or ()] == ([3, 1, 1] if single else [3, 3, 3])
    expected = [encoder.pixels(each.images) for each in alone if each.images]
    assert batch.pixels is not None
    assert torch.equal(batch.pixels, torch.from_numpy(np.concatenate(expected)))
    counted = sum(layout.tokens for layout in batch.layouts or ())
    assert (batch.ids == encoder.tokenizer.image_token_id).sum() == counted
    assert padded(encoder, [WORDS]).layouts is None
    moved = batch.to("meta")
    assert moved.pixels is not None
    assert (moved.pixels.device.type, moved.layouts) == ("meta", batch.layouts)


def test_a_conversation_is_cut_at_the_greatest_length(encoder: PromptEncoder) -> None:
    whole = encoder.encode(LONG, reply=False)
    length = len(whole.ids) - 4
    batch = padded(encoder, [LONG], length)
    assert batch.ids.tolist() == [whole.ids[:length]]
    assert batch.labels.tolist() == [whole.labels[:length]]


def test_a_cut_through_a_picture_is_an_error_not_half_a_picture(encoder: PromptEncoder) -> None:
    _, end = encoder.encode(LONG, reply=False).image_spans[0]
    with pytest.raises(PromptError, match=f"a picture ends at token {end} .* {end - 1}"):
        TokenCollator(encoder, end - 1).encode(LONG)


def test_rounding_a_length_up_never_passes_the_greatest(encoder: PromptEncoder) -> None:
    length = len(encoder.encode(LONG, reply=False).ids) + 1
    assert padded(encoder, [LONG], length).ids.shape == (1, length)


def test_moving_a_batch_keeps_what_it_holds(encoder: PromptEncoder) -> None:
    batch = padded(encoder, [WORDS])
    moved = batch.to("meta")
    assert (moved.ids.device.type, moved.ids.shape, moved.pixels) == ("meta", batch.ids.shape, None)


def test_a_packed_batch_holds_its_conversations_end_to_end(encoder: PromptEncoder) -> None:
    batch = packed(encoder, [LONG, WORDS, SHORT])
    encoded = [encoder.encode(messages, reply=False) for messages in (LONG, WORDS, SHORT)]
    assert batch.lengths == tuple(len(e.ids) for e in encoded)
    whole = [i for e in encoded for i in e.ids]
    assert batch.ids[0, : len(whole)].tolist() == whole
    assert batch.labels[0, : len(whole)].tolist() == [i for e in encoded for i in e.labels]
    assert batch.pixels is not None
    assert torch.equal(batch.pixels, torch.from_numpy(encoder.pixels([BLUE, RED])))


def test_a_packed_batch_ends_with_the_padding_to_a_length_of_few_kinds(encoder: PromptEncoder) -> None:
    batch = packed(encoder, [LONG, WORDS, SHORT])
    assert batch.lengths is not None
    padding = batch.ids.shape[1] - sum(batch.lengths)
    assert 0 < padding < 16 and batch.ids.shape[1] % 16 == 0
    assert batch.blocks == (*batch.lengths, padding)
    assert (batch.ids[0, -padding:] == encoder.tokenizer.pad_id).all()
    assert (batch.labels[0, -padding:] == IGNORE).all()


@pytest.mark.parametrize("pack", [True, False])
def test_a_batch_knows_where_its_pictures_and_targets_are(encoder: PromptEncoder, pack: bool) -> None:
    [batch] = TokenCollator(encoder, 10_000, pack)([LONG, WORDS, SHORT])
    assert isinstance(batch, TokenBatch)
    ids, labels = batch.ids.flatten(), batch.labels.flatten()
    assert batch.places is not None and batch.targets is not None
    assert (ids[batch.places] == encoder.tokenizer.image_token_id).all() and len(batch.places) == 2 * 3
    assert (labels[batch.targets] != IGNORE).all()
    encoded = [encoder.encode(messages, reply=False) for messages in (LONG, WORDS, SHORT)]
    assert batch.weight == len(batch.targets) == sum(i != IGNORE for e in encoded for i in e.labels[1:])
    assert batch.tokens == sum(len(e.ids) for e in encoded)


def test_the_first_token_of_a_conversation_is_nobodys_target() -> None:
    """Before it stands the end of another conversation, or nothing."""
    ids = torch.arange(6)[None]
    found = [TokenBatch(ids, ids).targets, PackedBatch(ids, ids, lengths=(2, 3)).targets]
    assert [None if targets is None else targets.tolist() for targets in found] == [
        [1, 2, 3, 4, 5],
        [1, 3, 4],  # 5 is the padding's own first
    ]


ROWS: list[Conversation] = [
    (user(*([RED] if n % 3 else []), "What?"), assistant("A cat. " * n)) for n in range(1, 14)
]


@pytest.mark.parametrize("pack", [True, False])
@pytest.mark.parametrize("most", [160, 400, 10_000])
def test_micro_batches_hold_each_conversation_once_and_keep_to_their_size(
    encoder: PromptEncoder, pack: bool, most: int
) -> None:
    collate = TokenCollator(encoder, 10_000, pack, micro_tokens=most)
    batches = collate(ROWS)
    [whole] = TokenCollator(encoder, 10_000, pack)(ROWS)
    assert sum(batch.weight for batch in batches) == whole.weight
    assert sum(batch.tokens for batch in batches) == whole.tokens
    found = []
    for batch in batches:
        assert isinstance(batch, TokenBatch) and batch.ids.numel() <= most
        found += rows(batch)
    expected = [encoder.encode(messages, reply=False).ids for messages in ROWS]
    assert sorted(found) == sorted(expected)
    assert (len(batches) == 1) is (most == 10_000)


def rows(batch: TokenBatch) -> list[list[int]]:
    """The conversations of a batch, in order."""
    assert batch.lengths is not None
    if isinstance(batch, PackedBatch):
        parts = torch.split(batch.ids[0], [*(batch.blocks or ())])
        return [part.tolist() for part in parts[: len(batch.lengths)]]
    return [row[:length].tolist() for row, length in zip(batch.ids, batch.lengths, strict=True)]


def test_micro_batches_are_about_equally_large(encoder: PromptEncoder) -> None:
    batches = TokenCollator(encoder, 10_000, micro_tokens=500)(ROWS)
    sizes = [batch.tokens for batch in batches]
    assert len(sizes) == -(-sum(sizes) // 500)  # no more of them than there must be
    assert max(sizes) - min(sizes) < 100  # full and leftover would be 500 and far less


def test_a_conversation_longer_than_a_micro_batch_has_one_of_its_own(encoder: PromptEncoder) -> None:
    batches = TokenCollator(encoder, 10_000, micro_tokens=48)([SHORT, LONG, WORDS])
    found = [rows(batch) for batch in batches if isinstance(batch, TokenBatch)]
    assert [encoder.encode(LONG, reply=False).ids] in found
    assert TokenCollator(encoder, 10_000).batches([]) == []


def test_a_conversation_with_nothing_to_learn_is_an_error_by_itself(encoder: PromptEncoder) -> None:
    collate = TokenCollator(encoder, len(encoder.encode(WORDS[:1]).ids))
    with pytest.raises(LlavaError, match=r"no supervised token in the \d+ tokens it is cut to"):
        collate.encode(WORDS)
    assert TokenCollator(encoder, 10_000).encode(WORDS).ids.tolist() == encoder.encode(WORDS, False).ids


def test_pictures_whose_features_are_known_are_not_looked_at(encoder: PromptEncoder) -> None:
    features = torch.randn(2, 3, 5)
    turns = (user("Which?", RED, BLUE), assistant("Red."))
    collate = TokenCollator(encoder, 10_000)
    [batch] = collate([Featured(turns, features), WORDS])
    [seen] = collate([turns, WORDS])
    assert isinstance(batch, TokenBatch) and isinstance(seen, TokenBatch)
    assert batch.pixels is None and batch.features is not None
    assert torch.equal(batch.features, features)
    assert torch.equal(batch.ids, seen.ids)


@pytest.mark.parametrize("pack", [True, False])
def test_a_filler_has_nothing_to_learn(encoder: PromptEncoder, pack: bool) -> None:
    filler = TokenCollator(encoder, 10_000, pack).filler()
    assert (filler.weight, filler.tokens) == (0, 0)


def test_a_picture_that_stands_nowhere_is_lent_to_batches_without_one(encoder: PromptEncoder) -> None:
    collate = TokenCollator(encoder, 10_000)
    words, shown = packed(encoder, [WORDS]), packed(encoder, [SHORT])
    lent = collate.with_picture(words)
    assert isinstance(lent, TokenBatch) and lent.pixels is not None
    assert lent.pixels.shape == (1, 3, 8, 8) and torch.equal(lent.ids, words.ids)
    assert collate.with_picture(shown) is shown
    lent = TokenCollator(encoder, 10_000, feature_shape=(3, 5)).with_picture(words)
    assert isinstance(lent, TokenBatch) and lent.features is not None and lent.pixels is None
    assert lent.features.shape == (1, 3, 5)


def test_every_tensor_of_a_batch_moves(encoder: PromptEncoder) -> None:
    moved = packed(encoder, [LONG, SHORT]).to("meta")
    tensors = [value for value in vars(moved).values() if isinstance(value, Tensor)]
    assert len(tensors) == 5 and all(tensor.device.type == "meta" for tensor in tensors)
    assert moved.weight == packed(encoder, [LONG, SHORT]).weight
