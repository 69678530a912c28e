"""A LLaVA in llama.cpp's format: the language model's `.gguf`, and beside it the `mmproj` with the rest.

Keys are those of llama.cpp's `gguf-py/gguf/constants.py` and `tools/mtmd/clip-impl.h`. Vision blocks
behind the feature layer are dropped by its converter, so the last block of the file gives the features.
(Of those blocks llama.cpp itself ran one too few, and it put the class token behind the patches, when
this was written: its issues 25817 and 25814. Here features are what the model was trained with.)
"""

import json
from pathlib import Path
from typing import Any

import torch

from llavakit.checkpoint.folder import HEAD, WORDS
from llavakit.checkpoint.gguf_file import GGUFFile, GGUFTensors, read_header
from llavakit.checkpoint.gguf_names import Halved, to_ours
from llavakit.checkpoint.gguf_rope import read_scaling
from llavakit.checkpoint.gguf_tokenizer import end_ids, image_token_id, read_tokenizer
from llavakit.checkpoint.source import Description, Own, Source
from llavakit.checkpoint.tensors import Held, Joined, Renamed, Tensors, Widened
from llavakit.config import ImageConfig, LanguageConfig, LlavaConfig, Tiling, VisionConfig
from llavakit.errors import CheckpointError, UsageError, nearest
from llavakit.prompt.templates import TEMPLATES

# The template of a LLaVA on each architecture, where the file does not say: llama.cpp has no key for it.
TEMPLATE_OF = {"llama": "vicuna_v1", "qwen2": "chatml", "qwen3": "chatml"}
_PROJECTOR = "mlp"
_FFN, _POSITIONS = "v.blk.0.ffn_down.weight", "v.position_embd.weight"


def describe_gguf(path: Path, mmproj: Path | None = None) -> Description:
    """Read a model file's metadata, and that of its mmproj.

    Args:
        path: the language model's .gguf, or a folder with no other but an mmproj
        mmproj: the file with the vision tower and the connector; None: the one beside `path`

    Raises:
        CheckpointError: a file is missing, damaged, of another kind, or they do not belong together.
        UsageError: the `gguf` package is not installed.
    """
    return _describe(*_open(path, mmproj))


def open_gguf(path: Path, mmproj: Path | None = None) -> Source:
    """Open a model file and its mmproj: the tokenizer is read, weights are found.

    Packed weights are unpacked one at a time when they are read. Arguments and errors are those of
    `describe_gguf`.
    """
    model, vision = _open(path, mmproj)
    said, tokenizer = _describe(model, vision), read_tokenizer(model.metadata, model.path)
    language, tower = said.config.language, said.config.vision
    stored = GGUFTensors(model)
    # What is stored as what is told of the first tensor, so it must be a large one.
    names = {WORDS: "token_embd.weight"} | to_ours(stored)
    words: Tensors = Renamed(stored, names)
    if model.metadata["general.architecture"] == "llama":
        words = Halved(stored, names, language.num_attention_heads, language.num_key_value_heads)
    words = Widened(words, (WORDS, HEAD), language.vocab_size)
    pictures = Renamed(GGUFTensors(vision), to_ours(vision.tensors, _is_swapped(vision)))
    # LLaVA takes features from before this norm, so files leave it out.
    width = tower.hidden_size
    norm = {"weight": torch.ones(width), "bias": torch.zeros(width)}
    unused = Held({f"vision_tower.post_layernorm.{name}": value for name, value in norm.items()})
    return Source(said, tokenizer, Joined(unused, pictures, words))


def _open(path: Path, mmproj: Path | None) -> tuple[GGUFFile, GGUFFile]:
    if path.is_dir():
        path = _only_model(path)
    model = read_header(path)
    architecture = model.metadata.get("general.architecture")
    if architecture == "clip":
        raise CheckpointError(
            f"{path} is the vision half of a model (an mmproj): name the language model's .gguf, "
            "this one is found beside it or given as the vision tower"
        )
    if architecture not in TEMPLATE_OF:
        raise CheckpointError(
            f"{path}: llavakit has no {str(architecture)!r} ({nearest(str(architecture), TEMPLATE_OF)})"
        )
    if model.metadata.get("split.count", 1) > 1:
        raise CheckpointError(
            f"{path} is one part of a split file: join the parts with llama-gguf-split --merge"
        )
    vision = read_header(mmproj or _beside(path))
    if (found := vision.metadata.get("general.architecture")) != "clip":
        raise CheckpointError(f"{vision.path} is no mmproj: its architecture is {found!r}, not 'clip'")
    return model, vision


def _is_mmproj(path: Path) -> bool:
    return "mmproj" in path.name.lower()


def _only_model(folder: Path) -> Path:
    found = sorted(path for path in folder.glob("*.gguf") if not _is_mmproj(path))
    if len(found) == 1:
        return found[0]
    there = ", ".join(path.name for path in found) or "none"
    raise CheckpointError(f"{folder} should hold one model's .gguf, not {there}: name the file")


def _beside(path: Path) -> Path:
    found = sorted(filter(_is_mmproj, path.parent.glob("*.gguf")))
    if len(found) == 1:
        return found[0]
    there = f"{', '.join(other.name for other in found)} stand" if found else "no mmproj*.gguf stands"
    raise CheckpointError(
        f"{path} has no vision tower of its own, and {there} beside it: "
        "name the mmproj file with --vision-tower"
    )


def _describe(model: GGUFFile, vision: GGUFFile) -> Description:
    image_id = image_token_id(model.metadata)
    try:
        language = _language(_Metadata(model), model, image_id)
        tower, image, join = _vision(_Metadata(vision), vision, language.hidden_size)
        values = {"vision": tower, "language": language, "image_token_id": image_id, **join}
        config = LlavaConfig.parse(values, str(vision.path))
        own = _own(model)
    except UsageError as error:  # the words at fault are the files', not the user's
        raise CheckpointError(str(error)) from None
    except (TypeError, AttributeError, ArithmeticError, ValueError, RuntimeError) as error:
        reason = str(error).splitlines()[0]
        raise CheckpointError(
            f"{model.path}: its metadata holds a value of the wrong kind ({reason})"
        ) from None
    template = own.template or TEMPLATE_OF[model.metadata["general.architecture"]]
    return Description(model.path, config, image, own, template, end_ids(model.metadata))


class _Metadata:
    """A file's values by their keys, `*` in a key standing for the architecture."""

    def __init__(self, file: GGUFFile) -> None:
        self.path, self._values = file.path, file.metadata

    def get(self, key: str, default: Any = None) -> Any:
        return self._values.get(key.replace("*", self._values["general.architecture"]), default)

    def need(self, key: str) -> Any:
        value = self.get(key)
        if value is None:
            name = key.replace("*", self._values["general.architecture"])
            raise CheckpointError(f"{self.path} does not say {name}: convert the model again")
        return value

    def same(self, key: str, default: Any = None) -> Any:
        """A value that may be told layer by layer, as long as layers agree."""
        value = self.need(key) if default is None else self.get(key, default)
        if not isinstance(value, list):
            return value
        if len(set(value)) != 1:
            raise CheckpointError(f"{self.path}: {key[2:]} is {value}: layers that differ are not supported")
        return value[0]


def _language(said: _Metadata, file: GGUFFile, image_token_id: int) -> LanguageConfig:
    if said.get("*.expert_count", 0):
        raise CheckpointError(f"{file.path}: a mixture of experts is not supported")
    if "token_embd.weight" not in file.tensors:
        raise CheckpointError(f"{file.path} has no token_embd.weight: it is no whole language model")
    heads, width = said.same("*.attention.head_count"), said.need("*.embedding_length")
    head_dim = said.get("*.attention.key_length", width // heads)
    for key in ("*.attention.value_length", "*.rope.dimension_count"):
        if said.get(key, head_dim) != head_dim:
            raise CheckpointError(
                f"{file.path}: {key[2:]} is {said.get(key)}, heads have {head_dim}: not supported"
            )
    rows, tokens = file.tensors["token_embd.weight"].shape[0], len(said.get("tokenizer.ggml.tokens", ()))
    if tokens > rows:
        raise CheckpointError(f"{file.path} has {tokens} tokens and embeddings for {rows}: it is damaged")
    values = {
        "vocab_size": max(rows, image_token_id + 1),
        "hidden_size": width,
        "intermediate_size": said.same("*.feed_forward_length"),
        "num_hidden_layers": said.need("*.block_count"),
        "num_attention_heads": heads,
        "num_key_value_heads": said.same("*.attention.head_count_kv", heads),
        "head_dim": head_dim,
        "rms_norm_eps": said.need("*.attention.layer_norm_rms_epsilon"),
        "rope_theta": said.get("*.rope.freq_base", 10000.0),
        "max_position_embeddings": said.need("*.context_length"),
        "qkv_bias": "blk.0.attn_q.bias" in file.tensors,
        "qk_norm": "blk.0.attn_q_norm.weight" in file.tensors,
        "sliding_window": said.get("*.attention.sliding_window") or None,
        "tie_word_embeddings": "output.weight" not in file.tensors,
    }
    language = LanguageConfig.parse(values, str(file.path))
    scaling = read_scaling(file, language)
    return language.model_copy(update={"rope_scaling": scaling})


def _vision(
    said: _Metadata, file: GGUFFile, text_width: int
) -> tuple[VisionConfig, ImageConfig, dict[str, Any]]:
    """The vision tower, its pictures, and how it is joined to a language model `text_width` wide."""
    projector = said.get("clip.projector_type", said.get("clip.vision.projector_type", _PROJECTOR))
    if "mm.3.weight" in file.tensors:  # as llama.cpp tells them apart: both are called "mlp"
        projector = "mlp_norm"
    if projector != _PROJECTOR:
        raise CheckpointError(
            f"{file.path}: a projector of type {projector!r} is not supported, only {_PROJECTOR!r}"
        )
    if "v.post_ln.weight" in file.tensors:
        raise CheckpointError(f"{file.path}: a norm behind the vision tower (v.post_ln) is not supported")
    layers = [name for name in ("mm.0.weight", "mm.2.weight") if name in file.tensors]
    if not layers:
        raise CheckpointError(f"{file.path} has no connector (mm.0.weight): it is no mmproj of a LLaVA")
    if (made := file.tensors[layers[-1]].shape[0]) != text_width:
        raise CheckpointError(
            f"{file.path} makes features of width {made}, the language model takes {text_width}: "
            "the files belong to different models"
        )
    kind = "clip" if "v.class_embd" in file.tensors else "siglip"
    size, blocks = said.need("clip.vision.image_size"), said.need("clip.vision.block_count")
    width = said.need("clip.vision.embedding_length")
    if _POSITIONS not in file.tensors or file.tensors[_POSITIONS].shape[-1] != width:
        raise CheckpointError(f"{file.path} has no {_POSITIONS} of width {width}: it is damaged")
    values = {
        "kind": kind,
        "image_size": size,
        "patch_size": said.need("clip.vision.patch_size"),
        "hidden_size": width,
        "intermediate_size": _intermediate(file),
        "num_hidden_layers": blocks,
        "num_attention_heads": said.need("clip.vision.attention.head_count"),
        "hidden_act": said.get("llavakit.vision.hidden_act", _activation(said, kind)),
        "layer_norm_eps": said.need("clip.vision.attention.layer_norm_epsilon"),
    }
    tower = VisionConfig.parse(values, str(file.path))
    join = {
        "connector": "mlp2x_gelu" if len(layers) == 2 else "linear",
        "connector_bias": "mm.0.bias" in file.tensors,
        "feature_layer": _depth(said, blocks) - blocks - 1,
        "feature_select": "patch" if kind == "clip" else "full",
        "tiling": _tiling(said, file, tower),
    }
    picture = {
        "size": size,
        "resize": said.get("llavakit.image.resize", "shortest"),
        "pad": said.get("llavakit.image.pad", join["tiling"] is None),  # as llama.cpp does
        "mean": said.need("clip.vision.image_mean"),
        "std": said.need("clip.vision.image_std"),
    }
    return tower, ImageConfig.parse(picture, str(file.path)), join


def _activation(said: _Metadata, kind: str) -> str:
    """llama.cpp knows one GELU, by tanh; CLIPs that are not OpenAI's were trained with the exact one."""
    if said.get("clip.use_silu", False):
        return "silu"
    if said.get("clip.use_gelu", False):
        return "gelu" if kind == "clip" else "gelu_pytorch_tanh"
    return "quick_gelu"


def _depth(said: _Metadata, blocks: int) -> int:
    """How many blocks are run: as many as the file says, or all it holds."""
    layers = said.get("clip.vision.feature_layer")
    if layers is None:
        return blocks
    layers = layers if isinstance(layers, list) else [layers]
    if len(layers) != 1 or not 0 < layers[0] <= blocks:
        raise CheckpointError(
            f"{said.path}: clip.vision.feature_layer is {layers}: one of the {blocks} blocks is supported"
        )
    return int(layers[0])


def _tiling(said: _Metadata, file: GGUFFile, tower: VisionConfig) -> Tiling | None:
    """LLaVA-1.6's, told as (width, height) pairs in a row."""
    flat = said.get("clip.vision.image_grid_pinpoints")
    if not flat:
        return None
    values = {
        "grids": [(height, width) for width, height in zip(flat[::2], flat[1::2], strict=True)],
        "tile": tower.image_size,
        "patches": tower.image_size // tower.patch_size,
        "unpad": said.get("clip.vision.mm_patch_merge_type") == "spatial_unpad",
        "newline": bool({"model.image_newline", "v.image_newline"} & set(file.tensors)),
    }
    return Tiling.parse(values, str(file.path))


def _intermediate(file: GGUFFile) -> int:
    """Told by the tensors: old files have 0 in their metadata."""
    if _FFN not in file.tensors:
        raise CheckpointError(f"{file.path} has no {_FFN}: it is no whole vision tower")
    return file.tensors[_FFN].shape[0 if _is_swapped(file) else 1]


def _is_swapped(file: GGUFFile) -> bool:
    """Whether the feed-forward layers have each other's names, as llama.cpp's older converter left them."""
    return bool(file.tensors[_FFN].shape[1] == file.metadata["clip.vision.embedding_length"])


def _own(file: GGUFFile) -> Own:
    """What our own exporter adds."""
    template = file.metadata.get("llavakit.template")
    if template is not None and template not in TEMPLATES:
        raise CheckpointError(f"{file.path}: unknown template {template!r} ({nearest(template, TEMPLATES)})")
    provenance = json.loads(file.metadata.get("llavakit.provenance", "{}"))
    return Own.parse({"template": template, "provenance": provenance}, str(file.path))
