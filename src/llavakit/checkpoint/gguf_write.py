"""A folder for Ollama, llama.cpp and llamafile: two GGUF files, a Modelfile, and how to use them.

Keys and layouts are those of `gguf_read`. `clip.vision.feature_layer` is written so that llama.cpp runs
every vision block of the file; keys that begin with `llavakit.` say what the format has no words for, and
other programs pass over them.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from llavakit.checkpoint.atomic import atomic_folder
from llavakit.checkpoint.folder import HEAD
from llavakit.checkpoint.gguf_file import library
from llavakit.checkpoint.gguf_names import ROPE_FACTORS, interleaved, rotary_heads, to_theirs
from llavakit.checkpoint.gguf_quants import FILE_TYPE, SCHEMES, choose_kind, pack, stored_bytes
from llavakit.checkpoint.gguf_rope import llama3_divisors, scaling_metadata
from llavakit.checkpoint.gguf_tokenizer import tokenizer_metadata
from llavakit.checkpoint.source import Description, Source
from llavakit.config import LanguageConfig, LlavaConfig
from llavakit.errors import CheckpointError, UsageError, nearest
from llavakit.prompt.jinja import chat_template
from llavakit.prompt.ollama import go_template
from llavakit.prompt.templates import get_template

_MODELFILE = "Modelfile"
_SIGN = "# Written by llavakit."  # the Modelfile's first line
_PATTERNS = ("*.gguf", _MODELFILE, "README.md")
_LAST_NORM = "vision_tower.post_layernorm."  # LLaVA has no use for it
_BLOCKS = "vision_tower.encoder.layers."


def write_gguf(source: Source, folder: Path, scheme: str, name: str | None = None) -> None:
    """Write a folder that Ollama, llama.cpp, llamafile and we read. It appears whole or not at all.

    Of the weights no more than one tensor is in memory at a time.

    Args:
        scheme: "f32", "f16", "bf16", "q8_0", "q4_0" or "q4_k": how the language model's weights are
            stored. Vision tower and connector have 16 bits, with "f32" 32.
        name: of the model, which its files' names begin with; None: the folder's

    Raises:
        UsageError: an unknown scheme; the `gguf` package is not installed.
        CheckpointError: llama.cpp has no such model; the folder holds other files, or cannot be written.
    """
    if scheme not in SCHEMES:
        raise UsageError(f"unknown scheme {scheme!r} ({nearest(scheme, SCHEMES)})")
    library()
    name = name or folder.resolve().name
    _check(source.said, name)
    model = _model_plan(source, scheme, name)
    vision = _vision_plan(source, "f32" if scheme == "f32" else "f16", name)
    files = f"{name}-{scheme}.gguf", f"mmproj-{name}-{'f32' if scheme == 'f32' else 'f16'}.gguf"
    with atomic_folder(folder, _PATTERNS, _is_ours) as partial:
        for plan, file in zip((model, vision), files, strict=True):
            plan.write(partial / file)
        (partial / _MODELFILE).write_text(_modelfile(source.said, *files), encoding="utf-8")
        (partial / "README.md").write_text(_readme(source.said, name, *files), encoding="utf-8")


def _is_ours(folder: Path) -> bool:
    try:
        return (folder / _MODELFILE).read_text(encoding="utf-8").startswith(_SIGN)
    except (OSError, ValueError):
        return False


def _check(said: Description, where: str) -> None:
    """Refuse what llama.cpp would compute otherwise than we do."""
    config = said.config
    if config.quantization is not None:
        raise CheckpointError(f"{where} is quantised already: start from the model as published")
    language, vision = config.language, config.vision
    wrong = {
        "markers around pictures (<im_start>)": said.own.image_markers,
        f"the connector {config.connector!r}, only 'mlp2x_gelu'": config.connector != "mlp2x_gelu",
        "a connector without biases": not config.connector_bias,
        f"the activation {config.connector_act!r} in a connector": "gelu" not in config.connector_act,
        f"the activation {language.hidden_act!r} in a language model": language.hidden_act != "silu",
        "both norms and biases on queries and keys": language.qk_norm and language.qkv_bias,
        "features from before the vision tower's first block": _depth(config) < 1,
        f"feature_select {config.feature_select!r} with a vision tower of {vision.kind}": (
            (vision.kind == "clip") != (config.feature_select == "patch")
        ),
        "tiles that are interpolated": config.tiling is not None and config.tiling.max_tiles is not None,
    }
    for what, is_wrong in wrong.items():
        if is_wrong:
            raise CheckpointError(f"{where} cannot be written as GGUF: llama.cpp does not know {what}")
    if said.template is None:
        raise CheckpointError(
            f"{where} cannot be written as GGUF: its files do not tell which conversation template it was "
            "tuned with: name it with --template"
        )


@dataclass
class _Plan:
    """One file to be: its metadata, and its tensors in order."""

    architecture: str
    metadata: dict[str, Any]
    kinds: dict[str, str] = field(default_factory=dict)
    shapes: dict[str, tuple[int, ...]] = field(default_factory=dict)
    read: dict[str, Callable[[], Tensor]] = field(default_factory=dict)

    def add(self, name: str, kind: str, shape: tuple[int, ...], read: Callable[[], Tensor]) -> None:
        self.kinds[name], self.shapes[name], self.read[name] = kind, shape, read

    def write(self, path: Path) -> None:
        gguf = library()
        writer = gguf.GGUFWriter(path, self.architecture)
        for key, value in self.metadata.items():
            _add(writer, key, value)
        for name, kind in self.kinds.items():
            shape = stored_bytes(self.shapes[name], kind)
            size, number = int(np.prod(shape)), gguf.GGMLQuantizationType[kind]
            writer.add_tensor_info(name, shape, np.dtype(np.uint8), size, number)
        try:
            writer.write_header_to_file()
            writer.write_kv_data_to_file()
            writer.write_ti_data_to_file()
            for name, kind in self.kinds.items():
                writer.write_tensor_data(_packed(self.read[name](), kind, name))
        finally:
            writer.close()


def _packed(tensor: Tensor, kind: str, name: str) -> np.ndarray:
    packed = pack(tensor, kind)
    if kind == "F16" and bool(np.isinf(packed.view(np.float16)).any()):
        raise CheckpointError(f"{name} holds values too large for f16: choose bf16 or q8_0")
    return packed


def _add(writer: Any, key: str, value: Any) -> None:
    add = {bool: writer.add_bool, int: writer.add_uint32, float: writer.add_float32, str: writer.add_string}
    add.get(type(value), writer.add_array)(key, value)


def _model_plan(source: Source, scheme: str, name: str) -> _Plan:
    said, language = source.said, source.said.config.language
    architecture = "qwen3" if language.qk_norm else "qwen2" if language.qkv_bias else "llama"
    template = get_template(said.template or "")
    metadata = _general(name, "model", scheme) | {
        "general.quantization_version": library().GGML_QUANT_VERSION,
        **{f"{architecture}.{key}": value for key, value in _numbers(language).items()},
        **scaling_metadata(architecture, language.rope_scaling, name),
        **tokenizer_metadata(source.tokenizer, language.vocab_size, name),
        "llavakit.template": template.name,
        "llavakit.provenance": json.dumps(said.own.provenance, ensure_ascii=False),
    }
    if extra := [i for i in said.eos_token_ids if i != source.tokenizer.eos_id]:
        metadata["tokenizer.ggml.eot_token_id"] = extra[0]
    if (jinja := chat_template(template, source.tokenizer.image_token)) is not None:
        metadata["tokenizer.chat_template"] = jinja
    plan = _Plan(architecture, metadata)
    heads = {"q_proj": language.num_attention_heads, "k_proj": language.num_key_value_heads}
    tied = language.tie_word_embeddings

    def reader(ours: str) -> Callable[[], Tensor]:
        turned = rotary_heads(ours, heads) if architecture == "llama" else None

        def read() -> Tensor:
            tensor = source.tensors.read(ours, torch.float32)
            return interleaved(tensor, turned) if turned else tensor

        return read

    for ours in source.tensors:
        if ours.startswith("language_model.") and not (tied and ours == HEAD):
            theirs, shape = to_theirs(ours), source.tensors.shape(ours)
            kind = choose_kind(theirs, shape, scheme, language.num_hidden_layers, tied)
            plan.add(theirs, kind, shape, reader(ours))
    if (divisors := llama3_divisors(language)) is not None:
        plan.add(ROPE_FACTORS, "F32", tuple(divisors.shape), lambda: divisors)
    return plan


def _general(name: str, part: str, scheme: str) -> dict[str, Any]:
    return {
        "general.type": part,
        "general.name": name,
        "general.file_type": int(library().LlamaFileType[FILE_TYPE[scheme]]),
    }


def _numbers(language: LanguageConfig) -> dict[str, Any]:
    values = {
        "vocab_size": language.vocab_size,
        "context_length": language.max_position_embeddings,
        "embedding_length": language.hidden_size,
        "block_count": language.num_hidden_layers,
        "feed_forward_length": language.intermediate_size,
        "attention.head_count": language.num_attention_heads,
        "attention.head_count_kv": language.num_key_value_heads,
        "attention.key_length": language.head_dim,
        "attention.value_length": language.head_dim,
        "attention.layer_norm_rms_epsilon": language.rms_norm_eps,
        "rope.dimension_count": language.head_dim,
        "rope.freq_base": language.rope_theta,
    }
    if language.sliding_window is not None:
        values["attention.sliding_window"] = language.sliding_window
    return values


def _vision_plan(source: Source, scheme: str, name: str) -> _Plan:
    config, image = source.said.config, source.said.image
    vision, tiling, depth = config.vision, config.tiling, _depth(config)
    metadata = _general(name, "mmproj", scheme) | {
        "clip.has_text_encoder": False,
        "clip.has_vision_encoder": True,
        "clip.has_llava_projector": True,
        "clip.projector_type": "mlp",
        "clip.use_gelu": vision.hidden_act in ("gelu", "gelu_pytorch_tanh"),
        "clip.use_silu": vision.hidden_act == "silu",
        "clip.vision.image_size": vision.image_size,
        "clip.vision.patch_size": vision.patch_size,
        "clip.vision.embedding_length": vision.hidden_size,
        "clip.vision.feed_forward_length": vision.intermediate_size,
        "clip.vision.projection_dim": config.language.hidden_size,
        "clip.vision.block_count": depth,
        "clip.vision.feature_layer": [depth],
        "clip.vision.attention.head_count": vision.num_attention_heads,
        "clip.vision.attention.layer_norm_epsilon": vision.layer_norm_eps,
        "clip.vision.image_mean": list(image.mean),
        "clip.vision.image_std": list(image.std),
        "llavakit.vision.hidden_act": vision.hidden_act,
        "llavakit.image.resize": image.resize,
        "llavakit.image.pad": image.pad,
    }
    if tiling is not None:
        metadata["clip.vision.image_grid_pinpoints"] = [
            n for height, width in tiling.grids for n in (width, height)
        ]
        metadata["clip.vision.mm_patch_merge_type"] = "spatial_unpad" if tiling.unpad else "spatial"
    plan = _Plan("clip", metadata)
    for ours in source.tensors:
        if ours.startswith(("language_model.", _LAST_NORM)) or _is_behind(ours, depth):
            continue
        shape = source.tensors.shape(ours)
        # As llama.cpp's converter does: positions are added, and have 32 bits like everything that is.
        small = len(shape) == 1 or "position_embedding" in ours
        plan.add(to_theirs(ours), "F32" if small else scheme.upper(), shape, _reader(source, ours))
    return plan


def _reader(source: Source, ours: str) -> Callable[[], Tensor]:
    return lambda: source.tensors.read(ours, torch.float32)


def _depth(config: LlavaConfig) -> int:
    """How many vision blocks are run."""
    layer = config.feature_layer
    return layer if layer >= 0 else config.vision.num_hidden_layers + 1 + layer


def _is_behind(ours: str, depth: int) -> bool:
    """Whether a tensor is of a vision block that is not run."""
    return ours.startswith(_BLOCKS) and int(ours.removeprefix(_BLOCKS).split(".")[0]) >= depth


def _modelfile(said: Description, model: str, mmproj: str) -> str:
    template = get_template(said.template or "")
    lines = [f"{_SIGN} Ollama reads it: see README.md", f"FROM ./{model}", f"FROM ./{mmproj}"]
    if (go := go_template(template)) is not None:
        lines.append(f'TEMPLATE """{go}"""')
    if template.system:
        lines.append(f'SYSTEM """{template.system}"""')
    lines += [f"PARAMETER stop {json.dumps(mark)}" for mark in template.stop]
    return "\n".join(lines) + "\n"


def _readme(said: Description, name: str, model: str, mmproj: str) -> str:
    notes = [
        "Ollama puts a picture right before its question, without the line break of this model's training.",
        "llama.cpp had two faults with LLaVA's vision towers when this was written (its issues 25814 and "
        "25817). The second is worked round in these files; the first, which gives each patch its "
        "neighbour's position, makes its answers worse than llavakit's.",
    ]
    if said.config.tiling is not None:
        notes.append("llama.cpp puts the tiles of a picture together in its own way.")
    elif not said.image.pad:
        notes.append("This model was tuned on pictures cropped to a square; llama.cpp adds margins instead.")
    if said.config.language.sliding_window is not None:
        notes.append("llama.cpp has no sliding window for this model: texts longer than it differ.")
    listed = "\n".join(f"- {note}" for note in notes)
    return f"""# {name}

A LLaVA, written by llavakit: the language model, and the vision tower with its connector (`mmproj`).

With Ollama:

    ollama create {name} -f Modelfile && ollama run {name} "What is in this picture? ./picture.jpg"

With llama.cpp:

    llama-mtmd-cli -m {model} --mmproj {mmproj} --jinja --image picture.jpg -p "What is in this picture?"

With llamafile:

    llamafile -m {model} --mmproj {mmproj} --image picture.jpg -p "What is in this picture?"

With llavakit:

    llava chat picture.jpg -p "What is in this picture?" --model {model}

{listed}
"""
