"""Folders between transformers and us, both ways, with transformers as the oracle.

Tolerance 1e-4 on logits of size 1 to 10: float32 sums in another order (model/test_llava_parity.py
finds 2e-5); a tensor read wrongly or a setting lost moves them by more than 1e-2.
"""

import json
import re
from pathlib import Path

import numpy as np
import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file

from checkpoint.small import (
    checkpoint,
    edit_json,
    hf_folder,
    photo,
    question,
)
from llavakit.checkpoint import load, names, save
from llavakit.media import preprocess
from llavakit.prompt.encode import PromptEncoder
from llavakit.prompt.messages import assistant, user
from llavakit.prompt.templates import get_template
from model.reference import TEXT_CLASSES, gap, hf_logits

TOLERANCE = 1e-4


def logits_gap(hf_model, loaded) -> float:
    ids, pixels = question(loaded.model.config)
    with torch.no_grad():
        return gap(loaded.model(ids, pixels), hf_logits(hf_model, ids, pixels))


@pytest.mark.parametrize("vision", ["clip", "siglip"])
@pytest.mark.parametrize("text", TEXT_CLASSES)
def test_a_folder_of_transformers_gives_the_same_logits_here(tmp_path, text, vision):
    hf_model = hf_folder(tmp_path, text, vision)
    assert logits_gap(hf_model, load(tmp_path, template="vicuna_v1")) < TOLERANCE


@pytest.mark.parametrize("vision", ["clip", "siglip"])
@pytest.mark.parametrize("text", TEXT_CLASSES)
def test_a_folder_of_ours_gives_the_same_logits_in_transformers(tmp_path, text, vision):
    ours = checkpoint(text, vision)
    save(ours, tmp_path / "model")
    hf_model, report = transformers.LlavaForConditionalGeneration.from_pretrained(
        tmp_path / "model", output_loading_info=True, attn_implementation="eager"
    )
    assert not any(report.values()), report  # no tensor missing, left over or misshapen
    assert logits_gap(hf_model, ours) < TOLERANCE
    assert logits_gap(hf_model, load(tmp_path / "model")) < TOLERANCE


@pytest.mark.parametrize(
    "overrides",
    [
        {"text": "qwen2", "tie_word_embeddings": True},
        {"text": "llama", "vision": "clip", "feature_select": "full", "feature_layer": -1},
        {"text": "llama", "connector_bias": False, "connector_act": "silu"},
        {"text": "mistral", "sliding_window": None},
        {"text": "llama", "rope_scaling": {"rope_type": "linear", "factor": 2.0}},
        {
            "text": "llama",
            "rope_scaling": {
                "rope_type": "llama3", "factor": 4.0, "original_max_position_embeddings": 8,
            },
        },
        {
            "text": "qwen3",
            "rope_scaling": {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 64},
        },
    ],
    ids=str,
)  # fmt: skip
def test_every_setting_survives_both_ways(tmp_path, overrides):
    hf_model = hf_folder(tmp_path / "theirs", **overrides)
    loaded = load(tmp_path / "theirs", template="vicuna_v1")
    assert logits_gap(hf_model, loaded) < TOLERANCE
    save(loaded, tmp_path / "ours")
    again = transformers.LlavaForConditionalGeneration.from_pretrained(
        tmp_path / "ours", attn_implementation="eager"
    )
    assert logits_gap(again, loaded) < TOLERANCE
    assert load(tmp_path / "ours").model.config == loaded.model.config


def test_a_qwen_with_windows_in_every_layer_means_the_same_in_transformers(tmp_path):
    ours = checkpoint("qwen2")
    language = ours.model.config.language.model_copy(update={"sliding_window": 4})
    ours.model.config = ours.model.config.model_copy(update={"language": language})
    save(ours, tmp_path / "model")
    hf_model = transformers.LlavaForConditionalGeneration.from_pretrained(
        tmp_path / "model", attn_implementation="eager"
    )
    loaded = load(tmp_path / "model")
    assert loaded.model.config.language.sliding_window == 4
    assert logits_gap(hf_model, loaded) < TOLERANCE
    assert logits_gap(hf_model, checkpoint("qwen2")) > 100 * TOLERANCE  # the window matters here


def rename(folder: Path, changes: list[tuple[str, str]]) -> set[str]:
    """Rewrite the tensors' names; returns what they begin with."""
    tensors = {}
    for name, tensor in load_file(folder / "model.safetensors").items():
        for pattern, replacement in changes:
            name = re.sub(pattern, replacement, name)
        tensors[name] = tensor
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    return {".".join(name.split(".")[:2]) for name in tensors}


TO_PUBLISHED = [(r"^vision_tower\.(?!vision_model)", "vision_tower.vision_model.")]
TO_NEW = [
    (r"^language_model\.lm_head", "lm_head"),
    (r"^language_model\.model\.", "language_model."),
    (r"^(language_model|vision_tower|multi_modal_projector)\.", r"model.\1."),
]


@pytest.mark.parametrize(
    ("generation", "begins"),
    [
        (TO_PUBLISHED, {"language_model.model", "vision_tower.vision_model", "language_model.lm_head"}),
        (TO_NEW, {"model.language_model", "model.vision_tower", "lm_head.weight"}),
        ([*TO_PUBLISHED, *TO_NEW], {"model.language_model", "lm_head.weight"}),
    ],
    ids=["published", "new", "new with vision_model"],
)
@pytest.mark.parametrize("vision", ["clip", "siglip"])
def test_every_generation_of_names_is_read(tmp_path, generation, begins, vision):
    hf_model = hf_folder(tmp_path, "llama", vision)
    assert begins <= rename(tmp_path, generation)
    assert logits_gap(hf_model, load(tmp_path)) < TOLERANCE


def test_we_write_the_names_of_published_checkpoints(tmp_path):
    save(checkpoint(), tmp_path / "model")
    stored = set(load_file(tmp_path / "model" / "model.safetensors"))
    assert "language_model.model.embed_tokens.weight" in stored
    assert "language_model.lm_head.weight" in stored
    assert "vision_tower.vision_model.pre_layrnorm.weight" in stored
    assert "multi_modal_projector.linear_1.weight" in stored


def test_our_names_come_back_from_what_we_write():
    ours = list(checkpoint().model.state_dict())
    assert list(names.ours_to_theirs(names.to_hf(name) for name in ours)) == ours


def test_shards_and_their_index_are_read(tmp_path):
    hf_model = hf_folder(tmp_path, shard="40KB")
    assert len(list(tmp_path.glob("model-*.safetensors"))) > 2
    assert logits_gap(hf_model, load(tmp_path)) < TOLERANCE


def test_a_tied_head_is_one_tensor_in_memory_and_none_in_the_file(tmp_path):
    save(checkpoint("qwen3", tie_word_embeddings=True), tmp_path / "model")
    model = load(tmp_path / "model").model
    assert model.language_model.lm_head.weight is model.language_model.embed_tokens.weight
    assert not any("lm_head" in name for name in load_file(tmp_path / "model" / "model.safetensors"))


def test_a_tied_head_that_was_stored_all_the_same_is_shared(tmp_path):
    hf_folder(tmp_path, "qwen2", tie_word_embeddings=True)
    tensors = load_file(tmp_path / "model.safetensors")
    tensors["language_model.lm_head.weight"] = tensors["language_model.model.embed_tokens.weight"].clone()
    save_file(tensors, tmp_path / "model.safetensors", metadata={"format": "pt"})
    model = load(tmp_path).model
    assert model.language_model.lm_head.weight is model.language_model.embed_tokens.weight


def test_a_head_unlike_the_embedding_wins_over_a_config_that_ties_them(tmp_path):
    hf_folder(tmp_path)
    edit_json(tmp_path / "config.json", tie_word_embeddings=True)
    hf_model = transformers.LlavaForConditionalGeneration.from_pretrained(
        tmp_path, attn_implementation="eager"
    )
    loaded = load(tmp_path)
    assert not loaded.model.config.language.tie_word_embeddings
    assert logits_gap(hf_model, loaded) < TOLERANCE


@pytest.mark.parametrize(("vision", "pad"), [("clip", False), ("clip", True), ("siglip", False)])
def test_transformers_makes_the_same_pixels_and_ids_from_our_folder(tmp_path, vision, pad):
    ours = checkpoint("llama", vision)
    ours.image = ours.image.model_copy(update={"pad": pad})
    save(ours, tmp_path / "model")
    loaded = load(tmp_path / "model")
    assert loaded.image == ours.image
    processor = transformers.AutoProcessor.from_pretrained(tmp_path / "model")
    assert type(processor).__name__ == "LlavaProcessor"
    config = loaded.model.config
    encoder = PromptEncoder(
        loaded.tokenizer, get_template("vicuna_v1"), config.tokens_per_image, loaded.image
    )
    written = encoder.encode((user(photo(), "w5 w6"),))
    theirs = processor(images=photo(), text=written.text, return_tensors="np")
    assert np.array_equal(theirs["pixel_values"][0], preprocess(photo(), loaded.image))
    assert (theirs["input_ids"] == config.image_token_id).sum() == config.tokens_per_image
    assert theirs["input_ids"][0].tolist() == written.ids


def test_an_image_processor_of_its_own_reads_our_folder(tmp_path):
    ours = checkpoint()
    save(ours, tmp_path / "model")
    theirs = transformers.AutoImageProcessor.from_pretrained(tmp_path / "model")
    pixels = theirs(photo(), return_tensors="np")["pixel_values"][0]
    assert np.array_equal(pixels, preprocess(photo(), ours.image))


def test_auto_tokenizer_reads_our_folder(tmp_path):
    ours = checkpoint()
    save(ours, tmp_path / "model")
    theirs = transformers.AutoTokenizer.from_pretrained(tmp_path / "model")
    assert theirs("w5 <image> w6")["input_ids"] == ours.tokenizer.encode("w5 <image> w6")
    assert (theirs.bos_token, theirs.eos_token, theirs.pad_token) == ("<s>", "</s>", "<pad>")


def test_the_chat_template_of_our_folder_gives_our_ids(tmp_path):
    ours = checkpoint()
    save(ours, tmp_path / "model")
    processor = transformers.AutoProcessor.from_pretrained(tmp_path / "model")
    content = [{"type": "image"}, {"type": "text", "text": "w5 w6"}]
    said = [
        {"role": "user", "content": content},
        {"role": "assistant", "content": [{"type": "text", "text": "w7"}]},
        {"role": "user", "content": [{"type": "text", "text": "w8"}]},
    ]
    text = processor.apply_chat_template(said, add_generation_prompt=True)
    theirs = processor(images=photo(), text=text)["input_ids"][0]
    at_once = processor.apply_chat_template(
        [said[0] | {"content": [{"type": "image", "image": photo()}, content[1]]}, *said[1:]],
        add_generation_prompt=True, tokenize=True, return_dict=True,
    )["input_ids"][0]  # fmt: skip
    assert list(at_once) == list(theirs)
    encoder = PromptEncoder(ours.tokenizer, get_template("vicuna_v1"), 9, ours.image)
    assert list(theirs) == encoder.encode((user(photo(), "w5 w6"), assistant("w7"), user("w8"))).ids


@pytest.mark.parametrize("vision", ["clip", "siglip"])
def test_the_image_processor_of_a_transformers_folder_gives_the_same_pixels_here(tmp_path, vision):
    hf_folder(tmp_path, "llama", vision)
    theirs = transformers.AutoProcessor.from_pretrained(tmp_path).image_processor
    pixels = theirs(photo(), return_tensors="np")["pixel_values"][0]
    assert np.array_equal(pixels, preprocess(photo(), load(tmp_path).image))


def test_every_end_token_survives(tmp_path):
    ours = checkpoint()
    ours.eos_token_ids = (2, 7)
    save(ours, tmp_path / "model")
    assert load(tmp_path / "model").eos_token_ids == (2, 7)
    generation = transformers.GenerationConfig.from_pretrained(tmp_path / "model")
    assert generation.eos_token_id == [2, 7]


@pytest.mark.parametrize("connector", ["identity", "linear", "mlp3x_gelu"])
def test_a_connector_that_the_layout_has_no_word_for_comes_back(tmp_path, connector):
    from llavakit.model import Llava

    ours = checkpoint(hidden_size=24, num_attention_heads=4, head_dim=6)
    torch.manual_seed(0)
    ours.model = Llava(ours.model.config.model_copy(update={"connector": connector})).eval()
    save(ours, tmp_path / "model")
    loaded = load(tmp_path / "model")
    assert loaded.model.config.connector == connector
    ids, pixels = question(loaded.model.config)
    assert torch.equal(loaded.model(ids, pixels), ours.model(ids, pixels))


def test_what_the_layout_cannot_say_comes_back(tmp_path):
    ours = checkpoint()
    ours.template, ours.provenance = "plain", {"recipe": {"name": "x"}, "hours": 1.5}
    save(ours, tmp_path / "model")
    loaded = load(tmp_path / "model")
    assert (loaded.template, loaded.provenance) == ("plain", ours.provenance)
    assert json.loads((tmp_path / "model" / "llavakit.json").read_text())["template"] == "plain"
