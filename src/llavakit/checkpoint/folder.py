"""A model folder: Hugging Face's layout, and `llavakit.json` for what that layout cannot say."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from llavakit.checkpoint import hf_config, names
from llavakit.checkpoint.atomic import atomic_folder
from llavakit.checkpoint.json_file import json_if_there, write_json
from llavakit.checkpoint.source import Checkpoint, Description, Own, Source, TextTower
from llavakit.checkpoint.tensors import Held, Renamed, Tensors, is_real, open_weights
from llavakit.checkpoint.weights import write, write_file
from llavakit.config import LlavaConfig
from llavakit.errors import CheckpointError, UsageError, nearest
from llavakit.model import CLIP, Llava
from llavakit.model.shapes import shapes_only
from llavakit.prompt.jinja import chat_template
from llavakit.prompt.templates import TEMPLATES, get_template
from llavakit.prompt.tokenizer import Tokenizer

OWN = "llavakit.json"
_QUANTISER = "llavakit"  # in config.json
# transformers skips a quantiser it does not know and takes whole numbers for weights: so that it finds
# none, they have a file name of their own.
_PACKED = "packed"
TEXT_TOWER = "text_tower.safetensors"
HEAD = "language_model.lm_head.weight"
WORDS = "language_model.embed_tokens.weight"


def describe(folder: Path) -> Description:
    """Read a folder's configuration.

    Raises:
        CheckpointError: a file is missing or is not what it should be.
    """
    hf = json_if_there(folder / "config.json")
    if hf is None:
        raise CheckpointError(f"{folder} has no config.json: it is not a model folder, or only half of one")
    try:
        return _describe(folder, hf)
    except UsageError as error:  # the words at fault are the folder's, not the user's
        raise CheckpointError(str(error)) from None
    except (TypeError, AttributeError, ArithmeticError, ValueError, RuntimeError) as error:
        reason = str(error).splitlines()[0]
        raise CheckpointError(f"{folder}: config.json holds a value of the wrong kind ({reason})") from None


def _describe(folder: Path, hf: dict[str, Any]) -> Description:
    own = read_own(folder)
    method = (hf.get("quantization_config") or {}).get("quant_method", _QUANTISER)
    if method != _QUANTISER:
        raise CheckpointError(
            f"{folder / 'config.json'}: weights quantised by {method!r} are not supported: "
            "load the model as published, with --quantize int8 or int4"
        )
    config = hf_config.from_hf(hf, str(folder / "config.json"), own.connector)
    config = config.model_copy(update={"quantization": own.quantization})
    try:
        with shapes_only():
            Llava(config)  # refuses parts that do not fit together
    except UsageError as error:
        raise CheckpointError(f"{folder / 'config.json'}: {error}") from None
    for name in ("preprocessor_config.json", "processor_config.json"):
        processor = json_if_there(folder / name) or {}
        if "image_processor" in processor or "size" in processor:
            image = hf_config.image_from_hf(processor, config.vision, str(folder / name), config.tiling)
            break
    else:
        raise CheckpointError(
            f"{folder} has no preprocessor_config.json: it does not say how pictures are prepared"
        )
    template = own.template or hf_config.template_of(hf, config)
    generation = json_if_there(folder / "generation_config.json") or {}
    ends = generation.get("eos_token_id", (hf.get("text_config") or {}).get("eos_token_id"))
    ends = [] if ends is None else ends if isinstance(ends, list) else [ends]
    return Description(folder, config, image, own, template, tuple(ends))


def read_own(folder: Path) -> Own:
    """A folder's `llavakit.json`, which it may do without.

    Raises:
        CheckpointError: it is not readable, or has a field or a template that there is not.
    """
    path = folder / OWN
    try:
        own = Own.parse(json_if_there(path) or {}, str(path))
    except UsageError as error:  # the words at fault are the folder's, not the user's
        raise CheckpointError(str(error)) from None
    if own.template is not None and own.template not in TEMPLATES:
        raise CheckpointError(
            f"{path}: unknown template {own.template!r} ({nearest(own.template, TEMPLATES)})"
        )
    return own


def open_folder(folder: Path) -> Source:
    """Open a folder: its tokenizer is read, its weights are found.

    Raises:
        CheckpointError: a file is missing, cut short, or is not what it should be.
    """
    said = describe(folder)
    files = open_weights(folder, _PACKED if said.config.quantization else "model")
    tensors = Renamed(files, names.ours_to_theirs(files))
    config = _untied_where_they_differ(said.config, tensors)
    return Source(replace(said, config=config), Tokenizer.load(folder), tensors)


def _untied_where_they_differ(config: LlavaConfig, tensors: Tensors) -> LlavaConfig:
    """Files that hold an output head unlike the embedding win over a config that ties the two.

    transformers does the same.
    """
    language = config.language
    if not language.tie_word_embeddings or not {HEAD, WORDS} <= set(tensors):
        return config
    if torch.equal(tensors.read(HEAD), tensors.read(WORDS)):
        return config
    language = language.model_copy(update={"tie_word_embeddings": False})
    return config.model_copy(update={"language": language})


def as_source(checkpoint: Checkpoint) -> Source:
    """A model in memory as one on disk: what is written is always a source."""
    model = checkpoint.model
    own = Own(
        template=checkpoint.template,
        image_markers=checkpoint.image_markers,
        connector=model.config.connector,
        quantization=model.config.quantization,
        provenance=checkpoint.provenance,
    )
    said = Description(
        Path(), model.config, checkpoint.image, own, checkpoint.template, checkpoint.eos_token_ids
    )
    left_out = {HEAD} if model.config.language.tie_word_embeddings else set()
    weights = {name: weight for name, weight in model.state_dict().items() if name not in left_out}
    return Source(said, checkpoint.tokenizer, Held(weights))


def save(
    checkpoint: Checkpoint, folder: Path, *, dtype: torch.dtype | None = None, clip: CLIP | None = None
) -> None:
    """`write_folder` for a model in memory."""
    write_folder(as_source(checkpoint), folder, dtype=dtype, clip=clip)


def write_folder(
    source: Source, folder: Path, *, dtype: torch.dtype | None = None, clip: CLIP | None = None
) -> None:
    """Write a folder that we, transformers and vLLM read. It appears whole or not at all.

    Args:
        dtype: of the stored weights; None: as they are
        clip: keep its text side too

    Raises:
        CheckpointError: the folder holds other files, or cannot be written.
    """
    said, tokenizer, tensors = source.said, source.tokenizer, source.tensors
    stored = dtype or next(filter(is_real, map(tensors.dtype, tensors)))
    ends = list(said.eos_token_ids) or [tokenizer.eos_id]
    tokens = {
        "bos_token_id": tokenizer.bos_id,
        "eos_token_id": ends if len(ends) > 1 else ends[0],
        "pad_token_id": tokenizer.pad_id,
    }
    kept = None
    if clip is not None:
        kept = TextTower(config=clip.text_model.config, projection_dim=clip.text_projection.out_features)
    plan = said.config.quantization
    own = said.own.model_copy(
        update={"template": said.template, "connector": said.config.connector, "text_tower": kept,
                "quantization": plan}
    )  # fmt: skip
    video_token_id = tokenizer.special.get("<video>")
    hf = hf_config.to_hf(said.config, tokens, str(stored).removeprefix("torch."), video_token_id)
    if plan is not None:
        hf["quantization_config"] = {"quant_method": _QUANTISER, **plan.model_dump()}
    small_files = {
        "config.json": hf,
        "generation_config.json": tokens,
        **hf_config.processors_to_hf(said.config, said.image, tokenizer.image_token),
        OWN: own.model_dump(exclude_none=True),
    }
    with atomic_folder(folder) as partial:
        published = Renamed(tensors, {names.to_hf(name): name for name in tensors})
        write(published, partial, dtype, stem="model" if plan is None else _PACKED)
        if clip is not None:
            state = clip.state_dict()
            text_side = {name: w for name, w in state.items() if not name.startswith("vision_model.")}
            write_file(Held(text_side), partial / TEXT_TOWER, dtype)
        tokenizer.save(partial, _chat_template(source))
        write_json(partial, small_files)


def _chat_template(source: Source) -> str | None:
    """Without the begin token, as in llava-hf's folders: a processor that gets the text adds it."""
    if source.said.template is None:
        return None
    image = source.tokenizer.image_token
    picture = f"<im_start>{image}<im_end>" if source.said.own.image_markers else image
    return chat_template(get_template(source.said.template), picture)
