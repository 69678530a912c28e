"""Hugging Face's `config.json` and image processor settings <-> our configuration.

A published `config.json` leaves out what equals the default of its model type, so those defaults
(from transformers' configuration classes) are listed here.
"""

from typing import Any

from llavakit.config import ImageConfig, LanguageConfig, LlavaConfig, RopeScaling, VisionConfig
from llavakit.errors import CheckpointError, nearest

Json = dict[str, Any]

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
TEMPLATE_OF = {"llama": "vicuna_v1", "mistral": "mistral_instruct", "qwen2": "chatml", "qwen3": "chatml"}


def language_type(hf: Json) -> str:
    """The `model_type` of the language model in a LLaVA `config.json`."""
    return str((hf.get("text_config") or {}).get("model_type", "llama"))


def from_hf(hf: Json, where: str, connector: str = "mlp2x_gelu") -> LlavaConfig:
    """A LLaVA `config.json` as our configuration; `connector` is told from outside (see `to_hf`).

    Raises:
        CheckpointError: another kind of model, or a part that llavakit has no code for.
    """
    if hf.get("model_type") != "llava" or "mm_vision_tower" in hf:
        raise CheckpointError(
            f"{where}: model_type is {hf.get('model_type')!r}; llavakit reads 'llava' in the Hugging Face "
            "layout, such as llava-hf/llava-1.5-7b-hf"
        )
    image_token = hf.get("image_token_index", hf.get("image_token_id"))
    feature_layer = hf.get("vision_feature_layer", -2)
    if not isinstance(feature_layer, int):
        raise CheckpointError(f"{where}: vision_feature_layer {feature_layer!r} must be one number")
    vision = _vision(hf.get("vision_config"), where)
    strategy = hf.get("vision_feature_select_strategy", "default")
    if strategy not in ("default", "full") or (strategy == "default" and vision.kind != "clip"):
        raise CheckpointError(
            f"{where}: vision_feature_select_strategy {strategy!r} is not supported for {vision.kind}: "
            "'full' takes every feature, 'default' drops the first, which is CLIP's class token"
        )
    values = {
        "vision": vision,
        "language": _language(hf, where),
        "connector": connector,
        "connector_bias": hf.get("multimodal_projector_bias", True),
        "connector_act": hf.get("projector_hidden_act", "gelu"),
        "image_token_id": 32000 if image_token is None else image_token,
        "feature_layer": feature_layer,
        "feature_select": "full" if strategy == "full" else "patch",
    }
    return LlavaConfig.parse(values, where)


def _known(table: dict[str, Json], kind: str, where: str) -> Json:
    if kind not in table:
        raise CheckpointError(f"{where}: llavakit has no {kind!r} ({nearest(kind, table)})")
    return table[kind]


def _vision(hf: Json | None, where: str) -> VisionConfig:
    if not hf:
        return VisionConfig()  # a LLaVA that says nothing has the tower of LLaVA-1.5
    kind = hf.get("model_type", "clip_vision_model")
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


def _rope_scaling(rope: Json, where: str) -> RopeScaling | None:
    kind = rope.get("rope_type", rope.get("type", "default"))
    if kind == "default":
        return None
    own = {name: rope[name] for name in RopeScaling.model_fields if rope.get(name) is not None}
    return RopeScaling.parse(own | {"rope_type": kind}, f"{where}: rope_scaling")


def to_hf(config: LlavaConfig, tokens: Json, dtype: str) -> Json:
    """Our configuration as a LLaVA `config.json` that transformers 4 and 5, vLLM and SGLang read.

    The layout has no field for the connector (transformers knows `mlp2x_gelu` alone).
    """
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
    return {
        "architectures": ["LlavaForConditionalGeneration"],
        "model_type": "llava",
        "torch_dtype": dtype,
        "image_token_index": config.image_token_id,
        "image_seq_length": config.tokens_per_image,
        "projector_hidden_act": config.connector_act,
        "multimodal_projector_bias": config.connector_bias,
        "vision_feature_layer": config.feature_layer,
        "vision_feature_select_strategy": _strategy(config),
        "tie_word_embeddings": language.tie_word_embeddings,
        "text_config": text,
        "vision_config": {
            "model_type": f"{vision.kind}_vision_model",
            **vision.model_dump(exclude={"kind"}),
            **({} if vision.kind == "clip" else {"vision_use_head": False}),
        },
    }


def processor_to_hf(config: LlavaConfig, image_token: str) -> Json:
    """`processor_config.json`: from it transformers knows how many tokens a picture takes."""
    return {
        "processor_class": "LlavaProcessor",
        "image_token": image_token,
        "patch_size": config.vision.patch_size,
        "num_additional_image_tokens": int(config.vision.kind == "clip"),
        "vision_feature_select_strategy": _strategy(config),
    }


def _strategy(config: LlavaConfig) -> str:
    """transformers' "default" drops the first feature, which only CLIP's class token deserves."""
    return "default" if config.feature_select == "patch" and config.vision.kind == "clip" else "full"


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


def image_from_hf(hf: Json, vision: VisionConfig, where: str) -> ImageConfig:
    """`preprocessor_config.json` (or the image part of `processor_config.json`) as our settings."""
    hf = hf.get("image_processor", hf)
    size = hf.get("size", vision.image_size)
    exact = isinstance(size, dict) and "height" in size
    if isinstance(size, dict):
        size = size.get("shortest_edge", size.get("height"))
    values = {"size": size, "resize": "exact" if exact else "shortest", "pad": bool(hf.get("do_pad"))}
    cropped = not exact and not values["pad"]
    crop = hf.get("crop_size") if cropped else None
    sizes = [size, *(crop.values() if isinstance(crop, dict) else [crop or size])]
    if any(side != vision.image_size for side in sizes):
        raise CheckpointError(
            f"{where}: pictures come out at {sizes[-1]} but the vision tower takes {vision.image_size}"
        )
    for name, value in _STEPS.items():
        if hf.get(name) not in (None, value) and (cropped or name != "do_center_crop"):
            raise CheckpointError(f"{where}: {name} {hf[name]!r} is not supported, only {value!r}")
    for ours, theirs in (("mean", "image_mean"), ("std", "image_std")):
        if theirs in hf:
            values[ours] = hf[theirs]
    return ImageConfig.parse(values, where)


def image_to_hf(image: ImageConfig) -> Json:
    """Our settings as `preprocessor_config.json`."""
    side = {"height": image.size, "width": image.size}
    shared: Json = {
        "do_resize": True,
        "do_rescale": True,
        "rescale_factor": 1 / 255,
        "do_normalize": True,
        "image_mean": list(image.mean),
        "image_std": list(image.std),
        "resample": 3,
    }
    if image.resize == "exact":
        return shared | {"image_processor_type": "SiglipImageProcessor", "size": side}
    kind = (
        {"image_processor_type": "LlavaImageProcessor", "do_pad": True}
        if image.pad
        else {"image_processor_type": "CLIPImageProcessor"}
    )
    crop = {"size": {"shortest_edge": image.size}, "do_center_crop": True, "crop_size": side}
    return shared | kind | crop | {"do_convert_rgb": True}
