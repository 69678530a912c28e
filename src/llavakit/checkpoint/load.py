"""From a model's name to a model in memory, whatever format it is in."""

from pathlib import Path

import torch

from llavakit.checkpoint.folder import HEAD, TEXT_TOWER, describe, open_folder
from llavakit.checkpoint.locate import locate
from llavakit.checkpoint.source import Checkpoint
from llavakit.checkpoint.tensors import Safetensors, Tensors
from llavakit.checkpoint.weights import load_into
from llavakit.config import LlavaConfig
from llavakit.errors import CheckpointError
from llavakit.model import CLIP, Llava
from llavakit.prompt.templates import get_template


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
    source = open_folder(locate(model, revision))
    said, tokenizer, tensors = source.said, source.tokenizer, source.tensors
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
    config = _untied_where_they_differ(said.config, tensors)
    tied = {HEAD: _WORDS} if config.language.tie_word_embeddings else {}
    with torch.device("meta"):
        llava = Llava(config)
    chosen = dtype or next(map(tensors.dtype, tensors), torch.float32)
    load_into(llava, tensors, chosen, torch.device(device), str(said.folder), tied)
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


_WORDS = "language_model.embed_tokens.weight"


def _untied_where_they_differ(config: LlavaConfig, tensors: Tensors) -> LlavaConfig:
    """Files that hold an output head unlike the embedding win over a config that ties the two.

    transformers does the same.
    """
    language = config.language
    if not language.tie_word_embeddings or not {HEAD, _WORDS} <= set(tensors):
        return config
    if torch.equal(tensors.read(HEAD), tensors.read(_WORDS)):
        return config
    language = language.model_copy(update={"tie_word_embeddings": False})
    return config.model_copy(update={"language": language})


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
    load_into(clip, Safetensors([path]), parameter.dtype, parameter.device, str(path))
    clip.vision_model = tower
    return clip.eval()
