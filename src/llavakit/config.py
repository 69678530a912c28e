"""What a model is, in numbers: frozen, strictly validated, with the field's own names.

Field names are those of Hugging Face configurations, so that a `config.json` reads as one of
these. Nothing here knows about files or tensors.
"""

import tomllib
from collections.abc import Mapping
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, ValidationError, model_validator

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
            raise UsageError(f"{where}: {'; '.join(_explain(cls, e) for e in error.errors())}") from None

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


def _explain(cls: type[BaseModel], error: Any) -> str:
    path = ".".join(str(part) for part in error["loc"])
    if error["type"] != "extra_forbidden":
        return f"{path}: {error['msg']}" if path else str(error["msg"])
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

    @model_validator(mode="after")
    def _divides(self) -> Self:
        if self.num_attention_heads % self.num_key_value_heads:
            raise ValueError(
                f"num_attention_heads {self.num_attention_heads} is not a multiple of "
                f"num_key_value_heads {self.num_key_value_heads}"
            )
        return self


class LlavaConfig(Strict):
    """Vision tower + connector + language model, and how they are joined."""

    vision: VisionConfig
    language: LanguageConfig
    connector: str = "mlp2x_gelu"
    connector_bias: bool = True
    connector_act: str = "gelu"
    image_token_id: int
    feature_layer: int = -2  # of the tower's hidden states, embeddings first
    feature_select: Literal["patch", "full"] = "patch"  # "patch" drops the class token

    @property
    def tokens_per_image(self) -> int:
        """Feature positions one picture takes in the prompt."""
        has_class = self.vision.kind == "clip" and self.feature_select == "full"
        return self.vision.num_patches + int(has_class)
