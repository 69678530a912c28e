"""What a step minimises is the same however its conversations are laid out in tensors."""

from typing import Any

import pytest
import torch
from torch import Tensor

from assemble import picture, random_llava
from llavakit.config import LlavaConfig, TextTowerConfig
from llavakit.data.collate import PackedBatch, TokenBatch, TokenCollator
from llavakit.data.contrast import CaptionedImage, ContrastiveBatch, ContrastiveCollator, Label, Region
from llavakit.llava import LLaVA
from llavakit.model import CLIP, Llava
from llavakit.prompt.encode import IGNORE
from llavakit.prompt.messages import Message, assistant, user
from llavakit.train import objectives
from llavakit.train.labels import LabelHead
from llavakit.train.objectives import contrastive_loss, next_token_loss
from model.reference import pair, pictures, prompt
from tiles import tiled_llava

# Pictures in several rows, none in others, two in one; lengths from 30 to 180 tokens.
ROWS: list[tuple[Message, ...]] = [
    (user(picture(1), "What is that?"), assistant("A lamp beside a door.")),
    (user("Tell me of rivers."), assistant("They begin in hills, and end in the sea. " * 3)),
    (user(picture(2), "Left:", picture(3), "or right?"), assistant("Left."), user("Why?"), assistant("So.")),
    (user("Yes?"), assistant("No.")),
    (user(picture(4), "And?"), assistant("Two dogs on a bench in the rain, and a man who looks at them.")),
]
FAMILIES: dict[str, dict[str, Any]] = {
    "shared heads": {"num_key_value_heads": 2},
    "a head each": {"num_key_value_heads": 4},
    "sliding window": {"sliding_window": 20},  # shorter than every row
    "qwen3": {"qk_norm": True, "qkv_bias": True},
}
# Sums of some hundred float32 losses of about 5, and their gradients, in another order of summation.
CLOSE = {"rtol": 0.0, "atol": 1e-5}

Taught = tuple[float, dict[str, Tensor]]


def taught(model: Llava, batches: list[Any]) -> Taught:
    """The losses' sum, and each parameter's gradient."""
    model.requires_grad_(True).zero_grad()
    total = 0.0
    for batch in batches:
        loss = next_token_loss(model, batch)
        torch.autograd.backward(loss)
        total += float(loss.detach())
    return total, {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}


def assert_alike(a: Taught, b: Taught) -> None:
    assert a[0] == pytest.approx(b[0], rel=1e-5)
    assert a[1].keys() == b[1].keys()
    largest = max(float(gradient.abs().max()) for gradient in a[1].values())
    for name, gradient in a[1].items():
        # Some are 0 but for rounding: a bias of the keys moves all scores of a query alike.
        scale = max(float(gradient.abs().max()), 1e-2 * largest)
        torch.testing.assert_close(gradient / scale, b[1][name] / scale, msg=name, **CLOSE)


def collator(llava: LLaVA, **values: Any) -> TokenCollator:
    return TokenCollator(llava.encoder, 1024, **values)


@pytest.mark.parametrize("family", FAMILIES)
def test_packed_padded_and_single_conversations_teach_the_same(family: str) -> None:
    llava = random_llava(**FAMILIES[family])
    packed, padded = collator(llava), collator(llava, pack=False)
    alone = [batch for row in ROWS for batch in padded([row])]
    expected = taught(llava.model, alone)
    assert_alike(taught(llava.model, packed(ROWS)), expected)
    assert_alike(taught(llava.model, padded(ROWS)), expected)


def test_the_order_in_which_conversations_are_packed_does_not_matter() -> None:
    llava = random_llava()
    packed = collator(llava)
    assert_alike(taught(llava.model, packed(ROWS)), taught(llava.model, packed(ROWS[::-1])))


@pytest.mark.parametrize("pack", [True, False])
def test_micro_batches_sum_to_the_whole(pack: bool) -> None:
    llava = random_llava()
    parts = collator(llava, pack=pack, micro_tokens=250)(ROWS)
    assert len(parts) > 1
    assert_alike(taught(llava.model, parts), taught(llava.model, collator(llava, pack=pack)(ROWS)))


@torch.no_grad()
def test_a_packed_conversation_sees_nothing_of_its_neighbours() -> None:
    model = random_llava().model
    ids = torch.randint(200, (1, 30), generator=torch.Generator().manual_seed(0))
    changed = ids.clone()
    changed[0, 5] += 1
    lengths = (10, 12, 8)
    before, after = (model.hidden_states(each, lengths=lengths) for each in (ids, changed))
    difference = (after - before)[0]
    assert difference[:5].abs().max() == 0 and difference[10:].abs().max() == 0
    assert difference[5:10].abs().max(dim=1).values.min() > 1e-3


def test_lengths_that_do_not_fill_the_row_are_a_mistake_of_the_caller() -> None:
    with pytest.raises(ValueError, match="11 tokens end to end"):
        random_llava().model.hidden_states(torch.zeros(1, 12, dtype=torch.long), lengths=(6, 5))


@pytest.mark.parametrize("pack", [True, False])
def test_fillers_and_lent_pictures_add_nothing_and_reach_every_parameter(pack: bool) -> None:
    llava = random_llava()
    collate = collator(llava, pack=pack)
    batch, words, filler = collate(ROWS), collate([ROWS[1]]), collate.filler()
    expected = taught(llava.model, batch + words)
    lent = [collate.with_picture(each) for each in (*batch, *words, filler)]
    assert_alike(taught(llava.model, lent), expected)
    loss, gradients = taught(llava.model, [collate.with_picture(filler)])
    assert loss == 0
    assert all(gradient.abs().max() == 0 for gradient in gradients.values())
    # Whatever has a gradient somewhere has one here too, or processes would wait for each other for ever.
    assert gradients.keys() == expected[1].keys()


def test_a_picture_lent_to_a_model_with_tiles_reaches_the_newline_too() -> None:
    llava = tiled_llava()
    collate = collator(llava)
    _, gradients = taught(llava.model, [collate.with_picture(batch) for batch in collate([ROWS[1]])])
    assert gradients["image_newline"].abs().max() == 0
    rows = taught(llava.model, collate(ROWS))
    assert gradients.keys() == rows[1].keys()


def test_tiled_pictures_teach_the_same_packed_and_padded() -> None:
    llava = tiled_llava(single=True)
    packed, padded = collator(llava), collator(llava, pack=False)
    assert_alike(taught(llava.model, packed(ROWS)), taught(llava.model, padded(ROWS)))


@pytest.mark.parametrize("pack", [True, False])
def test_checkpointing_activations_changes_nothing(pack: bool) -> None:
    llava = random_llava()
    batch = collator(llava, pack=pack)(ROWS)
    model = llava.model
    expected = taught(model, batch)
    model.language_model.checkpoint_activations = model.vision_tower.encoder.checkpoint_activations = True
    loss, gradients = taught(model, batch)
    assert loss == expected[0]
    assert all(torch.equal(gradient, expected[1][name]) for name, gradient in gradients.items())


def test_checkpointing_a_contrast_changes_nothing() -> None:
    llava = random_llava()
    torch.manual_seed(0)
    text = TextTowerConfig(
        vocab_size=llava.tokenizer.vocab_size, hidden_size=24, intermediate_size=32, num_hidden_layers=2,
        num_attention_heads=2, eos_token_id=llava.tokenizer.eos_id,
    )  # fmt: skip
    clip = CLIP(llava.model.vision_tower, text, 16)
    labels = {"what": Label(("0", "1", "2"))}
    head = LabelHead(labels, llava.model.config.vision.hidden_size)
    torch.nn.init.normal_(head.weight)
    collate = ContrastiveCollator(llava.tokenizer, llava.encoder.image_config, 4, 20, labels)
    left = (0.0, 0.0, 0.5, 1.0)
    examples = [
        CaptionedImage(picture(n), f"picture {n}", (Region(left, {"what": str(n)}),)) for n in range(3)
    ]
    [batch] = collate(examples)
    assert isinstance(batch, ContrastiveBatch)
    found = []
    for again in (False, True):
        for encoder in (clip.vision_model.encoder, clip.text_model.encoder):
            encoder.checkpoint_activations = again
        clip.requires_grad_(True).zero_grad()
        torch.autograd.backward(loss := contrastive_loss(clip, batch, head))
        found += [loss.detach(), clip.get_submodule("vision_model.encoder.layers.0.mlp.fc1").weight.grad]
    # Two ways to compute attention, in float32.
    torch.testing.assert_close(found[:2], found[2:], rtol=1e-4, atol=1e-6)


def test_checkpointing_keeps_less_for_the_way_back() -> None:
    llava = random_llava()
    [batch] = collator(llava)(ROWS)

    def kept() -> int:
        numbers = 0

        def pack(tensor: Tensor) -> Tensor:
            nonlocal numbers
            numbers += tensor.numel() * (tensor.grad_fn is not None)
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
            next_token_loss(llava.model.requires_grad_(True), batch)
        return numbers

    before = kept()
    llava.model.language_model.checkpoint_activations = True
    assert kept() < before / 2


def test_logits_in_chunks_teach_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    llava = random_llava()
    batch = collator(llava)(ROWS)
    expected = taught(llava.model, batch)
    monkeypatch.setattr(objectives, "_LOGITS", 17 * llava.config.language.vocab_size)
    assert_alike(taught(llava.model, batch), expected)


def test_features_in_place_of_pictures_teach_the_same() -> None:
    llava = random_llava()
    [batch] = collator(llava)(ROWS)
    assert isinstance(batch, PackedBatch) and batch.pixels is not None
    frozen = llava.model.vision_tower.requires_grad_(False)
    with torch.no_grad():
        features = llava.model.see(batch.pixels)
    cached = PackedBatch(
        batch.ids, batch.labels, features=features, places=batch.places, lengths=batch.lengths
    )
    expected, loss = next_token_loss(llava.model, batch), next_token_loss(llava.model, cached)
    assert torch.equal(loss, expected)
    assert not any(p.requires_grad for p in frozen.parameters())


def reference() -> tuple[Any, Llava, LlavaConfig]:
    hf, ours = pair("llama", "clip")
    return hf, ours, ours.config


def test_the_loss_is_that_of_transformers() -> None:
    hf, ours, config = reference()
    ids = prompt(config, "tit")[None]
    pixels = pictures(config, 1)
    labels = ids.clone()
    labels[ids == config.image_token_id] = IGNORE
    labels[:, :2] = IGNORE
    batch = TokenBatch(ids, labels, pixels)
    theirs = hf(input_ids=ids, pixel_values=pixels, labels=labels).loss
    # 1e-4: the logits agree to 1e-5, the mean of their log-softmax to about as much
    assert abs(float((next_token_loss(ours, batch) / batch.weight - theirs).detach())) < 1e-4


def test_padding_adds_nothing_to_the_loss() -> None:
    _, ours, config = reference()
    ids = prompt(config, "ttttt")[None]
    more = torch.nn.functional.pad
    batch = TokenBatch(ids, ids)
    padded = TokenBatch(more(ids, (0, 5)), more(ids, (0, 5), value=IGNORE))
    packed = PackedBatch(padded.ids, padded.labels, lengths=(5,))
    expected = next_token_loss(ours, batch)
    for other in (padded, packed):
        assert torch.allclose(next_token_loss(ours, other), expected, rtol=1e-5)


def test_the_loss_waits_for_no_device(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever reads a tensor's values on the host would make a GPU's queue run dry."""
    llava = random_llava()
    [batch] = collator(llava)(ROWS)

    def read(*_: Any) -> None:
        raise AssertionError("a tensor was read")

    for name in ("item", "tolist", "nonzero", "__bool__", "__int__", "__float__"):
        monkeypatch.setattr(Tensor, name, read)
    torch.autograd.backward(next_token_loss(llava.model.requires_grad_(True), batch))
