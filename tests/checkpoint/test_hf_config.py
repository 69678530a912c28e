"""What a `config.json` and an image processor's settings mean, sparse as published ones are."""

import pytest
import torch
import transformers

from checkpoint.small import checkpoint, edit_json, hf_folder
from llavakit.checkpoint import describe, hf_config, save
from llavakit.config import ImageConfig, LanguageConfig, LlavaConfig, VisionConfig
from llavakit.errors import CheckpointError, LlavaError, UsageError
from llavakit.model import Llava
from model.reference import TEXT_CLASSES

# As llava-hf/llava-1.5-7b-hf has it: what it does not say is a default.
PUBLISHED_7B = {
    "architectures": ["LlavaForConditionalGeneration"],
    "ignore_index": -100,
    "image_token_index": 32000,
    "model_type": "llava",
    "pad_token_id": 32001,
    "projector_hidden_act": "gelu",
    "text_config": {
        "_name_or_path": "lmsys/vicuna-7b-v1.5",
        "architectures": ["LlamaForCausalLM"],
        "max_position_embeddings": 4096,
        "model_type": "llama",
        "rms_norm_eps": 1e-05,
        "torch_dtype": "float16",
        "vocab_size": 32064,
    },
    "tie_word_embeddings": False,
    "torch_dtype": "float16",
    "transformers_version": "4.36.0.dev0",
    "vision_config": {
        "hidden_size": 1024,
        "image_size": 336,
        "intermediate_size": 4096,
        "model_type": "clip_vision_model",
        "num_attention_heads": 16,
        "num_hidden_layers": 24,
        "patch_size": 14,
        "projection_dim": 768,
        "vocab_size": 32000,
    },
    "vision_feature_layer": -2,
    "vision_feature_select_strategy": "default",
    "vocab_size": 32064,
}


def test_the_published_7b_is_read_with_the_defaults_it_leaves_out():
    config = hf_config.from_hf(PUBLISHED_7B, "config.json")
    assert config == LlavaConfig(
        vision=VisionConfig(), language=LanguageConfig(vocab_size=32064), image_token_id=32000
    )
    assert config.tokens_per_image == 576


def test_the_published_7b_has_as_many_weights_as_in_transformers():
    with torch.device("meta"):
        theirs = transformers.LlavaForConditionalGeneration(transformers.LlavaConfig(**PUBLISHED_7B))
        ours = Llava(hf_config.from_hf(PUBLISHED_7B, "config.json"))
    assert sum(p.numel() for p in ours.parameters()) == theirs.num_parameters() == 7_063_427_072


@pytest.mark.parametrize("text", TEXT_CLASSES)
@pytest.mark.parametrize("vision", ["clip_vision_model", "siglip_vision_model"])
def test_an_empty_section_means_what_transformers_takes_it_for(text, vision):
    hf = {
        "model_type": "llava",
        "vision_feature_select_strategy": "full",
        "text_config": {"model_type": text},
        "vision_config": {"model_type": vision},
    }
    spelled_out = transformers.LlavaConfig(**hf).to_dict()
    assert len(spelled_out["text_config"]) > 10
    assert hf_config.from_hf(hf, "sparse") == hf_config.from_hf(spelled_out, "whole")


def test_a_llava_that_says_nothing_of_its_parts_has_those_of_the_first_published_one():
    spelled_out = transformers.LlavaConfig().to_dict()
    assert hf_config.from_hf({"model_type": "llava"}, "") == hf_config.from_hf(spelled_out, "")


@pytest.mark.parametrize(
    ("qwen", "window"),
    [
        ({"use_sliding_window": True, "sliding_window": 8, "max_window_layers": 0}, 8),
        ({"use_sliding_window": True, "sliding_window": 8, "max_window_layers": 4}, None),
        ({"use_sliding_window": True, "max_window_layers": 0}, 4096),
        ({"use_sliding_window": False, "sliding_window": 8, "max_window_layers": 0}, None),
        ({"use_sliding_window": True, "layer_types": ["sliding_attention"] * 4}, 4096),
    ],
)
def test_a_qwen_window_is_in_all_layers_or_none(qwen, window):
    text = {"model_type": "qwen2", "num_hidden_layers": 4} | qwen
    config = hf_config.from_hf({"model_type": "llava", "text_config": text}, "config.json")
    assert config.language.sliding_window == window


def test_a_qwen_window_in_some_layers_is_refused():
    text = {"model_type": "qwen2", "num_hidden_layers": 4, "use_sliding_window": True, "max_window_layers": 2}
    with pytest.raises(CheckpointError, match="only some of the layers"):
        hf_config.from_hf({"model_type": "llava", "text_config": text}, "config.json")


def test_siglip_loses_its_first_patch_where_transformers_takes_it_for_a_class_token():
    vision = {"model_type": "siglip_vision_model"}
    config = hf_config.from_hf({"model_type": "llava", "vision_config": vision}, "config.json")
    assert config.tokens_per_image == config.vision.num_patches - 1


def test_siglip_is_written_as_taking_every_feature_whatever_we_call_it(tmp_path):
    ours = checkpoint("llama", "siglip")
    ours.model.config = ours.model.config.model_copy(update={"feature_select": "patch"})
    save(ours, tmp_path / "model")
    hf = transformers.AutoConfig.from_pretrained(tmp_path / "model")
    assert hf.vision_feature_select_strategy == "full"
    assert hf.image_seq_length == ours.model.config.tokens_per_image
    assert describe(tmp_path / "model").config.tokens_per_image == hf.image_seq_length


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"model_type": "video_llava"},
            "model_type is 'video_llava'; llavakit reads llava, llava_next, llava_onevision",
        ),
        ({"model_type": ...}, "model_type is None"),
        ({"mm_vision_tower": "openai/clip"}, "Hugging Face layout"),
        ({"text_config": {"model_type": "gpt2"}}, r"no 'gpt2' \(valid: llama, mistral, qwen2, qwen3\)"),
        ({"text_config": {"model_type": "qwen22"}}, "did you mean 'qwen2'"),
        ({"vision_config": {"model_type": "vit"}}, "no 'vit'"),
        ({"vision_feature_layer": [-2, -3]}, r"vision_feature_layer \[-2, -3\] must be one number"),
        ({"vision_feature_select_strategy": "cls"}, "strategy 'cls' is not supported"),
        ({"text_config": {"model_type": "llama", "attention_bias": True}}, "biases"),
        ({"text_config": {"model_type": "llama", "hidden_size": "wide"}}, "wrong kind|hidden_size"),
        ({"text_config": {"model_type": "llama", "num_attention_heads": 0}}, "num_attention_heads|zero"),
        ({"text_config": "llama"}, "wrong kind"),
        ({"vision_config": {"image_size": [336, 336]}}, "vision_config: image_size"),
        (
            {"text_config": {"model_type": "llama", "rope_scaling": {"type": "dynamic", "factor": 2.0}}},
            "rope_scaling: rope_type: Input should be 'linear', 'llama3' or 'yarn'",
        ),
        ({"image_token_index": "x"}, "image_token_id"),
    ],
    ids=str,
)
def test_a_config_that_cannot_be_honoured_is_one_sentence(tmp_path, change, message):
    save(checkpoint(), tmp_path / "model")
    edit_json(tmp_path / "model" / "config.json", **change)
    with pytest.raises(CheckpointError, match=message) as caught:
        describe(tmp_path / "model")
    assert "config.json" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert caught.value.exit_code == 1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"size": {"shortest_edge": 30}}, "come out at 30|come out at 24"),
        ({"crop_size": {"height": 20, "width": 24}}, "come out at 24|come out at 20"),
        ({"do_normalize": False}, "do_normalize False is not supported, only True"),
        ({"do_center_crop": False}, "do_center_crop False is not supported"),
        ({"resample": 2}, "resample 2 is not supported, only 3"),
        ({"image_mean": [0.5]}, "mean"),
    ],
    ids=str,
)
def test_pictures_prepared_in_another_way_are_refused(tmp_path, change, message):
    save(checkpoint(), tmp_path / "model")
    edit_json(tmp_path / "model" / "preprocessor_config.json", **change)
    with pytest.raises(CheckpointError, match=message) as caught:
        describe(tmp_path / "model")
    assert "preprocessor_config.json" in str(caught.value)


def test_image_settings_of_older_folders_are_read():
    vision = VisionConfig(image_size=224, patch_size=14)
    assert hf_config.image_from_hf({"size": 224, "crop_size": 224}, vision, "") == ImageConfig(size=224)


def test_the_template_of_a_published_folder_follows_its_language_model(tmp_path):
    for text, template in [("llama", "vicuna_v1"), ("mistral", "mistral_instruct"), ("qwen2", "onevision")]:
        hf_folder(tmp_path / text, text)
        assert describe(tmp_path / text).template == template


@pytest.mark.filterwarnings("ignore:Initializing zero-element tensors")
def test_damage_to_any_value_of_a_config_is_an_error_of_ours_or_none(tmp_path):
    """Each value of every section replaced by things of the wrong kind: never a bare traceback."""
    save(checkpoint(), tmp_path / "model")
    whole = describe(tmp_path / "model")
    hf = hf_config.to_hf(whole.config, {"eos_token_id": 2}, "float32")
    places = [(None, key) for key in hf] + [(s, k) for s in ("text_config", "vision_config") for k in hf[s]]
    refused = 0
    for section, key in places:
        for wrong in (None, [], {}, "x", -1, 0, 2.5):
            if section is None:
                edit_json(tmp_path / "model" / "config.json", **(hf | {key: wrong}))
            else:
                edit_json(tmp_path / "model" / "config.json", **(hf | {section: hf[section] | {key: wrong}}))
            try:
                describe(tmp_path / "model")
            except LlavaError as error:
                assert not isinstance(error, UsageError)
                refused += 1
    assert refused > 50
