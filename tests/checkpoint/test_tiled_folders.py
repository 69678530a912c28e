"""Folders of LLaVA-NeXT, LLaVA-OneVision and LLaVA-Interleave between transformers and us, both ways.

Tolerance as in `test_transformers_folders`. The tokenizer of `small` has 97 words, one of them the picture.
"""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from PIL import Image
from safetensors.torch import load_file, save_file

from checkpoint.small import backend, checkpoint, edit_json, hf_folder, photo
from llavakit.checkpoint import Checkpoint, describe, hf_config, load, names, save
from llavakit.config import ImageConfig, LlavaConfig, Tiling, VisionConfig
from llavakit.errors import CheckpointError
from llavakit.llava import LLaVA
from llavakit.prompt.encode import PromptEncoder
from llavakit.prompt.messages import assistant, user
from llavakit.prompt.templates import get_template
from llavakit.prompt.tokenizer import Tokenizer
from model.reference import gap
from model.tiled_reference import (
    NEXT,
    ONEVISION,
    hf_image_processor,
    hf_tiled,
    image_config,
    noise,
    row,
    seen,
    theirs,
    tiled_pair,
    tiling,
)

TOLERANCE = 1e-4
MODELS = [(NEXT, "llama"), (NEXT, "mistral"), (NEXT, "qwen2"), (ONEVISION, "qwen2")]
CLASSES = {
    NEXT: transformers.LlavaNextForConditionalGeneration,
    ONEVISION: transformers.LlavaOnevisionForConditionalGeneration,
}
PICTURES = {
    "landscape": [(100, 40)], "portrait": [(31, 70)], "thread": [(500, 10)],
    "three": [(9, 90), (50, 50), (40, 9)],
}  # fmt: skip

models = pytest.mark.parametrize(("kind", "text"), MODELS)


def tiled_checkpoint(kind: str, text: str) -> Checkpoint:
    _, model = tiled_pair(kind, text)
    tokenizer = Tokenizer(
        backend(), bos_token="<s>", eos_token="</s>", pad_token="<pad>", image_token="<image>"
    )
    return Checkpoint(model, tokenizer, image_config(kind), "vicuna_v1", eos_token_ids=(2,))


def tiled_hf_folder(folder: Path, kind: str, text: str, **overrides: Any) -> Any:
    """A folder all of whose files transformers wrote; returns its model."""
    hf_model, config = hf_tiled(kind, text, **overrides)
    hf_model.save_pretrained(folder)
    tokenizer = transformers.PreTrainedTokenizerFast(
        tokenizer_object=backend(), bos_token="<s>", eos_token="</s>", pad_token="<pad>",
        extra_special_tokens={"image_token": "<image>"},
    )  # fmt: skip
    images = hf_image_processor(kind, tiling(kind), image_config(kind))
    if kind == NEXT:
        processor = transformers.LlavaNextProcessor(
            images, tokenizer, patch_size=config.vision.patch_size, num_additional_image_tokens=1,
            vision_feature_select_strategy="default",
        )  # fmt: skip
        processor.save_pretrained(folder)
    else:  # whose processor needs a part for videos that is not to be had without torchvision
        images.save_pretrained(folder)
        tokenizer.save_pretrained(folder)
    return hf_model


@torch.no_grad()
def logits_gap(hf_model: Any, kind: str, model: Any) -> float:
    worst = 0.0
    for shapes in PICTURES.values():
        images = [noise(*shape, seed=i) for i, shape in enumerate(shapes)]
        pixels, layouts = seen(model.config, image_config(kind), [images])
        ids = row(model.config, "tt" + "i" * len(images) + "ttt", layouts)[None]
        expected = hf_model(input_ids=ids, **theirs(kind, [images])).logits
        worst = max(worst, gap(model(ids, pixels, layouts=layouts), expected))
    return worst


@models
def test_a_folder_of_transformers_gives_the_same_logits_here(tmp_path: Path, kind: str, text: str) -> None:
    hf_model = tiled_hf_folder(tmp_path, kind, text)
    loaded = load(tmp_path)
    assert loaded.image == image_config(kind)
    assert loaded.model.config.tiling == tiling(kind)
    assert logits_gap(hf_model, kind, loaded.model) < TOLERANCE


@models
def test_a_folder_of_ours_gives_the_same_logits_in_transformers(tmp_path: Path, kind: str, text: str) -> None:
    ours = tiled_checkpoint(kind, text)
    save(ours, tmp_path / "model")
    hf_model, report = CLASSES[kind].from_pretrained(
        tmp_path / "model", output_loading_info=True, attn_implementation="eager"
    )
    assert not any(report.values()), report  # no tensor missing, left over or misshapen
    assert logits_gap(hf_model, kind, ours.model) < TOLERANCE
    loaded = load(tmp_path / "model")
    assert (loaded.model.config, loaded.image) == (ours.model.config, ours.image)
    assert logits_gap(hf_model, kind, loaded.model) < TOLERANCE


TO_NEW = [
    (r"^language_model\.lm_head", "lm_head"),
    (r"^language_model\.model\.", "language_model."),
    (r"^(language_model|vision_tower|multi_modal_projector)\.", r"model.\1."),
    (r"^image_newline$", "model.image_newline"),
]
TO_PUBLISHED = [(r"^vision_tower\.(?!vision_model)", "vision_tower.vision_model.")]


@models
@pytest.mark.parametrize("changes", [TO_NEW, TO_PUBLISHED], ids=["new", "published"])
def test_weights_of_every_generation_are_found(tmp_path: Path, kind: str, text: str, changes: Any) -> None:
    hf_model = tiled_hf_folder(tmp_path, kind, text)
    tensors = {}
    for name, tensor in load_file(tmp_path / "model.safetensors").items():
        for pattern, replacement in changes:
            name = re.sub(pattern, replacement, name)
        tensors[name] = tensor
    assert any(name.endswith("image_newline") for name in tensors)
    save_file(tensors, tmp_path / "model.safetensors", metadata={"format": "pt"})
    assert logits_gap(hf_model, kind, load(tmp_path).model) < TOLERANCE


def test_our_names_of_a_tiled_model_survive_theirs() -> None:
    _, model = tiled_pair(NEXT, "llama")
    ours = list(model.state_dict())
    assert list(names.ours_to_theirs(names.to_hf(name) for name in ours)) == ours


@pytest.mark.parametrize("shapes", PICTURES.values(), ids=list(PICTURES))
@pytest.mark.parametrize("text", ["llama", "qwen2"])
def test_transformers_makes_the_same_pixels_and_ids_from_our_folder(
    tmp_path: Path, text: str, shapes: list[tuple[int, int]]
) -> None:
    save(tiled_checkpoint(NEXT, text), tmp_path / "model")
    loaded = LLaVA(load(tmp_path / "model"))
    processor = transformers.AutoProcessor.from_pretrained(tmp_path / "model")
    assert type(processor).__name__ == "LlavaNextProcessor"
    images = [noise(*shape, seed=i) for i, shape in enumerate(shapes)]
    ours = loaded.encoder.encode([user(*images, "w5 w6")])
    said = processor(images=[images], text=ours.text, return_tensors="np")
    assert said["input_ids"][0].tolist() == ours.ids
    own = iter(loaded.encoder.pixels(ours.images, ours.layouts))
    assert ours.layouts is not None
    for layout, pixels in zip(ours.layouts, said["pixel_values"], strict=True):
        for view in pixels[: layout.views]:
            assert np.array_equal(view, next(own))


class _Tokens:
    """What LLaVA-OneVision's processor counts with; the whole of it needs torchvision, for videos."""

    def __init__(self, folder: Path, images: Any) -> None:
        said = transformers.PreTrainedConfig.get_config_dict(
            folder, _configuration_file="processor_config.json"
        )[0]
        self.num_image_tokens = said["num_image_tokens"]
        self.vision_feature_select_strategy = said["vision_feature_select_strategy"]
        self.vision_aspect_ratio = said["vision_aspect_ratio"]
        self.image_token, self.image_processor = "i", images

    _get_number_of_features = transformers.LlavaOnevisionProcessor._get_number_of_features
    _get_unpadded_features = transformers.LlavaOnevisionProcessor._get_unpadded_features
    count = transformers.LlavaOnevisionProcessor.replace_image_token


@pytest.mark.parametrize("shapes", PICTURES.values(), ids=list(PICTURES))
def test_transformers_makes_the_same_pixels_and_counts_from_our_onevision_folder(
    tmp_path: Path, shapes: list[tuple[int, int]]
) -> None:
    save(tiled_checkpoint(ONEVISION, "qwen2"), tmp_path / "model")
    loaded = LLaVA(load(tmp_path / "model"))
    processor = transformers.AutoImageProcessor.from_pretrained(tmp_path / "model")
    assert "LlavaOnevisionImageProcessor" in type(processor).__name__
    images = [noise(*shape, seed=i) for i, shape in enumerate(shapes)]
    said = processor([images], return_tensors="np")
    tokens = _Tokens(tmp_path / "model", processor)
    ours = loaded.encoder.encode([user(*images, "w5 w6")])
    counted = [len(tokens.count(said, i)) for i in range(len(images))]
    assert counted == [end - start for start, end in ours.image_spans]
    own = iter(loaded.encoder.pixels(ours.images, ours.layouts))
    assert ours.layouts is not None
    for layout, pixels in zip(ours.layouts, said["pixel_values"], strict=True):
        for view in pixels[: layout.views]:
            assert np.array_equal(view, next(own))


@pytest.mark.parametrize("shapes", PICTURES.values(), ids=list(PICTURES))
def test_the_whole_onevision_processor_gives_our_ids(tmp_path: Path, shapes: list[tuple[int, int]]) -> None:
    pytest.importorskip("torchvision")
    checkpoint_ = tiled_checkpoint(ONEVISION, "qwen2")
    checkpoint_.template = "onevision"
    save(checkpoint_, tmp_path / "model")
    processor = transformers.AutoProcessor.from_pretrained(tmp_path / "model", backend="pil")
    images = [noise(*shape, seed=i) for i, shape in enumerate(shapes)]
    content = [*({"type": "image", "image": image} for image in images), {"type": "text", "text": "w5 w6"}]
    said = processor.apply_chat_template(
        [{"role": "user", "content": content}], add_generation_prompt=True, tokenize=True, return_dict=True
    )
    ours = LLaVA(load(tmp_path / "model")).encoder.encode([user(*images, "w5 w6")])
    assert list(said["input_ids"][0]) == ours.ids


def test_the_chat_template_of_our_folder_gives_our_ids(tmp_path: Path) -> None:
    ours = tiled_checkpoint(NEXT, "llama")
    save(ours, tmp_path / "model")
    processor = transformers.AutoProcessor.from_pretrained(tmp_path / "model")
    said = [
        {"role": "user", "content": [{"type": "image", "image": photo()}, {"type": "text", "text": "w5 w6"}]},
        {"role": "assistant", "content": [{"type": "text", "text": "w7"}]},
        {"role": "user", "content": [{"type": "text", "text": "w8"}]},
    ]
    ids = processor.apply_chat_template(said, add_generation_prompt=True, tokenize=True, return_dict=True)
    config = ours.model.config
    encoder = PromptEncoder(
        ours.tokenizer, get_template("vicuna_v1"), 9, ours.image, tiling=config.tiling
    )  # fmt: skip
    encoded = encoder.encode((user(photo(), "w5 w6"), assistant("w7"), user("w8")))
    assert list(ids["input_ids"][0]) == encoded.ids


@models
@pytest.mark.parametrize("vision", ["given", "left out"])
def test_an_empty_section_means_what_transformers_takes_it_for(kind: str, text: str, vision: str) -> None:
    hf: dict[str, Any] = {"model_type": kind, "text_config": {"model_type": text}}
    if vision == "given":
        hf["vision_config"] = {"model_type": "clip_vision_model", "image_size": 336}
        hf |= {"vision_feature_select_strategy": "default"}
        if kind == ONEVISION:
            hf["image_grid_pinpoints"] = [[336, 672]]
    spelled_out = type(hf_tiled(kind, text)[0].config)(**hf).to_dict()
    assert hf_config.from_hf(hf, "sparse") == hf_config.from_hf(spelled_out, "whole")


@pytest.mark.parametrize("kind", [NEXT, ONEVISION])
def test_a_model_that_says_nothing_of_its_parts_has_those_that_transformers_gives_it(kind: str) -> None:
    hf_model, _ = hf_tiled(kind, "qwen2")
    spelled_out = type(hf_model.config)().to_dict()
    assert hf_config.from_hf({"model_type": kind}, "") == hf_config.from_hf(spelled_out, "")


# As llava-hf/llava-v1.6-mistral-7b-hf and llava-hf/llava-onevision-qwen2-0.5b-ov-hf have them, in part.
PUBLISHED_NEXT = {
    "architectures": ["LlavaNextForConditionalGeneration"],
    "image_grid_pinpoints": [[336, 672], [672, 336], [672, 672], [1008, 336], [336, 1008]],
    "image_token_index": 32000,
    "model_type": "llava_next",
    "text_config": {
        "_name_or_path": "mistralai/Mistral-7B-Instruct-v0.2", "intermediate_size": 14336,
        "max_position_embeddings": 32768, "model_type": "mistral", "num_key_value_heads": 8,
        "rms_norm_eps": 1e-05, "rope_theta": 1000000.0, "sliding_window": None, "vocab_size": 32064,
    },
    "use_image_newline_parameter": True,
    "vision_config": {
        "hidden_size": 1024, "image_size": 336, "intermediate_size": 4096, "model_type": "clip_vision_model",
        "num_attention_heads": 16, "num_hidden_layers": 24, "patch_size": 14, "projection_dim": 768,
    },
    "vision_feature_layer": -2,
    "vision_feature_select_strategy": "default",
}  # fmt: skip
PUBLISHED_ONEVISION = {
    "architectures": ["LlavaOnevisionForConditionalGeneration"],
    "image_token_index": 151646,
    "model_type": "llava_onevision",
    "text_config": {
        "_name_or_path": "Qwen/Qwen2-0.5B-Instruct", "hidden_size": 896, "intermediate_size": 4864,
        "max_window_layers": 24, "model_type": "qwen2", "num_attention_heads": 14, "num_hidden_layers": 24,
        "num_key_value_heads": 2, "rope_theta": 1000000.0, "tie_word_embeddings": True, "vocab_size": 152000,
    },
    "video_token_index": 151647,
    "vision_aspect_ratio": "anyres_max_9",
    "vision_config": {
        "hidden_size": 1152, "image_size": 384, "intermediate_size": 4304, "num_attention_heads": 16,
        "model_type": "siglip_vision_model", "num_hidden_layers": 26, "patch_size": 14,
        "vision_use_head": False,
    },
    "vision_feature_layer": -1,
    "vision_feature_select_strategy": "full",
}  # fmt: skip


@pytest.mark.parametrize("published", [PUBLISHED_NEXT, PUBLISHED_ONEVISION], ids=["next", "onevision"])
def test_published_models_have_as_many_weights_as_in_transformers(published: dict[str, Any]) -> None:
    from llavakit.model import Llava

    hf = transformers.CONFIG_MAPPING[published["model_type"]](**published)
    with torch.device("meta"):
        expected = CLASSES[published["model_type"]](hf)
        ours = Llava(hf_config.from_hf(published, "config.json"))
    assert sum(p.numel() for p in ours.parameters()) == expected.num_parameters()


PREPROCESSORS = {
    # of the same two, preprocessor_config.json
    NEXT: {
        "aspect_ratio_setting": "anyres", "crop_size": {"height": 336, "width": 336}, "do_center_crop": True,
        "do_convert_rgb": True, "do_normalize": True, "do_pad": True, "do_rescale": True, "do_resize": True,
        "image_grid_pinpoints": PUBLISHED_NEXT["image_grid_pinpoints"],
        "image_mean": [0.48145466, 0.4578275, 0.40821073], "image_processor_type": "LlavaNextImageProcessor",
        "image_std": [0.26862954, 0.26130258, 0.27577711], "resample": 3,
        "rescale_factor": 0.00392156862745098, "size": {"shortest_edge": 336},
    },
    ONEVISION: {
        "do_convert_rgb": True, "do_normalize": True, "do_pad": True, "do_rescale": True, "do_resize": True,
        "image_mean": [0.5, 0.5, 0.5], "image_processor_type": "LlavaOnevisionImageProcessor",
        "image_std": [0.5, 0.5, 0.5], "resample": 3, "rescale_factor": 0.00392156862745098,
        "size": {"height": 384, "width": 384},
    },
}  # fmt: skip


@pytest.mark.parametrize("published", [PUBLISHED_NEXT, PUBLISHED_ONEVISION], ids=["next", "onevision"])
def test_published_image_settings_are_read_and_written_again(published: dict[str, Any]) -> None:
    kind = published["model_type"]
    config = hf_config.from_hf(published, "config.json")
    image = hf_config.image_from_hf(PREPROCESSORS[kind], config.vision, "", config.tiling)
    half = (0.5, 0.5, 0.5)
    assert image == (
        ImageConfig(size=336, resize="exact")
        if kind == NEXT
        else ImageConfig(size=384, resize="exact", mean=half, std=half)
    )
    written = hf_config.image_to_hf(image, config.tiling)
    assert hf_config.image_from_hf(written, config.vision, "", config.tiling) == image
    expected = PREPROCESSORS[kind]
    assert {name: written[name] for name in expected if name in written} == {
        name: value for name, value in expected.items() if name in written
    }
    assert set(expected) - set(written) <= {"aspect_ratio_setting"}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"image_grid_pinpoints": [[24, 50]]}, "image_grid_pinpoints: .* 24 x 50 is not made of tiles of 24"),
        ({"image_grid_pinpoints": []}, "image_grid_pinpoints"),
        ({"image_grid_pinpoints": [[24, 48]]}, "not those of config.json"),
        ({"vision_feature_select_strategy": "full"}, "drop the class token"),
        ({"vision_feature_layer": [-2, -5]}, "must be one number"),
    ],
    ids=str,
)
def test_a_tiling_that_cannot_be_honoured_is_one_sentence(
    tmp_path: Path, change: dict[str, Any], message: str
) -> None:
    save(tiled_checkpoint(NEXT, "llama"), tmp_path / "model")
    edit_json(tmp_path / "model" / "config.json", **change)
    with pytest.raises(CheckpointError, match=message) as caught:
        describe(tmp_path / "model")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("ratio", ["anyres", "anyres_max_", "pad", 9])
def test_an_aspect_ratio_without_a_greatest_number_of_tiles_is_refused(tmp_path: Path, ratio: object) -> None:
    save(tiled_checkpoint(ONEVISION, "qwen2"), tmp_path / "model")
    edit_json(tmp_path / "model" / "config.json", vision_aspect_ratio=ratio)
    with pytest.raises(CheckpointError, match=r"vision_aspect_ratio|wrong kind"):
        describe(tmp_path / "model")


@pytest.mark.parametrize(
    "change", [{"unpad": False}, {"newline": False}, {"max_tiles": 4}, {"single": True}], ids=str
)
def test_tiles_that_the_layout_has_no_word_for_are_not_written_as_something_else(
    tmp_path: Path, change: dict[str, Any]
) -> None:
    ours = tiled_checkpoint(NEXT, "llama")
    config: LlavaConfig = ours.model.config
    ours.model.config = config.model_copy(update={"tiling": tiling(NEXT).model_copy(update=change)})
    with pytest.raises(CheckpointError, match="no model type for such tiles"):
        save(ours, tmp_path / "model")
    assert not (tmp_path / "model").exists()


def test_grids_may_be_named_in_the_preprocessor_alone_or_not_at_all() -> None:
    tiles = Tiling(grids=((336, 672),), tile=336, patches=24)
    given = {"size": {"shortest_edge": 336}, "image_grid_pinpoints": [[336, 672]]}
    expected = ImageConfig(size=336, resize="exact")
    assert hf_config.image_from_hf(given, VisionConfig(), "", tiles) == expected
    del given["image_grid_pinpoints"]
    assert hf_config.image_from_hf(given, VisionConfig(), "", tiles) == expected
    with pytest.raises(CheckpointError, match="come out at 224"):
        hf_config.image_from_hf(given | {"crop_size": 224}, VisionConfig(), "", tiles)


# LLaVA-Interleave: a plain `llava` with SigLIP and Qwen2, every feature, several pictures


def test_llava_interleave_gives_transformers_logits_and_ids_with_several_pictures(tmp_path: Path) -> None:
    hf_model = hf_folder(tmp_path, "qwen2", "siglip", feature_layer=-1, tie_word_embeddings=True)
    loaded = load(tmp_path)
    assert (loaded.template, loaded.model.config.feature_select) == ("onevision", "full")
    encoder = LLaVA(loaded).encoder
    images = [photo(), photo(30, 50), photo(20, 20)]
    processor = transformers.AutoProcessor.from_pretrained(tmp_path)
    encoded = encoder.encode([user(*images, "w5 w6")])
    said = processor(images=images, text=encoded.text, return_tensors="pt")
    assert said["input_ids"][0].tolist() == encoded.ids
    assert np.array_equal(said["pixel_values"].numpy(), encoder.pixels(images))
    with torch.no_grad():
        expected = hf_model(**said).logits
        ours = loaded.model(said["input_ids"], said["pixel_values"])
    assert gap(ours, expected) < TOLERANCE


def test_a_llava_whose_siglip_drops_its_first_patch_means_the_same_both_ways(tmp_path: Path) -> None:
    """transformers' default where a configuration says nothing, though SigLIP has no class token."""
    hf_model = hf_folder(tmp_path / "theirs", "llama", "siglip", feature_select="but_first")
    loaded = load(tmp_path / "theirs")
    assert loaded.model.config.tokens_per_image == 8
    save(loaded, tmp_path / "ours")
    again = transformers.LlavaForConditionalGeneration.from_pretrained(
        tmp_path / "ours", attn_implementation="eager"
    )
    processor = transformers.AutoProcessor.from_pretrained(tmp_path / "ours")
    encoded = LLaVA(loaded).encoder.encode([user(photo(), "w5")])
    said = processor(images=photo(), text=encoded.text, return_tensors="pt")
    assert said["input_ids"][0].tolist() == encoded.ids
    with torch.no_grad():
        ours = loaded.model(said["input_ids"], said["pixel_values"])
        assert gap(ours, hf_model(**said).logits) < TOLERANCE
        assert gap(ours, again(**said).logits) < TOLERANCE


# Templates


@pytest.mark.parametrize(
    ("kind", "text", "vocabulary", "template"),
    [
        ("llava", "llama", 32064, "vicuna_v1"),
        ("llava", "llama", 128320, "llama_3"),
        ("llava", "mistral", 32064, "mistral_instruct"),
        ("llava", "qwen2", 151936, "onevision"),
        ("llava", "qwen3", 151936, None),
        ("llava_next", "llama", 32064, "vicuna_v1"),
        ("llava_next", "llama", 64064, "chatml"),
        ("llava_next", "llama", 128320, "llama_3"),
        ("llava_next", "llama", 50000, None),
        ("llava_next", "mistral", 32064, "mistral_instruct"),
        ("llava_next", "qwen2", 152064, "qwen_1_5"),
        ("llava_onevision", "qwen2", 152000, "onevision"),
        ("llava_onevision", "llama", 32064, None),
    ],
)
def test_the_template_follows_the_model_its_language_model_and_its_vocabulary(
    kind: str, text: str, vocabulary: int, template: str | None
) -> None:
    hf = {"model_type": kind, "text_config": {"model_type": text, "vocab_size": vocabulary}}
    assert hf_config.template_of(hf, hf_config.from_hf(hf, "")) == template


def test_a_model_whose_template_nothing_tells_asks_for_it_by_name(tmp_path: Path) -> None:
    hf_folder(tmp_path, "qwen3")
    assert describe(tmp_path).template is None
    with pytest.raises(CheckpointError, match=r"name it, --template .*qwen_1_5"):
        load(tmp_path)
    assert load(tmp_path, template="qwen_1_5").template == "qwen_1_5"
    ours = checkpoint("qwen3")
    save(ours, tmp_path / "ours")  # what we write tells
    assert load(tmp_path / "ours").template == "vicuna_v1"


@models
def test_a_loaded_model_talks_about_pictures_of_every_shape(tmp_path: Path, kind: str, text: str) -> None:
    tiled_hf_folder(tmp_path, kind, text)
    llava = LLaVA.from_pretrained(tmp_path, device="cpu", dtype="float32")
    for shapes in PICTURES.values():
        images: list[Image.Image] = [noise(*shape) for shape in shapes]
        reply = llava.generate("w5 w6", images, max_new_tokens=3)
        spans = llava.encoder.encode([user(*images, "w5 w6")]).image_spans
        assert reply.usage.image_tokens == sum(end - start for start, end in spans)
