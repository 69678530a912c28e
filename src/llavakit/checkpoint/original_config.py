"""`config.json` of the original LLaVA repository <-> our configuration.

The fields are those that `llava/model/llava_arch.py`, its two `builder.py` and `mm_utils.py` read. A flat
file says everything: the language model's fields as Llama's own config.json has them, LLaVA's beside them
as `mm_*`. What differs from Hugging Face's layout is rewritten as that, so that one module knows the
language models' and the towers' fields.
"""

import ast
import re
from typing import Any

from llavakit.checkpoint import hf_config
from llavakit.checkpoint.json_file import Json
from llavakit.checkpoint.tower import Tower, name_of, trained_with
from llavakit.config import LlavaConfig, VisionConfig
from llavakit.errors import CheckpointError, nearest
from llavakit.prompt.tokenizer import Tokenizer

# By model_type, and by architecture where that is plain "llava", as in LLaVA-1.5.
_LANGUAGES = {
    "llava_llama": "llama", "llava_mistral": "mistral", "llava_qwen": "qwen2",
    "LlavaLlamaForCausalLM": "llama", "LlavaMistralForCausalLM": "mistral", "LlavaQwenForCausalLM": "qwen2",
}  # fmt: skip
_MPT = ("llava_mpt", "LlavaMPTForCausalLM", "LlavaMptForCausalLM")
_WHOLE = (None, "square", "pad")  # values of image_aspect_ratio that make one view
_ANYRES = re.compile(r"anyres(?:_max_(\d+))?")
_FEATURES = {"patch": "default", "cls_patch": "full"}


def is_original(hf: Json) -> bool:
    """Whether a `config.json` is of the original layout.

    Folders of Hugging Face's layout that came from one keep its fields; theirs is another architecture.
    """
    given = hf.get("architectures")
    architectures = [str(name) for name in given] if isinstance(given, list) else []
    if any(name.endswith("ForConditionalGeneration") for name in architectures):
        return False
    kinds = {str(hf.get("model_type")), *architectures}
    return any(name.startswith("mm_") for name in hf) or bool(kinds & {*_LANGUAGES, *_MPT})


def language_kind(hf: Json, where: str) -> str:
    """The language model's family, as Hugging Face calls it.

    Raises:
        CheckpointError: llavakit has no code for it.
    """
    kind = str(hf.get("model_type"))
    if kind == "llava":
        kind = next(map(str, hf.get("architectures") or ()), "LlavaLlamaForCausalLM")
    if kind in _MPT:
        raise CheckpointError(
            f"{where}: LLaVA on MPT is not supported: its language model is of another family than Llama's; "
            "take LLaVA-1.5 or later"
        )
    if kind not in _LANGUAGES:
        raise CheckpointError(f"{where}: llavakit has no {kind!r} ({nearest(kind, _LANGUAGES)})")
    return _LANGUAGES[kind]


def from_original(
    hf: Json, tower: Tower, tokenizer: Tokenizer, where: str, layers: int | None
) -> LlavaConfig:
    """An original `config.json` as our configuration.

    The original tokenizers have no `<image>`: their code marks a picture's place by -200, which no
    table has. Ours needs a token, so `tokenizer` has one behind its vocabulary, and the model's tables are
    made as long as the tokenizer by rows of zeros (`Widened`). Hugging Face's converted checkpoints do the
    same: what is exported from here then fits them, GGUF and every reader that looks a token up before
    it replaces it. Zeros are never looked at: features take the place of `<image>`.

    Args:
        layers: how many of the tower's layers the checkpoint carries; None: none

    Raises:
        CheckpointError: a part that llavakit has no code for, or parts that do not fit together.
    """
    _refuse(hf, where)
    vision = tower.vision | {}
    if "mm_vision_select_layer" not in hf:
        raise CheckpointError(f"{where} has no mm_vision_select_layer: the model is damaged; fetch it again")
    layer = hf["mm_vision_select_layer"]
    if layers is not None and layers != vision.get("num_hidden_layers", layers):
        # LLaVA-NeXT cuts SigLIP's last layer off, and counts as if it were there
        layer += vision["num_hidden_layers"] - layers
        vision["num_hidden_layers"] = layers
    config = hf_config.from_hf(
        {
            "model_type": "llava",
            "text_config": hf | {"model_type": language_kind(hf, where)},
            "vision_config": vision,
            "image_token_index": tokenizer.image_token_id,
            "vision_feature_layer": layer,
            "vision_feature_select_strategy": _strategy(hf, vision, where),
        },
        where,
        hf.get("mm_projector_type") or "linear",  # LLaVA v1 had no other and no field for it
    )
    _check_tower(hf, config.vision, tower, where)
    language = config.language
    words = tokenizer.backend.get_vocab_size(with_added_tokens=False)
    if words > language.vocab_size:
        raise CheckpointError(
            f"{where} says vocab_size {language.vocab_size}, but the tokenizer has {words} words: "
            "the files belong to different models"
        )
    rows = max(language.vocab_size, tokenizer.vocab_size)
    values = config.model_dump() | {"language": language.model_dump() | {"vocab_size": rows}}
    return LlavaConfig.parse(values | {"tiling": _tiling(hf, config.vision, where)}, where)


def _refuse(hf: Json, where: str) -> None:
    method = (hf.get("quantization_config") or {}).get("quant_method")
    if method is not None:
        raise CheckpointError(
            f"{where}: weights quantised by {method!r} are not supported: "
            "load the model as published, with --quantize int8 or int4"
        )
    for field in ("mm_resampler_type", "s2"):
        if hf.get(field):
            raise CheckpointError(f"{where}: {field} {hf[field]!r} is not supported")
    ratio = hf.get("image_aspect_ratio")
    if ratio not in _WHOLE and not _ANYRES.fullmatch(str(ratio)):
        hint = nearest(str(ratio), ["square", "pad", "anyres", "anyres_max_9"])
        raise CheckpointError(f"{where}: unknown image_aspect_ratio {ratio!r} ({hint})")


def _strategy(hf: Json, vision: Json, where: str) -> str:
    feature = hf.get("mm_vision_select_feature", "patch")
    if feature not in _FEATURES:
        hint = nearest(str(feature), _FEATURES)
        raise CheckpointError(f"{where}: unknown mm_vision_select_feature {feature!r} ({hint})")
    # SigLIP has no class token to leave out
    return "full" if vision.get("model_type") == "siglip_vision_model" else _FEATURES[feature]


def _check_tower(hf: Json, vision: VisionConfig, tower: Tower, where: str) -> None:
    """A tower that is given may be another than the one the connector was trained on."""
    wanted = hf.get("mm_hidden_size", vision.hidden_size)
    if wanted != vision.hidden_size:
        raise CheckpointError(
            f"{tower.where}: a vision tower of width {vision.hidden_size} does not fit {where}, "
            f"whose mm_hidden_size is {wanted}: give another with --vision-tower"
        )
    named = trained_with(hf)
    if named is not None:
        patches = (named["image_size"] // named["patch_size"]) ** 2
        if patches != vision.num_patches:
            raise CheckpointError(
                f"{tower.where}: a vision tower of {vision.num_patches} patches does not fit {where}, "
                f"whose tower has {patches}: give another with --vision-tower"
            )


def _tiling(hf: Json, vision: VisionConfig, where: str) -> Json | None:
    found = _ANYRES.fullmatch(str(hf.get("image_aspect_ratio")))
    if found is None:
        return None
    merge = hf.get("mm_patch_merge_type", "flat")
    if merge not in ("spatial", "spatial_unpad"):
        raise CheckpointError(
            f"{where}: tiles put together as mm_patch_merge_type {merge!r} are not supported, "
            "only 'spatial' and 'spatial_unpad'"
        )
    return {
        "grids": _grids(hf.get("image_grid_pinpoints"), vision.image_size, where),
        "tile": vision.image_size,
        "patches": vision.image_size // vision.patch_size,
        "unpad": merge == "spatial_unpad",
        "newline": merge == "spatial_unpad",
        "max_tiles": int(found[1]) if found[1] else None,
        "single": found[1] is not None,
    }


def _grids(pinpoints: Any, side: int, where: str) -> tuple[tuple[int, int], ...]:
    """(height, width) of every grid; the file has (width, height), or a range of tiles as in
    "(1x1),...,(6x6)"."""
    try:
        if isinstance(pinpoints, str) and (ends := re.findall(r"\((\d+)x(\d+)\)", pinpoints)):
            (left, top), (right, bottom) = [tuple(map(int, pair)) for pair in (ends[0], ends[-1])]
            across, down = range(left, right + 1), range(top, bottom + 1)
            return tuple((y * side, x * side) for x in across for y in down)
        pairs = ast.literal_eval(pinpoints) if isinstance(pinpoints, str) else pinpoints
        return tuple((int(height), int(width)) for width, height in pairs)
    except (ValueError, TypeError, SyntaxError):
        raise CheckpointError(f"{where}: image_grid_pinpoints {pinpoints!r} is no list of sizes") from None


def template_of(hf: Json, tokenizer: Tokenizer, where: str) -> str | None:
    """The template that a checkpoint was tuned with, from what its own files tell; None: nothing tells.

    The official code goes by the folder's name. Its training code leaves these traces:

    - the alignment stage trains the connector alone (`tune_mm_mlp_adapter`), on plain captions
    - version "v0" alone adds the padding token "[PAD]"
    - v1 alone has `<im_start>` and `<im_end>` without it; the linear connectors that came after were tuned
      as Vicuna or as Llama 2, and nothing tells
    - MLP connectors came with 1.5 and Vicuna; LLaVA-1.6-34B is known by its tokenizer
    - Mistral's rope_theta is 10000 in version 0.1 and a million in 0.2, whose Instruct model LLaVA-1.6 and
      LLaVA-Med were tuned from; with 0.1 nothing tells: BakLLaVA was tuned from its base model, as Vicuna
    """
    kind = language_kind(hf, where)
    if hf.get("tune_mm_mlp_adapter"):
        return "plain"
    if kind == "qwen2":
        return "qwen_1_5"
    if tokenizer.eos_token == "<|im_end|>":
        return "chatml"
    if "<|start_header_id|>" in tokenizer.special:
        return "llama_3"
    if kind == "mistral":
        return "mistral_instruct" if hf.get("rope_theta", 10_000) == 1_000_000 else None
    if (hf.get("mm_projector_type") or "linear") != "linear":
        return "vicuna_v1"
    if "[PAD]" in tokenizer.special:
        return "v0"
    return "vicuna_v1" if hf.get("mm_use_im_start_end") else None


_ARCHITECTURES = {
    "llama": ("llava_llama", "LlavaLlamaForCausalLM"),
    "mistral": ("llava_mistral", "LlavaMistralForCausalLM"),
    "qwen2": ("llava_qwen", "LlavaQwenForCausalLM"),
}


def to_original(config: LlavaConfig, pad: bool, markers: bool, tokens: Json, dtype: str, folder: str) -> Json:
    """Our configuration as an original `config.json`.

    The vision tower is said to be unfrozen, which is how the original code learns that the checkpoint
    carries it. `vision_config` is a field that it does not look at: it saves us, and whoever has no network,
    the tower's own folder.

    Raises:
        CheckpointError: the original code has no such model.
    """
    where = f"{folder} cannot be written in the original layout"
    hf = hf_config.to_hf(config.model_copy(update={"tiling": None}), tokens, dtype)
    kind = hf["text_config"]["model_type"]
    if kind not in _ARCHITECTURES:
        raise CheckpointError(f"{where}: it has no {kind}")
    if (config.connector_act, config.connector_bias) != ("gelu", True):
        raise CheckpointError(f"{where}: it has only connectors with GELU and biases")
    if config.feature_select == "but_first":
        raise CheckpointError(f"{where}: it leaves out no feature but CLIP's class token")
    if config.quantization is not None:
        raise CheckpointError(f"{where}: the model is quantised; take it as published")
    model_type, architecture = _ARCHITECTURES[kind]
    vision, tiling = config.vision, config.tiling
    has_class = vision.kind == "clip" and config.feature_select == "full"
    values: Json = hf["text_config"] | {
        "architectures": [architecture],
        "model_type": model_type,
        "torch_dtype": dtype,
        "use_mm_proj": True,
        "tune_mm_mlp_adapter": False,
        "unfreeze_mm_vision_tower": True,
        "mm_vision_tower": name_of(vision) or "vision_tower",
        "mm_hidden_size": vision.hidden_size,
        "mm_projector_type": config.connector,
        "mm_vision_select_layer": config.feature_layer,
        "mm_vision_select_feature": "cls_patch" if has_class else "patch",
        "mm_use_im_start_end": markers,
        "mm_use_im_patch_token": False,
        "image_aspect_ratio": "pad" if pad else "square",
        "vision_config": hf["vision_config"],
    }
    if tiling is not None:
        if tiling.newline != tiling.unpad:
            raise CheckpointError(f"{where}: it ends rows of tiles exactly where it leaves padding out")
        values |= {
            "image_aspect_ratio": f"anyres_max_{tiling.max_tiles}" if tiling.max_tiles else "anyres",
            "image_grid_pinpoints": [[width, height] for height, width in tiling.grids],
            "mm_patch_merge_type": "spatial_unpad" if tiling.unpad else "spatial",
        }
    return values
