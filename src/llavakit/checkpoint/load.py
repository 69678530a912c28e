"""From a model's name to a model in memory, whatever format it is in."""

from dataclasses import replace
from fnmatch import fnmatch
from pathlib import Path

import torch

from llavakit.checkpoint import folder as hugging_face
from llavakit.checkpoint.adapters import CONNECTOR, open_lora, open_projector
from llavakit.checkpoint.folder import HEAD, TEXT_TOWER, WORDS, open_folder
from llavakit.checkpoint.gguf_read import describe_gguf, open_gguf
from llavakit.checkpoint.json_file import read_json
from llavakit.checkpoint.locate import locate
from llavakit.checkpoint.lora import CONFIG
from llavakit.checkpoint.original import describe_original, open_original
from llavakit.checkpoint.original_config import is_original
from llavakit.checkpoint.packed import quantised
from llavakit.checkpoint.source import Checkpoint, Description, Source
from llavakit.checkpoint.tensors import Safetensors, is_real
from llavakit.checkpoint.weights import load_into
from llavakit.config import Quantization
from llavakit.errors import CheckpointError, UsageError
from llavakit.model import CLIP, Llava
from llavakit.model.shapes import shapes_only
from llavakit.prompt.templates import TEMPLATES, get_template

_WEIGHTS = ("model*.safetensors*", "pytorch_model*.bin*")


def open_source(
    model: str | Path,
    *,
    revision: str | None = None,
    base: str | Path | None = None,
    vision_tower: str | Path | None = None,
    template: str | None = None,
) -> Source:
    """Open a model in any format. What it is, its files say, never its name.

    Args:
        revision: branch, tag or commit on the hub
        base: for a LoRA or a connector alone: the model it was trained on
        vision_tower: for an original checkpoint whose tower cannot be had as its config.json says, and
            for a .gguf file whose mmproj is not beside it
        template: the conversation template, where the model's own is wrong or missing

    Raises:
        UsageError: something named does not exist, or is not for this kind of model.
        CheckpointError: a file is missing, cut short, or is not what it should be.
    """
    if template is not None:
        get_template(template)
    source = _open(locate(model, revision), base, vision_tower)
    if template is None:
        return source
    return replace(source, said=replace(source.said, template=template))


def describe(
    model: str | Path,
    *,
    revision: str | None = None,
    base: str | Path | None = None,
    vision_tower: str | Path | None = None,
    weights: bool = True,
) -> Description:
    """What a model's small files say; arguments and errors are those of `open_source`.

    `weights` False: of a model on the hub nothing else is fetched.
    """
    path = locate(model, revision, weights=weights)
    kind = _kind(path)
    if kind in ("lora", "connector"):  # which the base says as well
        return _open(path, base, vision_tower).said
    _check_given(path, kind, base, vision_tower)
    if kind == "GGUF":
        return describe_gguf(path, _mmproj(vision_tower))
    return describe_original(path, vision_tower) if kind == "original" else hugging_face.describe(path)


def is_adapter(model: str | Path, revision: str | None = None) -> bool:
    """Whether `model` is a LoRA, to be merged into its base; errors are those of `locate`."""
    return _kind(locate(model, revision, weights=False)) == "lora"


def _open(path: Path, base: str | Path | None = None, vision_tower: str | Path | None = None) -> Source:
    kind = _kind(path)
    _check_given(path, kind, base, vision_tower)
    if kind == "lora":
        return open_lora(path, _open, base, vision_tower)
    if kind == "connector":
        return open_projector(path, _open, base, vision_tower)
    if kind == "GGUF":
        return open_gguf(path, _mmproj(vision_tower))
    return open_original(path, vision_tower) if kind == "original" else open_folder(path)


def _mmproj(vision_tower: str | Path | None) -> Path | None:
    return None if vision_tower is None else locate(vision_tower)


def _kind(path: Path) -> str:
    if path.is_file():
        return "GGUF" if path.suffix == ".gguf" else "connector"
    there = [file.name for file in path.iterdir()]
    if "config.json" not in there and any(fnmatch(name, "*.gguf") for name in there):
        return "GGUF"
    if CONFIG in there:
        return "lora"
    if CONNECTOR in there and not any(fnmatch(name, pattern) for name in there for pattern in _WEIGHTS):
        return "connector"
    if "config.json" in there and is_original(read_json(path / "config.json")):
        return "original"
    return "Hugging Face"


def _check_given(path: Path, kind: str, base: str | Path | None, vision_tower: str | Path | None) -> None:
    if base is not None and kind not in ("lora", "connector"):
        raise UsageError(f"{path} is a whole model: leave --base out")
    if vision_tower is not None and kind == "Hugging Face":
        raise UsageError(f"{path} has its vision tower inside: leave --vision-tower out")


def load(
    model: str | Path,
    *,
    dtype: torch.dtype | None = None,
    device: torch.device | str = "cpu",
    template: str | None = None,
    revision: str | None = None,
    quantization: Quantization | None = None,
    base: str | Path | None = None,
    vision_tower: str | Path | None = None,
) -> Checkpoint:
    """Load a LLaVA from the hub, a folder, or the package itself (`"tiny"`).

    Args:
        dtype, device: as for `build`
        quantization: pack the weights while they are read
        template, revision, base, vision_tower: as for `open_source`

    Raises:
        UsageError: no such model or template.
        CheckpointError: the folder is incomplete, damaged, or of another kind.
    """
    source = open_source(model, revision=revision, base=base, vision_tower=vision_tower, template=template)
    if quantization is not None:
        source = quantised(source, quantization)
    return build(source, dtype=dtype, device=device)


def build(
    source: Source,
    *,
    dtype: torch.dtype | None = None,
    device: torch.device | str = "cpu",
    weights: bool = True,
) -> Checkpoint:
    """The model that `source` holds, in memory.

    Args:
        dtype: of the weights in memory; None: as stored
        weights: False: shapes alone, on `meta`, for a backend that has the weights itself

    Raises:
        CheckpointError: the folder is incomplete, damaged, or of another kind.
    """
    said, tokenizer, tensors = source.said, source.tokenizer, source.tensors
    if said.template is None:
        raise CheckpointError(
            f"{said.folder}: its files do not tell which conversation template it was tuned with: name it, "
            f"--template on the command line ({', '.join(TEMPLATES)})"
        )
    if tokenizer.image_token_id != said.config.image_token_id:
        raise CheckpointError(
            f"{said.folder}: the tokenizer's image token is {tokenizer.image_token_id}, "
            f"config.json says {said.config.image_token_id}: the files belong to different models"
        )
    if tokenizer.vocab_size > said.config.language.vocab_size:
        raise CheckpointError(
            f"{said.folder}: the tokenizer has {tokenizer.vocab_size} tokens, config.json says "
            f"{said.config.language.vocab_size}: the files belong to different models"
        )
    with shapes_only():
        llava = Llava(said.config)
    if weights:
        tied = {HEAD: WORDS} if said.config.language.tie_word_embeddings else {}
        chosen = dtype or next(filter(is_real, map(tensors.dtype, tensors)), torch.float32)
        load_into(llava, tensors, chosen, torch.device(device), str(said.folder), tied)
        llava.language_model.reset_buffers(device)
    ends = said.eos_token_ids or (tokenizer.eos_id,)
    return Checkpoint(
        model=llava.eval(),
        tokenizer=tokenizer,
        image=said.image,
        template=said.template,
        image_markers=said.own.image_markers,
        eos_token_ids=ends,
        provenance=said.own.provenance,
    )


def load_clip(model: str | Path, checkpoint: Checkpoint) -> CLIP:
    """The CLIP that shares the vision tower of `checkpoint`, where its text tower was kept.

    Raises:
        CheckpointError: the folder has no text tower.
    """
    folder = locate(model)
    kept = hugging_face.describe(folder).own.text_tower
    path = folder / TEXT_TOWER
    if kept is None or not path.is_file():
        raise CheckpointError(f"{folder} has no text tower: only models trained here with one keep it")
    tower = checkpoint.model.vision_tower
    parameter = next(tower.parameters())
    with shapes_only():
        clip = CLIP(tower, kept.config, kept.projection_dim)
    del clip.vision_model  # the file holds the text side only
    load_into(clip, Safetensors([path]), parameter.dtype, parameter.device, str(path))
    clip.vision_model = tower
    return clip.eval()
