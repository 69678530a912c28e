"""Hugging Face's `config.json` and image processor settings <-> our configuration.

A published `config.json` leaves out what equals the default of its model type, so those defaults
(from transformers' configuration classes) are listed here.
"""

import re
from itertools import product
from typing import Any

from llavakit.config import ImageConfig, LanguageConfig, LlavaConfig, RopeScaling, Tiling, VisionConfig
from llavakit.errors import CheckpointError, nearest

Json = dict[str, Any]

# LLaVA-1.5's tower, which a `config.json` without one means.
_CLIP_LARGE: Json = {
    "model_type": "clip_vision_model", "hidden_size": 1024, "intermediate_size": 4096, "patch_size": 14,
    "image_size": 336, "num_hidden_layers": 24, "num_attention_heads": 16,
}  # fmt: skip
_SIGLIP_SO400M: Json = {
    "model_type": "siglip_vision_model", "hidden_size": 1152, "intermediate_size": 4304, "patch_size": 14,
    "image_size": 384, "num_hidden_layers": 26, "num_attention_heads": 16,
}  # fmt: skip
_FIXED: Json = {
    "image_token": 32000, "text": "llama", "vision_config": _CLIP_LARGE,
    "vision_feature_layer": -2, "vision_feature_select_strategy": "default",
}  # fmt: skip
_MODEL_DEFAULTS: dict[str, Json] = {
    "llava": _FIXED,
    "llava_next": _FIXED | {
        "image_grid_pinpoints": [[336, 672], [672, 336], [672, 672], [1008, 336], [336, 1008]],
    },
    "llava_onevision": {
        "image_token": 151646, "text": "qwen2", "vision_config": _SIGLIP_SO400M,
        "vision_feature_layer": -1, "vision_feature_select_strategy": "full",
        "image_grid_pinpoints": [list(grid) for grid in product(range(384, 2305, 384), repeat=2)],
        "vision_aspect_ratio": "anyres_max_9",
    },
}  # fmt: skip
_VIDEO_TOKEN = 151647  # LLaVA-OneVision's, and what its configuration has where no tokenizer has one

_LANGUAGE_DEFAULTS: dict[str, Json] = {
    "llama": {
        "vocab_size": 32000, "hidden_size": 4096, "intermediate_size": 11008, "num_hidden_layers": 32,
        "num_attention_heads": 32, "max_position_embeddings": 2048, "rms_norm_eps": 1e-6,
    },
    "mistral": {
        "vocab_size": 32000, "hidden_size": 4096, "intermediate_size": 14336, "num_hidden_layers": 32,
        "num_attention_heads": 32, "num_key_value_heads": 8, "max_position_embeddings": 131072,
        "rms_norm_eps": 1e-6, "sliding_window": 4096,
    },
    "qwen2": {
        "vocab_size": 151936, "hidden_size": 4096, "intermediate_size": 22016, "num_hidden_layers": 32,
        "num_attention_heads": 32, "num_key_value_heads": 32, "max_position_embeddings": 32768,
        "rms_norm_eps": 1e-6, "sliding_window": 4096, "max_window_layers": 28,
    },
    "qwen3": {
        "vocab_size": 151936, "hidden_size": 4096, "intermediate_size": 22016, "num_hidden_layers": 32,
        "num_attention_heads": 32, "num_key_value_heads": 32, "max_position_embeddings": 32768,
        "rms_norm_eps": 1e-6, "head_dim": 128, "sliding_window": 4096, "max_window_layers": 28,
    },
}  # fmt: skip

_VISION_DEFAULTS: dict[str, Json] = {
    "clip_vision_model": {
        "hidden_size": 768, "intermediate_size": 3072, "num_hidden_layers": 12, "num_attention_heads": 12,
        "image_size": 224, "patch_size": 32, "hidden_act": "quick_gelu", "layer_norm_eps": 1e-5,
    },
    "siglip_vision_model": {
        "hidden_size": 768, "intermediate_size": 3072, "num_hidden_layers": 12, "num_attention_heads": 12,
        "image_size": 224, "patch_size": 16, "hidden_act": "gelu_pytorch_tanh", "layer_norm_eps": 1e-6,
    },
}  # fmt: skip

# The template a published checkpoint was tuned with, where its own files do not say.
TEMPLATE_OF = {
    ("llava", "mistral"): "mistral_instruct",
    ("llava", "qwen2"): "onevision",  # LLaVA-Interleave
    ("llava_next", "mistral"): "mistral_instruct",
    ("llava_next", "qwen2"): "qwen_1_5",
    ("llava_onevision", "qwen2"): "onevision",
}
# Many language models are of type "llama"; their vocabularies tell them apart. LLaVA adds a few tokens.
_TEMPLATE_OF_VOCABULARY = (
    (range(33_000), "vicuna_v1"),  # Llama, Llama 2
    (range(64_000, 65_000), "chatml"),  # Yi: LLaVA-1.6-34B
    (range(128_256, 129_000), "llama_3"),
)


def template_of(hf: Json, config: LlavaConfig) -> str | None:
    """The template that goes with a `config.json`; None where its numbers do not tell."""
    model, language = hf["model_type"], language_type(hf)
    if language == "llama" and model != "llava_onevision":
        sizes = _TEMPLATE_OF_VOCABULARY
        return next((name for size, name in sizes if config.language.vocab_size in size), None)
    return TEMPLATE_OF.get((model, language))


def language_type(hf: Json) -> str:
    """The `model_type` of the language model in a LLaVA `config.json`."""
    default = _MODEL_DEFAULTS[hf["model_type"]]["text"]
    return str((hf.get("text_config") or {}).get("model_type", default))


def from_hf(hf: Json, where: str, connector: str = "mlp2x_gelu") -> LlavaConfig:
    """A LLaVA `config.json` as our configuration; `connector` is told from outside (see `to_hf`).

    Raises:
        CheckpointError: another kind of model, or a part that llavakit has no code for.
    """
    kind = hf.get("model_type")
    if not isinstance(kind, str) or kind not in _MODEL_DEFAULTS or "mm_vision_tower" in hf:
        raise CheckpointError(
            f"{where}: model_type is {kind!r}; llavakit reads {', '.join(_MODEL_DEFAULTS)} in the Hugging "
            "Face layout, such as llava-hf/llava-1.5-7b-hf"
        )
    default = _MODEL_DEFAULTS[kind]
    given = default | {name: value for name, value in hf.items() if value is not None}
    feature_layer, strategy = given["vision_feature_layer"], given["vision_feature_select_strategy"]
    if not isinstance(feature_layer, int):
        raise CheckpointError(f"{where}: vision_feature_layer {feature_layer!r} must be one number")
    if strategy not in ("default", "full"):
        raise CheckpointError(
            f"{where}: vision_feature_select_strategy {strategy!r} is not supported: 'full' takes every "
            "feature, 'default' drops the first, which is CLIP's class token"
        )
    vision = _vision(given["vision_config"], default["vision_config"]["model_type"], where)
    without_first = "patch" if vision.kind == "clip" else "but_first"
    values = {
        "vision": vision,
        "language": _language(hf, where),
        "connector": connector,
        "connector_bias": given.get("multimodal_projector_bias", True),
        "connector_act": given.get("projector_hidden_act", "gelu"),
        "image_token_id": given.get("image_token_index", given.get("image_token_id", given["image_token"])),
        "feature_layer": feature_layer,
        "feature_select": "full" if strategy == "full" else without_first,
        "tiling": _tiling(given, vision, where),
    }
    return LlavaConfig.parse(values, where)


def _tiling(given: Json, vision: VisionConfig, where: str) -> Tiling | None:
    if given["model_type"] == "llava":
        return None
    values = {
        "grids": given["image_grid_pinpoints"],
        "tile": vision.image_size,
        "patches": vision.image_size // vision.patch_size,
    }
    if given["model_type"] == "llava_onevision":
        ratio = given["vision_aspect_ratio"]
        if not (found := re.fullmatch(r"anyres_max_(\d+)", ratio)):
            raise CheckpointError(
                f"{where}: vision_aspect_ratio {ratio!r} is not supported, only 'anyres_max_N', such as "
                "'anyres_max_9'"
            )
        values |= {"max_tiles": int(found[1]), "single": True}
    return Tiling.parse(values, f"{where}: image_grid_pinpoints")


def _known(table: dict[str, Json], kind: str, where: str) -> Json:
    if kind not in table:
        raise CheckpointError(f"{where}: llavakit has no {kind!r} ({nearest(kind, table)})")
    return table[kind]


def _vision(hf: Json, default: str, where: str) -> VisionConfig:
    kind = hf.get("model_type", default)
    values = _known(_VISION_DEFAULTS, kind, where) | hf
    own = {name: values[name] for name in VisionConfig.model_fields if name in values and name != "kind"}
    return VisionConfig.parse(own | {"kind": kind.removesuffix("_vision_model")}, f"{where}: vision_config")


def _language(hf: Json, where: str) -> LanguageConfig:
    text = hf.get("text_config") or {}
    kind = language_type(hf)
    values = {name: value for name, value in text.items() if value is not None}
    values = _known(_LANGUAGE_DEFAULTS, kind, where) | values
    heads = values["num_attention_heads"]
    values.setdefault("num_key_value_heads", heads)
    values.setdefault("head_dim", values["hidden_size"] // heads)
    values["qkv_bias"] = kind == "qwen2"
    values["qk_norm"] = kind == "qwen3"
    values["tie_word_embeddings"] = bool(
        text.get("tie_word_embeddings", False) or hf.get("tie_word_embeddings", False)
    )
    # an explicit null switches Mistral's window off
    values["sliding_window"] = text.get("sliding_window", values.get("sliding_window"))
    if kind != "mistral" and not _has_windows(values, where):
        values["sliding_window"] = None
    rope = dict(values.get("rope_parameters") or values.get("rope_scaling") or {})
    values["rope_theta"] = rope.pop("rope_theta", values.get("rope_theta", 10000.0))
    rope.setdefault("partial_rotary_factor", values.get("partial_rotary_factor"))
    values["rope_scaling"] = _rope_scaling(rope, where)
    if values.get("mlp_bias") or values.get("attention_bias"):
        raise CheckpointError(f"{where}: biases in the attention's output or the MLP are not supported")
    own = {name: values[name] for name in LanguageConfig.model_fields if name in values}
    return LanguageConfig.parse(own, f"{where}: text_config")


def _has_windows(values: Json, where: str) -> bool:
    """Whether a Qwen has a sliding window: in every layer, or in none."""
    if not values.get("use_sliding_window"):
        return False
    layers, first = values["num_hidden_layers"], values["max_window_layers"]
    kinds = values.get("layer_types") or ["sliding_attention" if i >= first else "" for i in range(layers)]
    windowed = {kind == "sliding_attention" for kind in kinds}
    if len(windowed) > 1:
        raise CheckpointError(f"{where}: a sliding window in only some of the layers is not supported")
    return windowed == {True}


_ROPE_AS_USUAL = {"partial_rotary_factor": 1.0, "truncate": True}  # values with which they change nothing


def _rope_scaling(rope: Json, where: str) -> RopeScaling | None:
    kind, scaling = rope.get("rope_type", rope.get("type", "default")), None
    if kind != "default":
        own = {name: rope[name] for name in RopeScaling.model_fields if rope.get(name) is not None}
        scaling = RopeScaling.parse(own | {"rope_type": kind}, f"{where}: rope_scaling")
    for name in rope.keys() - RopeScaling.model_fields.keys() - {"type", "finetuned"}:
        if rope[name] is not None and rope[name] != _ROPE_AS_USUAL.get(name):
            raise CheckpointError(f"{where}: rope_scaling: {name} {rope[name]!r} is not supported")
    return scaling


def _model_type(tiling: Tiling | None) -> str:
    if tiling is None:
        return "llava"
    if tiling.unpad and tiling.newline and tiling.single == (tiling.max_tiles is not None):
        return "llava_onevision" if tiling.single else "llava_next"
    raise CheckpointError(
        "the Hugging Face layout has no model type for such tiles: it knows LLaVA-NeXT's (unpad, newline) "
        "and LLaVA-OneVision's (unpad, newline, single, max_tiles)"
    )


_CLASSES = {
    "llava": "LlavaForConditionalGeneration",
    "llava_next": "LlavaNextForConditionalGeneration",
    "llava_onevision": "LlavaOnevisionForConditionalGeneration",
}


def to_hf(config: LlavaConfig, tokens: Json, dtype: str, video_token_id: int | None = None) -> Json:
    """Our configuration as a LLaVA `config.json` that transformers 4 and 5, vLLM and SGLang read.

    The layout has no field for the connector (transformers knows `mlp2x_gelu` alone).

    Raises:
        CheckpointError: it has none for the tiling either.
    """
    model_type, tiling = _model_type(config.tiling), config.tiling
    vision, language = config.vision, config.language
    kind = _language_kind(language)
    text: Json = {
        "model_type": kind,
        "vocab_size": language.vocab_size,
        "hidden_size": language.hidden_size,
        "intermediate_size": language.intermediate_size,
        "num_hidden_layers": language.num_hidden_layers,
        "num_attention_heads": language.num_attention_heads,
        "num_key_value_heads": language.num_key_value_heads,
        "head_dim": language.head_dim,
        "hidden_act": language.hidden_act,
        "rms_norm_eps": language.rms_norm_eps,
        "rope_theta": language.rope_theta,
        "max_position_embeddings": language.max_position_embeddings,
        "tie_word_embeddings": language.tie_word_embeddings,
        **tokens,
    }
    if language.rope_scaling is not None:
        text["rope_scaling"] = language.rope_scaling.model_dump(exclude_none=True)
    if kind in ("mistral", "qwen2", "qwen3"):
        text["sliding_window"] = language.sliding_window
    if kind in ("qwen2", "qwen3"):
        text["use_sliding_window"] = language.sliding_window is not None
        text["max_window_layers"] = 0 if language.sliding_window else language.num_hidden_layers
    tiled: Json = {}
    if tiling is not None:
        tiled["image_grid_pinpoints"] = [list(grid) for grid in tiling.grids]
    if model_type == "llava_onevision":
        tiled["vision_aspect_ratio"] = _aspect_ratio(tiling)
        tiled["video_token_index"] = _VIDEO_TOKEN if video_token_id is None else video_token_id
    return {
        "architectures": [_CLASSES[model_type]],
        "model_type": model_type,
        "torch_dtype": dtype,
        "image_token_index": config.image_token_id,
        "image_seq_length": config.tokens_per_image,
        "projector_hidden_act": config.connector_act,
        "multimodal_projector_bias": config.connector_bias,
        "vision_feature_layer": config.feature_layer,
        "vision_feature_select_strategy": _strategy(config),
        "tie_word_embeddings": language.tie_word_embeddings,
        **tiled,
        "text_config": text,
        "vision_config": {
            "model_type": f"{vision.kind}_vision_model",
            **vision.model_dump(exclude={"kind"}),
            **({} if vision.kind == "clip" else {"vision_use_head": False}),
        },
    }


def processors_to_hf(config: LlavaConfig, image: ImageConfig, image_token: str) -> dict[str, Json]:
    """The files that tell transformers how pictures are prepared and how many tokens they take."""
    files = {
        "preprocessor_config.json": image_to_hf(image, config.tiling),
        "processor_config.json": processor_to_hf(config, image_token),
    }
    if _model_type(config.tiling) == "llava_onevision":  # whose processor is none without this part
        kind = {"video_processor_type": "LlavaOnevisionVideoProcessor"}
        files["video_preprocessor_config.json"] = _pixels_to_hf(image) | _square(image) | kind
    return files


def processor_to_hf(config: LlavaConfig, image_token: str) -> Json:
    """`processor_config.json`: from it transformers knows how many tokens a picture takes."""
    model_type = _model_type(config.tiling)
    shared: Json = {
        "processor_class": _CLASSES[model_type].replace("ForConditionalGeneration", "Processor"),
        "image_token": image_token,
        "vision_feature_select_strategy": _strategy(config),
    }
    if model_type == "llava_onevision":
        return shared | {
            "num_image_tokens": config.vision.num_patches,
            "vision_aspect_ratio": _aspect_ratio(config.tiling),
        }
    return shared | {
        "patch_size": config.vision.patch_size,
        "num_additional_image_tokens": int(config.vision.kind == "clip"),
    }


def _aspect_ratio(tiling: Tiling | None) -> str:
    assert tiling is not None and tiling.max_tiles is not None  # what makes it LLaVA-OneVision
    return f"anyres_max_{tiling.max_tiles}"


def _strategy(config: LlavaConfig) -> str:
    """transformers' "default" drops the first feature, which only CLIP's class token deserves."""
    return "default" if config.drops_first else "full"


def _language_kind(language: LanguageConfig) -> str:
    if language.qk_norm:
        return "qwen3"
    if language.qkv_bias:
        return "qwen2"
    return "llama" if language.sliding_window is None else "mistral"


# What every image processor of LLaVA's towers does; 3 is Pillow's bicubic.
_STEPS = {
    "do_resize": True,
    "do_center_crop": True,
    "do_rescale": True,
    "rescale_factor": 1 / 255,
    "do_normalize": True,
    "resample": 3,
}


def image_from_hf(hf: Json, vision: VisionConfig, where: str, tiling: Tiling | None = None) -> ImageConfig:
    """`preprocessor_config.json` (or the image part of `processor_config.json`) as our settings."""
    hf = hf.get("image_processor", hf)
    size = hf.get("size", vision.image_size)
    exact = (isinstance(size, dict) and "height" in size) or tiling is not None
    sides = list(size.values()) if isinstance(size, dict) else [size]
    pad = bool(hf.get("do_pad")) and tiling is None  # beside tiles, it is about batches
    cropped = not exact and not pad
    crop = hf.get("crop_size") if cropped or tiling is not None else None
    sides += crop.values() if isinstance(crop, dict) else [crop or sides[0]]
    if any(side != vision.image_size for side in sides):
        raise CheckpointError(
            f"{where}: pictures come out at {sides[-1]} but the vision tower takes {vision.image_size}"
        )
    for name, value in _STEPS.items():
        if hf.get(name) not in (None, value) and (cropped or name != "do_center_crop"):
            raise CheckpointError(f"{where}: {name} {hf[name]!r} is not supported, only {value!r}")
    grids = hf.get("image_grid_pinpoints")
    if tiling is not None and grids not in (None, [list(grid) for grid in tiling.grids]):
        raise CheckpointError(
            f"{where}: image_grid_pinpoints are not those of config.json: pictures would be cut in another "
            "way than their tokens are counted"
        )
    values = {"size": sides[0], "resize": "exact" if exact else "shortest", "pad": pad}
    for ours, theirs in (("mean", "image_mean"), ("std", "image_std")):
        if theirs in hf:
            values[ours] = hf[theirs]
    return ImageConfig.parse(values, where)


def image_to_hf(image: ImageConfig, tiling: Tiling | None = None) -> Json:
    """Our settings as `preprocessor_config.json`."""
    shared, square = _pixels_to_hf(image), _square(image)
    crop = {
        "size": {"shortest_edge": image.size}, "do_center_crop": True, "crop_size": square["size"],
        "do_convert_rgb": True,
    }  # fmt: skip
    if tiling is not None:
        grids = [list(grid) for grid in tiling.grids]
        shared |= {"do_pad": True, "do_convert_rgb": True, "image_grid_pinpoints": grids}
        if tiling.single:
            return shared | {"image_processor_type": "LlavaOnevisionImageProcessor", **square}
        return shared | {"image_processor_type": "LlavaNextImageProcessor", **crop}
    if image.resize == "exact":
        return shared | {"image_processor_type": "SiglipImageProcessor", **square}
    if image.pad:
        return shared | {"image_processor_type": "LlavaImageProcessor", "do_pad": True, **crop}
    return shared | {"image_processor_type": "CLIPImageProcessor", **crop}


def _pixels_to_hf(image: ImageConfig) -> Json:
    return {
        "do_resize": True,
        "do_rescale": True,
        "rescale_factor": 1 / 255,
        "do_normalize": True,
        "image_mean": list(image.mean),
        "image_std": list(image.std),
        "resample": 3,
    }


def _square(image: ImageConfig) -> Json:
    return {"size": {"height": image.size, "width": image.size}}
