"""A recipe: one TOML file that describes a model and the stages that make it."""

from pathlib import Path
from typing import Literal, Self

from pydantic import Field, model_validator

from llavakit.config import ImageConfig, LanguageConfig, Strict, TextTowerConfig, VisionConfig
from llavakit.errors import UsageError

Organ = Literal["vision_tower", "text_tower", "connector", "language_model"]


class TokenizerPlan(Strict):
    """A byte-level BPE learned from the texts of a dataset."""

    data: str
    samples: int = Field(20_000, gt=0)
    vocab_size: int = Field(2_048, gt=300)  # 256 bytes and the special tokens come first


class Stage(Strict):
    """One stretch of training: what is learned, from what, how long, how fast.

    `next_token` is LLaVA's objective (stage 1, stage 2, and plain text alike); `contrastive` is
    CLIP's. Organs not named in `trainable` are frozen.
    """

    name: str
    objective: Literal["next_token", "contrastive"] = "next_token"
    data: str
    images: str | None = None  # the folder that picture names in `data` are relative to
    template: str | None = None  # default: the recipe's
    trainable: tuple[Organ, ...] = Field(min_length=1)
    steps: int | None = Field(None, gt=0)
    epochs: float | None = Field(None, gt=0)
    batch: int = Field(gt=0)
    optimiser: Literal["adamw", "muon"] = "adamw"
    lr: float = Field(gt=0)
    warmup: float = Field(0.03, ge=0, le=1)  # share of the steps; a cosine to zero follows
    weight_decay: float = Field(0.0, ge=0)
    betas: tuple[float, float] = (0.9, 0.999)
    clip_norm: float = Field(1.0, gt=0)
    group_by_length: bool = False  # batches of conversations about equally long: less padding
    precision: Literal["float32", "bfloat16"] = "bfloat16"  # of the arithmetic; weights stay float32

    @model_validator(mode="after")
    def _one_length(self) -> Self:
        if (self.steps is None) == (self.epochs is None):
            raise ValueError(f"stage {self.name!r}: give either steps or epochs")
        return self


class Recipe(Strict):
    """The model (from scratch, or `init` from an existing LLaVA) and its stages."""

    name: str
    seed: int = 0
    template: str = "vicuna_v1"
    init: str | None = None
    tokenizer: TokenizerPlan | None = None
    image: ImageConfig | None = None
    vision: VisionConfig | None = None
    text_tower: TextTowerConfig | None = None
    projection_dim: int = 512
    language: LanguageConfig | None = None
    connector: str = "mlp2x_gelu"
    feature_layer: int | None = None  # of the tower's hidden states; default -2, as LLaVA
    stages: tuple[Stage, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _complete(self) -> Self:
        scratch = {name: getattr(self, name) for name in ("tokenizer", "image", "vision", "language")}
        if self.init is None and (missing := [name for name, value in scratch.items() if value is None]):
            raise ValueError(f"without init, a recipe needs the sections {', '.join(missing)}")
        scratch["feature_layer"] = self.feature_layer
        extra = [name for name, value in scratch.items() if value is not None]
        if self.init is not None and extra:
            raise ValueError(f"init brings its own model: remove {', '.join(extra)}")
        pairs = [s.name for s in self.stages if "text_tower" in s.trainable or s.objective == "contrastive"]
        if pairs and self.text_tower is None:
            raise ValueError(f"stages {', '.join(pairs)} need a [text_tower] section")
        names = [stage.name for stage in self.stages]
        if len(set(names)) < len(names):
            raise ValueError(f"stage names repeat: {', '.join(names)}")
        return self

    @classmethod
    def load(cls, path: str | Path, overrides: dict[str, str] | None = None) -> Self:
        """Read a TOML file; `overrides` maps dotted paths (`stages.0.lr`) to TOML values."""
        path = Path(path)
        try:
            text = path.read_text(encoding="utf-8")
        except OSError as error:
            raise UsageError(f"recipe {path}: {error.strerror}. Recipes live in recipes/*.toml") from None
        return cls.parse_toml(text, f"recipe {path}", overrides)
