"""The layout of the original LLaVA repository, in and out: liuhaotian/llava-v1.5-7b and its relatives.

One folder: a flat `config.json`, shards of `torch.save` or safetensors, a SentencePiece tokenizer. The
vision tower is usually somewhere else; LLaVA-1.6 and others whose tower was trained too carry their own.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import torch

from llavakit.checkpoint import hf_config, names
from llavakit.checkpoint.atomic import atomic_folder
from llavakit.checkpoint.folder import HEAD, OWN, WORDS, as_source, read_own
from llavakit.checkpoint.json_file import Json, read_json, write_json
from llavakit.checkpoint.original_config import from_original, is_original, template_of, to_original
from llavakit.checkpoint.source import Checkpoint, Description, Source
from llavakit.checkpoint.tensors import Joined, Renamed, Tensors, Widened, open_weights
from llavakit.checkpoint.tower import Tower, find_tower
from llavakit.checkpoint.weights import write
from llavakit.errors import CheckpointError, UsageError
from llavakit.model import Llava
from llavakit.model.shapes import shapes_only
from llavakit.prompt.tokenizer import Tokenizer

_TO_HF = [
    (re.compile(r"^model\.vision_tower\.vision_tower\."), "vision_tower."),
    (re.compile(r"^(?:model\.)?mm_projector\.(?=weight$|bias$)"), "multi_modal_projector.linear_1."),
    (re.compile(r"^model\.(?=image_newline$)"), ""),
    (re.compile(r"^model\.(?=(embed_tokens|layers|norm)\.)"), "language_model.model."),
    (re.compile(r"^lm_head\."), "language_model.lm_head."),
]
_MLP = re.compile(r"^(?:model\.)?mm_projector\.(\d+)\.")  # linear layers at even places, GELUs between
_TOWER_LAYER = re.compile(r"^vision_tower\.encoder\.layers\.(\d+)\.")


def ours_to_original(stored: Iterable[str]) -> dict[str, str]:
    """{our name: the name in the file}; names of Hugging Face's layouts are understood as well."""
    renamed = {}
    for theirs in stored:
        name = _MLP.sub(lambda found: f"multi_modal_projector.linear_{int(found[1]) // 2 + 1}.", theirs)
        for pattern, replacement in _TO_HF:
            name = pattern.sub(replacement, name)
        renamed[name] = theirs
    return {ours: renamed[name] for ours, name in names.ours_to_theirs(renamed).items()}


def to_original_name(ours: str, connector: str) -> str:
    """The name that the original code has for a tensor of ours."""
    if ours.startswith("language_model.lm_head."):
        return ours.removeprefix("language_model.")
    if ours.startswith("language_model."):
        return ours.replace("language_model.", "model.", 1)
    if ours.startswith("vision_tower."):
        return ours.replace("vision_tower.", "model.vision_tower.vision_tower.vision_model.", 1)
    if found := re.match(r"connector\.linear_(\d+)\.", ours):
        place = "" if connector == "linear" else f"{2 * (int(found[1]) - 1)}."
        return f"model.mm_projector.{place}{ours[found.end() :]}"
    return f"model.{ours}"  # image_newline


@dataclass(frozen=True)
class Opened:
    """An original checkpoint whose small files are read: what it is, and what its weights have to join."""

    said: Description
    tokenizer: Tokenizer
    tower: Tower | None  # None: the checkpoint carries its own

    def source(self, tensors: Tensors) -> Source:
        """With its weights, under our names; the tower's are added where they stand apart."""
        # A model's type is that of its first tensor, which must not be the tower's: CLIP's are float32 beside
        # any language model. Joined names its last part first.
        parts = tensors if self.tower is None else Joined(self.tower.tensors(), tensors)
        rows = self.said.config.language.vocab_size
        return Source(self.said, self.tokenizer, Widened(parts, (WORDS, HEAD), rows))


def describe_original(folder: Path, vision_tower: str | Path | None = None) -> Description:
    """Read the small files of an original checkpoint, and the names of its weights.

    Args:
        vision_tower: folder or hub name of the tower, where the checkpoint has none and its config.json
            names none that can be had

    Raises:
        CheckpointError: a file is missing, or is not what it should be.
    """
    weights = own_weights(folder)
    return read_small_files(folder, folder, weights, vision_tower).said


def open_original(folder: Path, vision_tower: str | Path | None = None) -> Source:
    """Open an original checkpoint; arguments and errors are those of `describe_original`."""
    weights = own_weights(folder)
    return read_small_files(folder, folder, weights, vision_tower).source(weights)


def own_weights(folder: Path) -> Tensors:
    """What a folder holds itself, under our names.

    Raises:
        CheckpointError: a file is missing or damaged.
    """
    files = open_weights(folder)
    return Renamed(files, ours_to_original(files))


def read_small_files(
    folder: Path,
    tokens: Path | Tokenizer,
    stored: Iterable[str],
    vision_tower: str | Path | None = None,
) -> Opened:
    """Config, tokenizer and vision tower of an original checkpoint.

    Args:
        folder: has the config.json
        tokens: the tokenizer or the folder that has it: the same, or the base that the checkpoint adapts
        stored: our names of the weights that are there
        vision_tower: as for `describe_original`
    """
    where = str(folder / "config.json")
    hf = read_json(folder / "config.json")
    if not is_original(hf):
        raise CheckpointError(f"{where} is not of the original LLaVA layout: it has no field mm_vision_tower")
    own = read_own(folder)
    tokenizer = Tokenizer.load(tokens, also=_marks(hf)) if isinstance(tokens, Path) else tokens
    tokenizer.restarts_after_image = True  # as `tokenizer_image_token` of the original code does
    layers = {int(found[1]) for name in stored if (found := _TOWER_LAYER.match(name))}
    tower = find_tower(folder, hf, vision_tower, inside=bool(layers))
    try:
        config = from_original(hf, tower, tokenizer, where, len(layers) or None)
        with shapes_only():
            Llava(config)  # refuses parts that do not fit together
        image = hf_config.image_from_hf(tower.processor, config.vision, tower.where)
    except UsageError as error:  # the words at fault are the folder's, not the user's
        raise CheckpointError(str(error) if where in str(error) else f"{where}: {error}") from None
    except (TypeError, AttributeError, ArithmeticError, ValueError, RuntimeError) as error:
        reason = str(error).splitlines()[0]
        raise CheckpointError(f"{where} holds a value of the wrong kind ({reason})") from None
    said = Description(
        folder,
        config,
        image.model_copy(update={"pad": hf.get("image_aspect_ratio") == "pad"}),
        own.model_copy(
            update={"connector": config.connector, "image_markers": bool(hf.get("mm_use_im_start_end"))}
        ),
        own.template or template_of(hf, tokenizer, where),
        ends_of(folder),
    )
    return Opened(said, tokenizer, None if layers else tower)


def _marks(hf: Json) -> list[str]:
    """Tokens that the original code adds to the tokenizer, in its order, where they are not there."""
    patch = ["<im_patch>"] if hf.get("mm_use_im_patch_token", True) else []
    return patch + (["<im_start>", "<im_end>"] if hf.get("mm_use_im_start_end") else [])


def ends_of(folder: Path) -> tuple[int, ...]:
    """End tokens of a language model's folder beside the tokenizer's own.

    A single one is the tokenizer's, but for the first checkpoints, where it is wrong: 1 opens a text there.
    """
    path = folder / "generation_config.json"
    ends = read_json(path).get("eos_token_id") if path.is_file() else None
    return tuple(ends) if isinstance(ends, list) else ()


def write_original(
    model: Source | Checkpoint,
    folder: Path,
    *,
    dtype: torch.dtype | None = None,
    safetensors: bool = True,
    shard_bytes: int = 2 * 10**9,
) -> None:
    """Write a folder of the original layout, its vision tower inside. It appears whole or not at all.

    Of the weights no more than a shard is in memory at a time.

    Args:
        dtype: of the stored weights; None: as they are
        safetensors: or else `torch.save`'s files, as the first checkpoints have

    Raises:
        CheckpointError: the original code has no such model; the folder holds other files, or cannot be
            written.
    """
    source = model if isinstance(model, Source) else as_source(model)
    said, tokenizer, tensors = source.said, source.tokenizer, source.tensors
    config, image = said.config, said.image
    tokens = {
        "bos_token_id": tokenizer.bos_id,
        "eos_token_id": tokenizer.eos_id,
        "pad_token_id": tokenizer.pad_id,
    }
    left_out = {HEAD} if config.language.tie_word_embeddings else set()
    kept = [name for name in tensors if name not in left_out]
    stored = Renamed(tensors, {to_original_name(name, config.connector): name for name in kept})
    spelt = str(dtype or next(map(tensors.dtype, tensors))).removeprefix("torch.")
    markers, ends = said.own.image_markers, said.eos_token_ids
    own = said.own.model_copy(update={"template": said.template, "text_tower": None})
    small_files = {
        "config.json": to_original(config, image.pad, markers, tokens, spelt, str(folder)),
        "generation_config.json": tokens | ({"eos_token_id": list(ends)} if len(ends) > 1 else {}),
        "preprocessor_config.json": hf_config.image_to_hf(image.model_copy(update={"pad": False})),
        OWN: own.model_dump(exclude_none=True),
    }
    stem, suffix = ("model", "safetensors") if safetensors else ("pytorch_model", "bin")
    with atomic_folder(folder) as partial:
        write(stored, partial, dtype, shard_bytes, stem, suffix)
        tokenizer.save(partial)
        write_json(partial, small_files)
