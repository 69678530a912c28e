"""A model folder: Hugging Face's layout, and `llavakit.json` for what that layout cannot say."""

import json
from pathlib import Path
from typing import Any

import torch

from llavakit.checkpoint import hf_config, names
from llavakit.checkpoint.atomic import atomic_folder
from llavakit.checkpoint.source import Checkpoint, Description, Own, Source, TextTower
from llavakit.checkpoint.tensors import Renamed, Safetensors, weight_files
from llavakit.checkpoint.weights import write, write_file
from llavakit.errors import CheckpointError, UsageError, nearest
from llavakit.model import CLIP, Llava
from llavakit.prompt.jinja import chat_template
from llavakit.prompt.templates import TEMPLATES, get_template
from llavakit.prompt.tokenizer import Tokenizer

OWN = "llavakit.json"
TEXT_TOWER = "text_tower.safetensors"
HEAD = "language_model.lm_head.weight"


def describe(folder: Path) -> Description:
    """Read a folder's configuration.

    Raises:
        CheckpointError: a file is missing or is not what it should be.
    """
    hf = _json(folder / "config.json")
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
    own = Own.parse(_json(folder / OWN) or {}, str(folder / OWN))
    if own.template is not None and own.template not in TEMPLATES:
        raise CheckpointError(
            f"{folder / OWN}: unknown template {own.template!r} ({nearest(own.template, TEMPLATES)})"
        )
    config = hf_config.from_hf(hf, str(folder / "config.json"), own.connector)
    try:
        with torch.device("meta"):
            Llava(config)  # refuses parts that do not fit together
    except UsageError as error:
        raise CheckpointError(f"{folder / 'config.json'}: {error}") from None
    for name in ("preprocessor_config.json", "processor_config.json"):
        processor = _json(folder / name) or {}
        if "image_processor" in processor or "size" in processor:
            image = hf_config.image_from_hf(processor, config.vision, str(folder / name))
            break
    else:
        raise CheckpointError(
            f"{folder} has no preprocessor_config.json: it does not say how pictures are prepared"
        )
    template = own.template or hf_config.TEMPLATE_OF[hf_config.language_type(hf)]
    generation = _json(folder / "generation_config.json") or {}
    ends = generation.get("eos_token_id", (hf.get("text_config") or {}).get("eos_token_id"))
    ends = [] if ends is None else ends if isinstance(ends, list) else [ends]
    return Description(folder, config, image, own, template, tuple(ends))


def _json(path: Path) -> dict[str, Any] | None:
    if not path.is_file():
        return None
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{path} is not readable JSON ({error}): fetch it again") from None
    if not isinstance(value, dict):
        raise CheckpointError(f"{path} should hold a JSON object")
    return value


def open_folder(folder: Path) -> Source:
    """Open a folder: its tokenizer is read, its weights are found.

    Raises:
        CheckpointError: a file is missing, cut short, or is not what it should be.
    """
    files = Safetensors(weight_files(folder))
    return Source(describe(folder), Tokenizer.load(folder), Renamed(files, names.ours_to_theirs(files)))


def save(
    checkpoint: Checkpoint, folder: Path, *, dtype: torch.dtype | None = None, clip: CLIP | None = None
) -> None:
    """Write a folder that we, transformers and vLLM read. It appears whole or not at all.

    Args:
        dtype: of the stored weights; None: as they are
        clip: keep its text side too

    Raises:
        CheckpointError: the folder holds other files, or cannot be written.
    """
    llava, tokenizer = checkpoint.model, checkpoint.tokenizer
    left_out = {HEAD} if llava.config.language.tie_word_embeddings else set()
    tensors = {names.to_hf(name): w for name, w in llava.state_dict().items() if name not in left_out}
    stored = dtype or next(iter(tensors.values())).dtype
    ends = list(checkpoint.eos_token_ids) or [tokenizer.eos_id]
    tokens = {
        "bos_token_id": tokenizer.bos_id,
        "eos_token_id": ends if len(ends) > 1 else ends[0],
        "pad_token_id": tokenizer.pad_id,
    }
    kept = None
    if clip is not None:
        kept = TextTower(config=clip.text_model.config, projection_dim=clip.text_projection.out_features)
    own = Own(
        template=checkpoint.template,
        image_markers=checkpoint.image_markers,
        connector=llava.config.connector,
        text_tower=kept,
        provenance=checkpoint.provenance,
    )
    small_files = {
        "config.json": hf_config.to_hf(llava.config, tokens, str(stored).removeprefix("torch.")),
        "generation_config.json": tokens,
        "preprocessor_config.json": hf_config.image_to_hf(checkpoint.image),
        "processor_config.json": hf_config.processor_to_hf(llava.config, tokenizer.image_token),
        OWN: own.model_dump(exclude_none=True),
    }
    with atomic_folder(folder) as partial:
        write(tensors, partial, dtype)
        if clip is not None:
            state = clip.state_dict()
            text_side = {name: w for name, w in state.items() if not name.startswith("vision_model.")}
            write_file(text_side, partial / TEXT_TOWER, dtype)
        tokenizer.save(partial, _chat_template(checkpoint))
        for name, content in small_files.items():
            text = json.dumps(content, indent=2, ensure_ascii=False) + "\n"
            (partial / name).write_text(text, encoding="utf-8")


def _chat_template(checkpoint: Checkpoint) -> str | None:
    """Without the begin token, as in llava-hf's folders: a processor that gets the text adds it."""
    image = checkpoint.tokenizer.image_token
    picture = f"<im_start>{image}<im_end>" if checkpoint.image_markers else image
    return chat_template(get_template(checkpoint.template), picture)
