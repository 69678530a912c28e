"""What a model is, in numbers: frozen, strictly validated, with the field's own names.

Field names are those of Hugging Face configurations, so that a `config.json` reads as one of
these. Nothing here knows about files or tensors.
"""

import math
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from llavakit.errors import UsageError, nearest


class Strict(BaseModel):
    """A frozen model that refuses unknown keys and names the nearest valid one."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    @classmethod
    def parse(cls, values: dict[str, Any], where: str) -> Self:
        """Validate `values`; `where` (a file, a section) opens the message of a `UsageError`."""
        try:
            return cls.model_validate(values)
        except ValidationError as error:
            told = [_explain(cls, fault) for fault in _told(error.errors())]
            raise UsageError(f"{where}: {'; '.join(told)}") from None

    @classmethod
    def parse_toml(cls, text: str, where: str, overrides: Mapping[str, str] | None = None) -> Self:
        """`parse` on TOML text; `overrides` maps dotted paths (`stages.0.lr`) to TOML values."""
        try:
            values = tomllib.loads(text)
        except tomllib.TOMLDecodeError as error:
            raise UsageError(f"{where}: not valid TOML: {error}") from None
        for path, value in (overrides or {}).items():
            _override(values, path, value)
        return cls.parse(values, where)


def _override(values: dict[str, Any], path: str, text: str) -> None:
    """Set the value at a dotted path; a word that is no TOML value is taken as a string."""
    try:
        value = tomllib.loads(f"x = {text}")["x"]
    except tomllib.TOMLDecodeError:
        value = text
    *parents, last = path.split(".")
    place: Any = values
    try:
        for part in parents:
            place = place[int(part)] if isinstance(place, list) else place.setdefault(part, {})
        place[int(last) if isinstance(place, list) else last] = value
    except (AttributeError, ValueError, IndexError, TypeError):
        raise UsageError(f"--set {path}={text}: there is no such place in the file") from None


def _told(errors: Sequence[Any]) -> list[Any]:
    """Those that say something: a list whose every part is wrong is called too short, too."""
    inner = {tuple(error["loc"][:depth]) for error in errors for depth in range(len(error["loc"]))}
    return [error for error in errors if error["type"] != "too_short" or tuple(error["loc"]) not in inner]


def _explain(cls: type[BaseModel], error: Any) -> str:
    path = ".".join(str(part) for part in error["loc"])
    if error["type"] != "extra_forbidden":
        said = str(error["msg"]).removeprefix("Value error, ")
        return f"{path}: {said}" if path else said
    fields = _fields_at(cls, error["loc"][:-1])
    return f"unknown field '{path}' ({nearest(str(error['loc'][-1]), fields)})"


def _fields_at(cls: type[BaseModel], location: tuple[int | str, ...]) -> list[str]:
    """The valid field names of the (possibly nested) model at `location`."""
    current: Any = cls
    for part in location:
        fields = getattr(current, "model_fields", {})
        if isinstance(part, str) and part in fields:
            current = _inner_model(fields[part].annotation)
    return list(getattr(current, "model_fields", {}))


def _inner_model(annotation: Any) -> Any:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    for argument in getattr(annotation, "__args__", ()):
        if (found := _inner_model(argument)) is not None:
            return found
    return None


class ImageConfig(Strict):
    """How a picture becomes pixels: resize the shortest edge, crop the centre, normalise.

    Mean and deviation default to CLIP's. `pad` first pads to a square with the mean colour
    (LLaVA-1.5, `image_aspect_ratio = "pad"`), so that nothing is cropped away. SigLIP resizes
    to the exact size without keeping the shape (`resize="exact"`).
    """

    size: int = 336
    resize: Literal["shortest", "exact"] = "shortest"
    pad: bool = False
    mean: tuple[float, float, float] = (0.48145466, 0.4578275, 0.40821073)
    std: tuple[float, float, float] = (0.26862954, 0.26130258, 0.27577711)


class VisionConfig(Strict):
    """A vision tower: CLIP's ViT (class token, pre-norm) or SigLIP's (neither)."""

    kind: Literal["clip", "siglip"] = "clip"
    image_size: int = 336
    patch_size: int = 14
    num_channels: int = 3
    hidden_size: int = 1024
    intermediate_size: int = 4096
    num_hidden_layers: int = 24
    num_attention_heads: int = 16
    hidden_act: str = "quick_gelu"
    layer_norm_eps: float = 1e-5

    @property
    def num_patches(self) -> int:
        return (self.image_size // self.patch_size) ** 2

    @model_validator(mode="after")
    def _divides(self) -> Self:
        if self.hidden_size % self.num_attention_heads:
            raise ValueError(
                f"hidden_size {self.hidden_size} is not a multiple of "
                f"num_attention_heads {self.num_attention_heads}"
            )
        return self


class TextTowerConfig(Strict):
    """CLIP's text encoder, kept for retrieval; not a part of LLaVA itself."""

    vocab_size: int = 49408
    hidden_size: int = 512
    intermediate_size: int = 2048
    num_hidden_layers: int = 12
    num_attention_heads: int = 8
    max_position_embeddings: int = 77
    hidden_act: str = "quick_gelu"
    layer_norm_eps: float = 1e-5
    eos_token_id: int = 49407


class RopeScaling(Strict):
    """Stretching of rotary positions beyond the trained length (transformers' `rope_scaling`)."""

    rope_type: Literal["linear", "llama3", "yarn"]
    factor: float
    low_freq_factor: float = 1.0
    high_freq_factor: float = 4.0
    original_max_position_embeddings: int | None = None
    beta_fast: float = 32.0
    beta_slow: float = 1.0
    attention_factor: float | None = None


class LanguageConfig(Strict):
    """A Llama-family decoder: Llama, Vicuna, Mistral, Qwen2, Qwen3 differ only in these numbers."""

    vocab_size: int = 32000
    hidden_size: int = 4096
    intermediate_size: int = 11008
    num_hidden_layers: int = 32
    num_attention_heads: int = 32
    num_key_value_heads: int = 32
    head_dim: int = 128
    hidden_act: str = "silu"
    rms_norm_eps: float = 1e-5
    rope_theta: float = 10000.0
    rope_scaling: RopeScaling | None = None
    max_position_embeddings: int = 4096
    qkv_bias: bool = False  # Qwen2: biases on q, k and v only
    qk_norm: bool = False  # Qwen3: RMSNorm on each head's q and k
    sliding_window: int | None = None  # Mistral: keys seen, the query itself included
    tie_word_embeddings: bool = False

    @property
    def context(self) -> int:
        """Positions that a text may have.

        Linear and YaRN's stretchings are set beside the length before them (Vicuna 1.5 16k says 4096,
        factor 4), Llama 3's beside the length that it gives (131072).
        """
        scaling, trained = self.rope_scaling, self.max_position_embeddings
        if scaling is None or scaling.rope_type == "llama3":
            return trained
        stretched = int((scaling.original_max_position_embeddings or trained) * scaling.factor)
        return max(trained, stretched)

    @model_validator(mode="after")
    def _divides(self) -> Self:
        if self.num_attention_heads % self.num_key_value_heads:
            raise ValueError(
                f"num_attention_heads {self.num_attention_heads} is not a multiple of "
                f"num_key_value_heads {self.num_key_value_heads}"
            )
        return self


# bnb-…: bitsandbytes' own, for those who ask; it is made for NVIDIA GPUs
Scheme = Literal["int8", "int4", "bnb-int8", "bnb-nf4"]


class Quantization(Strict):
    """Which linear layers hold 8 or 4 bits a weight.

    The language model's blocks do, as `scheme` says; vision tower and output head in 8 bits, unless
    they are left out. Embeddings and connector stay as they are.
    """

    scheme: Scheme
    group_size: int = Field(128, ge=32, multiple_of=32)  # weights that share a scale in 4 bits
    vision_tower: bool = True
    head: bool = True


@dataclass(frozen=True)
class Layout:
    """How one picture becomes features: the whole of it as one view, and tiles of a larger copy.

    Attributes:
        tiles: (down, across); (0, 0): the whole picture alone
        rows, columns: (first, end) of the patches of all tiles together that show the picture, not
            the padding around it
        shrunk: (rows, columns) that those are interpolated to; None: as they are
        newline: a learned feature ends each row; with the whole picture alone, the picture
        tokens: feature positions, in all
    """

    tiles: tuple[int, int]
    rows: tuple[int, int]
    columns: tuple[int, int]
    shrunk: tuple[int, int] | None
    newline: bool
    tokens: int

    @property
    def views(self) -> int:
        return 1 + self.tiles[0] * self.tiles[1]


class Tiling(Strict):
    """LLaVA-NeXT's "anyres": a picture is seen whole, and again as tiles in a shape like its own.

    Attributes:
        grids: the shapes to choose from, as (height, width) in pixels
        tile: a tile's side in pixels, which is the vision tower's picture
        patches: patches along it
        unpad: features of the padding around the picture are left out
        newline: a learned feature ends each row
        max_tiles: features of more tiles than this are interpolated to about as many ("anyres_max_9")
        single: only a picture that is alone in its prompt has tiles (LLaVA-OneVision)
    """

    grids: tuple[tuple[int, int], ...] = Field(min_length=1)
    tile: int = Field(gt=0)
    patches: int = Field(gt=0)
    unpad: bool = True
    newline: bool = True
    max_tiles: int | None = Field(None, gt=0)
    single: bool = False

    @model_validator(mode="after")
    def _whole_tiles(self) -> Self:
        for height, width in self.grids:
            if min(height, width) <= 0 or height % self.tile or width % self.tile:
                raise ValueError(f"a grid of {height} x {width} is not made of tiles of {self.tile}")
        return self

    def grid(self, width: int, height: int) -> tuple[int, int]:
        """(height, width) of the grid that keeps most of a picture's pixels, and wastes least on padding."""

        def worth(grid: tuple[int, int]) -> tuple[int, int]:
            scale = min(grid[1] / width, grid[0] / height)
            kept = min(int(width * scale) * int(height * scale), width * height)
            return kept, kept - grid[0] * grid[1]

        return max(self.grids, key=worth)  # the first of equals

    @property
    def whole(self) -> Layout:
        """A picture without tiles."""
        return Layout((0, 0), (0, 0), (0, 0), None, self.newline, self.patches**2 + self.newline)

    def layout(self, width: int, height: int, pictures: int = 1) -> Layout:
        """What becomes of a picture of that size in a prompt with so many pictures."""
        if self.single and pictures > 1:
            return self.whole
        grid = self.grid(width, height)
        down, across = grid[0] // self.tile, grid[1] // self.tile
        rows, columns = (0, down * self.patches), (0, across * self.patches)
        if self.unpad:
            rows, columns = self._unpadded(width, height, rows[1], columns[1])
        size = rows[1] - rows[0], columns[1] - columns[0]
        shrunk = self._shrunk(*size)
        count, length = shrunk or size
        tokens = self.patches**2 + count * (length + self.newline)
        return Layout((down, across), rows, columns, shrunk, self.newline, tokens)

    @staticmethod
    def _unpadded(
        width: int, height: int, rows: int, columns: int
    ) -> tuple[tuple[int, int], tuple[int, int]]:
        """Which of so many rows and columns of patches a picture covers that fits in between them.

        Margins are as wide on both sides, so a row that is half padding stays. Seven digits, as the
        reference rounds, bridge what floating point lacks to a whole number.
        """
        if width / height > columns / rows:
            margin = (rows - int(round(height * (columns / width), 7))) // 2
            return (margin, rows - margin), (0, columns)
        margin = (columns - int(round(width * (rows / height), 7))) // 2
        return (0, rows), (margin, columns - margin)

    def _shrunk(self, rows: int, columns: int) -> tuple[int, int] | None:
        """What rows and columns of patches are interpolated to; small excesses are let be."""
        if self.max_tiles is None:
            return None
        ratio = math.sqrt(rows * columns / (self.max_tiles * self.patches**2))
        return (int(rows // ratio), int(columns // ratio)) if ratio > 1.1 else None


class LlavaConfig(Strict):
    """Vision tower + connector + language model, and how they are joined."""

    vision: VisionConfig
    language: LanguageConfig
    connector: str = "mlp2x_gelu"
    connector_bias: bool = True
    connector_act: str = "gelu"
    image_token_id: int
    feature_layer: int = -2  # of the tower's hidden states, embeddings first
    # "patch" drops the class token, "but_first" the first feature whatever it is
    feature_select: Literal["patch", "full", "but_first"] = "patch"
    tiling: Tiling | None = None
    quantization: Quantization | None = None

    @model_validator(mode="after")
    def _tiles_fit(self) -> Self:
        tiling, vision = self.tiling, self.vision
        if tiling is None:
            return self
        patches = vision.image_size // vision.patch_size
        if (tiling.tile, tiling.patches) != (vision.image_size, patches):
            raise ValueError(
                f"tiles of {tiling.tile} pixels and {tiling.patches} patches do not fit a vision tower that "
                f"sees {vision.image_size} pixels as {patches} patches"
            )
        if self.tokens_per_image != patches**2:
            raise ValueError("tiles are put together by their patches: drop the class token and nothing else")
        return self

    @property
    def tokens_per_image(self) -> int:
        """Feature positions one view takes: with a `tiling` a picture may have several."""
        features = self.vision.num_patches + int(self.vision.kind == "clip")
        return features - int(self.drops_first)

    @property
    def drops_first(self) -> bool:
        """Whether a view's first feature is left out."""
        is_class = self.feature_select == "patch" and self.vision.kind == "clip"
        return is_class or self.feature_select == "but_first"
