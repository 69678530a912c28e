"""A model folder: Hugging Face's layout, and `llavakit.json` for what that layout cannot say."""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from pydantic import Field

from llavakit.checkpoint import hf_config, names
from llavakit.checkpoint.atomic import atomic_folder
from llavakit.checkpoint.locate import locate
from llavakit.checkpoint.weights import TensorFiles, load_into, weight_files, write, write_file
from llavakit.config import ImageConfig, LlavaConfig, Strict, TextTowerConfig
from llavakit.errors import CheckpointError, UsageError, nearest
from llavakit.model import CLIP, Llava
from llavakit.prompt.jinja import chat_template
from llavakit.prompt.templates import TEMPLATES, get_template
from llavakit.prompt.tokenizer import Tokenizer

OWN = "llavakit.json"
TEXT_TOWER = "text_tower.safetensors"


class TextTower(Strict):
    """The text side of CLIP, kept beside a LLaVA that was trained here."""

    config: TextTowerConfig
    projection_dim: int


class Own(Strict):
    """`llavakit.json`: how the model was made, and what `config.json` has no field for."""

    template: str | None = None
    image_markers: bool = False  # LLaVA v1's <im_start> and <im_end> around a picture
    connector: str = "mlp2x_gelu"
    text_tower: TextTower | None = None
    provenance: dict[str, Any] = Field(default_factory=dict)


@dataclass
class Checkpoint:
    """A model and all that is needed to talk to it."""

    model: Llava
    tokenizer: Tokenizer
    image: ImageConfig
    template: str
    image_markers: bool = False
    eos_token_ids: tuple[int, ...] = ()
    provenance: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Description:
    """What a folder's small files say, before any weight is read."""

    folder: Path
    config: LlavaConfig
    image: ImageConfig
    own: Own
    template: str
    eos_token_ids: tuple[int, ...]


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


def load(
    model: str | Path,
    *,
    dtype: torch.dtype | None = None,
    device: torch.device | str = "cpu",
    template: str | None = None,
    revision: str | None = None,
) -> Checkpoint:
    """Load a LLaVA from the hub, a folder, or the package itself (`"tiny"`).

    Args:
        dtype: of the weights in memory; None: as stored
        template: the conversation template, where the folder's own is wrong or missing

    Raises:
        UsageError: no such model or template.
        CheckpointError: the folder is incomplete, damaged, or of another kind.
    """
    if template is not None:
        get_template(template)
    said = describe(locate(model, revision))
    tokenizer = Tokenizer.load(said.folder)
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
    files = TensorFiles(weight_files(said.folder))
    stored = names.ours_to_theirs(files)
    config = _untied_where_they_differ(said.config, files, stored)
    tied = {_HEAD: _WORDS} if config.language.tie_word_embeddings else {}
    stored = {ours: theirs for ours, theirs in stored.items() if ours not in tied}
    with torch.device("meta"):
        llava = Llava(config)
    chosen = dtype or _stored_dtype(files, stored)
    load_into(llava, files, stored, chosen, torch.device(device), str(said.folder), tied)
    llava.language_model.reset_buffers(device)
    ends = said.eos_token_ids or (tokenizer.eos_id,)
    return Checkpoint(
        model=llava.eval(),
        tokenizer=tokenizer,
        image=said.image,
        template=template or said.template,
        image_markers=said.own.image_markers,
        eos_token_ids=ends,
        provenance=said.own.provenance,
    )


_HEAD, _WORDS = "language_model.lm_head.weight", "language_model.embed_tokens.weight"


def _untied_where_they_differ(config: LlavaConfig, files: TensorFiles, stored: dict[str, str]) -> LlavaConfig:
    """Files that hold an output head unlike the embedding win over a config that ties the two.

    transformers does the same.
    """
    language = config.language
    if not language.tie_word_embeddings or _HEAD not in stored or _WORDS not in stored:
        return config
    if torch.equal(files.read(stored[_HEAD]), files.read(stored[_WORDS])):
        return config
    language = language.model_copy(update={"tie_word_embeddings": False})
    return config.model_copy(update={"language": language})


_DTYPES = {"F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16}


def _stored_dtype(files: TensorFiles, stored: dict[str, str]) -> torch.dtype:
    return _DTYPES.get(files.dtype(next(iter(stored.values()))), torch.float32) if stored else torch.float32


def load_clip(model: str | Path, checkpoint: Checkpoint) -> CLIP:
    """The CLIP that shares the vision tower of `checkpoint`, where its text tower was kept.

    Raises:
        CheckpointError: the folder has no text tower.
    """
    folder = locate(model)
    kept = describe(folder).own.text_tower
    path = folder / TEXT_TOWER
    if kept is None or not path.is_file():
        raise CheckpointError(f"{folder} has no text tower: only models trained here with one keep it")
    tower = checkpoint.model.vision_tower
    parameter = next(tower.parameters())
    with torch.device("meta"):
        clip = CLIP(tower, kept.config, kept.projection_dim)
    del clip.vision_model  # the file holds the text side only
    files = TensorFiles([path])
    same = {name: name for name in files}
    load_into(clip, files, same, parameter.dtype, parameter.device, str(path))
    clip.vision_model = tower
    return clip.eval()


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
    left_out = {_HEAD} if llava.config.language.tie_word_embeddings else set()
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
