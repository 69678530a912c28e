"""Folders as the original LLaVA repository writes them, put together by hand from a model of transformers."""

import json
import math
import re
from pathlib import Path
from typing import Any

import torch
import transformers
from safetensors.torch import save_file
from torch import Tensor

from llavakit.config import LlavaConfig
from llavakit.model import Llava
from model.reference import VISION_CLASSES, copy_weights, hf_llava
from prompt.sentencepieces import oracle, write

WORDS = oracle().get_piece_size()
MARKS = ["<im_patch>", "<im_start>", "<im_end>"]
KINDS = {
    "llama": "LlavaLlamaForCausalLM",
    "mistral": "LlavaMistralForCausalLM",
    "qwen2": "LlavaQwenForCausalLM",
}


def pair(
    text: str = "llama", vision: str = "clip", marks: bool = False, **overrides: Any
) -> tuple[Any, Llava]:
    """transformers' model and ours, whose last word is `<image>`: nothing, so its rows are zeros."""
    rows = WORDS + (len(MARKS) if marks else 0) + 1
    hf_model, config = hf_llava(text, vision, vocab_size=rows, **overrides)
    hf_model.config.image_token_id = rows - 1
    with torch.no_grad():
        hf_model.get_input_embeddings().weight[-1] = 0
        hf_model.get_output_embeddings().weight[-1] = 0
    model = Llava(config.model_copy(update={"image_token_id": rows - 1})).eval()
    copy_weights(hf_model, model)
    return hf_model, model


def original_name(ours: str, connector: str = "mlp2x_gelu") -> str:
    """As `llava_arch.py` names it."""
    for pattern, theirs in [
        (r"^language_model\.lm_head", "lm_head"),
        (r"^language_model", "model"),
        (r"^vision_tower\.vision_model", "model.vision_tower.vision_tower.vision_model"),
        (r"^vision_tower", "model.vision_tower.vision_tower.vision_model"),
        (r"^connector\.linear_1", "model.mm_projector" if connector == "linear" else "model.mm_projector.0"),
        (r"^connector\.linear_2", "model.mm_projector.2"),
        (r"^connector\.linear_3", "model.mm_projector.4"),
        (r"^image_newline", "model.image_newline"),
    ]:
        ours = re.sub(pattern, theirs, ours)
    return ours


def state(model: Llava) -> dict[str, Tensor]:
    """Its tensors as the original code has them: there is no row for `<image>`."""
    tensors = {}
    for name, tensor in model.state_dict().items():
        if "embed_tokens" in name or "lm_head" in name:
            tensor = tensor[:-1]
        tensors[original_name(name, model.config.connector)] = tensor.clone()
    return tensors


def store(
    tensors: dict[str, Tensor], folder: Path, suffix: str = "bin", shards: int = 1, stem: str = ""
) -> None:
    """As transformers 4 shards them."""
    folder.mkdir(parents=True, exist_ok=True)
    stem = stem or {"bin": "pytorch_model", "safetensors": "model"}[suffix]
    each = math.ceil(len(tensors) / shards)
    place = {}
    for i in range(shards):
        part = dict(list(tensors.items())[i * each : (i + 1) * each])
        file = f"{stem}.{suffix}" if shards == 1 else f"{stem}-{i + 1:05}-of-{shards:05}.{suffix}"
        if suffix == "bin":
            torch.save(part, folder / file)
        else:
            save_file(part, folder / file, metadata={"format": "pt"})
        place |= dict.fromkeys(part, file)
    if shards > 1:
        (folder / f"{stem}.{suffix}.index.json").write_text(json.dumps({"metadata": {}, "weight_map": place}))


def tower_folder(folder: Path, hf_model: Any, vision: str = "clip") -> Path:
    """The vision tower alone, as transformers writes it, with its image processor."""
    tower = hf_model.model.vision_tower
    tower.save_pretrained(folder)
    size = tower.config.image_size
    if vision == "clip":
        images = transformers.CLIPImageProcessorPil(size={"shortest_edge": size}, crop_size=size)
    else:
        images = transformers.SiglipImageProcessorPil(size={"height": size, "width": size})
    images.save_pretrained(folder)
    return folder


def clip_folder(folder: Path, hf_model: Any, suffix: str = "bin") -> Path:
    """The whole CLIP, text side and all, as openai's: numbers nested, defaults left out."""
    tower = hf_model.model.vision_tower
    text = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2,
            "vocab_size": 50}  # fmt: skip
    config = transformers.CLIPConfig(text_config=text, vision_config=tower.config.to_dict())
    whole = transformers.CLIPModel(config).state_dict()
    tensors = {name: tensor for name, tensor in whole.items() if not name.startswith("vision_model.")}
    plain = {name.removeprefix("vision_model."): tensor for name, tensor in tower.state_dict().items()}
    tensors |= {f"vision_model.{name}": tensor.clone() for name, tensor in plain.items()}
    tensors["vision_model.embeddings.position_ids"] = torch.arange(10)[None]
    store(tensors, folder, suffix)
    defaults = VISION_CLASSES["clip"]().to_dict()
    numbers = {k: v for k, v in tower.config.to_dict().items() if defaults.get(k) != v}
    (folder / "config.json").write_text(json.dumps({"model_type": "clip", "vision_config": numbers}))
    size = tower.config.image_size
    (folder / "preprocessor_config.json").write_text(
        json.dumps({"crop_size": size, "size": size, "do_resize": True, "do_center_crop": True,
                    "do_normalize": True, "resample": 3, "image_mean": [0.4, 0.5, 0.6],
                    "image_std": [0.2, 0.3, 0.25]})
    )  # fmt: skip
    return folder


def config_json(model: LlavaConfig, text: str = "llama", **changes: Any) -> dict[str, Any]:
    """A flat config.json with the fields that liuhaotian/llava-v1.5-7b has; `...` removes one."""
    language, vision = model.language, model.vision
    values = {
        "architectures": [KINDS[text]],
        "model_type": {"llama": "llava", "mistral": "llava_mistral", "qwen2": "llava_qwen"}[text],
        "bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 0, "freeze_mm_mlp_adapter": False,
        "hidden_act": "silu", "hidden_size": language.hidden_size, "image_aspect_ratio": "pad",
        "initializer_range": 0.02, "intermediate_size": language.intermediate_size, "max_length": 4096,
        "max_position_embeddings": language.max_position_embeddings, "mm_hidden_size": vision.hidden_size,
        "mm_projector_type": model.connector, "mm_resampler_type": None, "mm_use_im_patch_token": False,
        "mm_use_im_start_end": False, "mm_vision_select_feature": "patch",
        "mm_vision_select_layer": model.feature_layer, "mm_vision_tower": "openai/some-tower",
        "num_attention_heads": language.num_attention_heads,
        "num_hidden_layers": language.num_hidden_layers,
        "num_key_value_heads": language.num_key_value_heads, "pretraining_tp": 1,
        "rms_norm_eps": language.rms_norm_eps, "rope_scaling": None, "rope_theta": language.rope_theta,
        "tie_word_embeddings": language.tie_word_embeddings, "torch_dtype": "float32",
        "tune_mm_mlp_adapter": False, "use_cache": True, "use_mm_proj": True,
        "vocab_size": language.vocab_size - 1,
    }  # fmt: skip
    if text == "mistral":
        values["sliding_window"] = language.sliding_window
    return {name: value for name, value in (values | changes).items() if value is not ...}


def original_folder(
    folder: Path, hf_model: Any, model: Llava, text: str = "llama", *, inside: bool = False,
    suffix: str = "bin", shards: int = 1, added: dict[str, int] | None = None, **changes: Any,
) -> Path:  # fmt: skip
    """A whole checkpoint; its tower inside, or in a folder beside it."""
    vision = model.config.vision.kind
    tensors = state(model)
    if not inside:
        tensors = {name: tensor for name, tensor in tensors.items() if "vision_tower" not in name}
    tower_folder(folder.parent / "some-tower", hf_model, vision)
    tensors["model.layers.0.self_attn.rotary_emb.inv_freq"] = torch.zeros(4)  # old files have it
    store(tensors, folder, suffix, shards)
    write(folder, added=added, add_bos_token=True, legacy=False)
    values = config_json(model.config, text, **changes)
    (folder / "config.json").write_text(json.dumps(values))
    (folder / "generation_config.json").write_text(json.dumps({"bos_token_id": 1, "eos_token_id": 2}))
    return folder


def question(config: LlavaConfig, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Ids (1, token) with one picture among words, and its pixels (1, 3, size, size)."""
    generator = torch.Generator().manual_seed(seed)
    words = torch.randint(3, WORDS, (8,), generator=generator).tolist()
    ids = [1, *words[:3], *[config.image_token_id] * config.tokens_per_image, *words[3:]]
    side = config.vision.image_size
    return torch.tensor([ids]), torch.randn(1, 3, side, side, generator=generator)
