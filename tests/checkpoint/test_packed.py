"""A folder in 8 or 4 bits: made while reading, saved, read again, and not made twice."""

import pytest
import torch
import transformers

from checkpoint.small import checkpoint, edit_json, question
from llavakit.checkpoint import describe, load, save
from llavakit.checkpoint.folder import open_folder
from llavakit.checkpoint.packed import quantised
from llavakit.config import Quantization
from llavakit.errors import CheckpointError, UsageError

PLANS = [
    Quantization(scheme="int8"),
    Quantization(scheme="int4", group_size=32),
    Quantization(scheme="int4", vision_tower=False, head=False),
    Quantization(scheme="bnb-int8"),
    Quantization(scheme="bnb-nf4"),
]


@pytest.fixture
def folder(tmp_path):
    save(checkpoint(), tmp_path / "model")
    return tmp_path / "model"


@pytest.mark.parametrize("plan", PLANS, ids=str)
def test_a_quantised_folder_is_what_was_quantised_on_the_way(folder, tmp_path, plan):
    first = load(folder, quantization=plan)
    save(first, tmp_path / "packed")
    assert describe(tmp_path / "packed").config.quantization == plan
    again = load(tmp_path / "packed")
    ids, pixels = question(first.model.config)
    with torch.inference_mode():
        assert torch.equal(first.model(ids, pixels), again.model(ids, pixels))


def test_packed_weights_keep_their_type_whatever_the_rest_is_loaded_in(folder, tmp_path):
    save(load(folder, quantization=PLANS[1]), tmp_path / "packed", dtype=torch.bfloat16)
    model = load(tmp_path / "packed", dtype=torch.float32).model
    assert {t.dtype for t in model.parameters()} == {torch.float32}
    assert {t.dtype for t in model.buffers()} == {torch.bfloat16, torch.uint8, torch.int8}


def test_a_quantised_folder_is_smaller(tmp_path):
    ours = checkpoint(hidden_size=256, intermediate_size=512, head_dim=64)
    save(ours, tmp_path / "model", dtype=torch.bfloat16)
    sizes = [(tmp_path / "model" / "model.safetensors").stat().st_size]
    for plan in PLANS[:2]:
        save(load(tmp_path / "model", quantization=plan), tmp_path / plan.scheme)
        sizes.append((tmp_path / plan.scheme / "packed.safetensors").stat().st_size)
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[1] < 0.6 * sizes[0] and sizes[2] < 0.45 * sizes[0]


def test_the_same_plan_again_changes_nothing_and_another_is_refused(folder, tmp_path):
    save(load(folder, quantization=PLANS[0]), tmp_path / "packed")
    source = open_folder(tmp_path / "packed")
    assert quantised(source, PLANS[0]) is source
    with pytest.raises(UsageError, match="is quantised to int8 already: start from the model as published"):
        load(tmp_path / "packed", quantization=PLANS[1])


def test_a_head_that_a_tied_model_stored_apart_is_packed_like_any_other(tmp_path):
    save(checkpoint("qwen2"), tmp_path / "model")
    edit_json(tmp_path / "model" / "config.json", tie_word_embeddings=True)
    model = load(tmp_path / "model", quantization=PLANS[0]).model
    assert type(model.language_model.lm_head).__name__ == "Int8Linear"


def test_others_find_no_weights_in_a_quantised_folder(folder, tmp_path):
    save(load(folder, quantization=PLANS[0]), tmp_path / "packed")
    with pytest.raises(OSError, match=r"no file named model\.safetensors"):
        transformers.LlavaForConditionalGeneration.from_pretrained(tmp_path / "packed")


def test_a_folder_quantised_by_others_is_refused_with_the_remedy(folder):
    edit_json(folder / "config.json", quantization_config={"quant_method": "awq", "bits": 4})
    with pytest.raises(CheckpointError, match=r"'awq' are not supported: .* --quantize int8 or int4"):
        describe(folder)
