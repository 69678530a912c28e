"""What a model is before and after loading: described, opened, in memory. The formats meet here."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import Field

from llavakit.checkpoint.tensors import Tensors
from llavakit.config import ImageConfig, LlavaConfig, Quantization, Strict, TextTowerConfig
from llavakit.model import Llava
from llavakit.prompt.tokenizer import Tokenizer


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
    quantization: Quantization | None = None
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
    template: str | None  # None: nothing tells, so it has to be asked for
    eos_token_ids: tuple[int, ...]


@dataclass(frozen=True)
class Source:
    """A model on disk, in whatever format: described, its weights under our names and not yet read."""

    said: Description
    tokenizer: Tokenizer
    tensors: Tensors
