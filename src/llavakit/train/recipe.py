"""A recipe: one TOML file that describes a model and the stages that make it."""

from pathlib import Path
from typing import Literal, Self

import torch
from pydantic import Field, model_validator

from llavakit.config import ImageConfig, LanguageConfig, Strict, TextTowerConfig, VisionConfig
from llavakit.errors import UsageError
from llavakit.model.device import multiplies_bf16

Organ = Literal["vision_tower", "text_tower", "connector", "language_model"]


class TokenizerPlan(Strict):
    """A byte-level BPE learned from the texts of a dataset."""

    data: str
    samples: int = Field(20_000, gt=0)
    vocab_size: int = Field(2_048, gt=300)  # 256 bytes and the special tokens come first


class VisionPlan(VisionConfig):
    """A vision tower's numbers; with `weights` those of one that is trained already."""

    weights: str | None = None  # a folder or hub name of a CLIP or SigLIP

    @property
    def numbers(self) -> VisionConfig:
        return VisionConfig(**self.model_dump(exclude={"weights"}))


class LanguagePlan(LanguageConfig):
    """A language model's numbers; with `weights` those of one that is trained already, tokenizer included."""

    weights: str | None = None  # a folder or hub name

    @property
    def numbers(self) -> LanguageConfig:
        return LanguageConfig(**self.model_dump(exclude={"weights"}))


class Source(Strict):
    """One part of a mixture."""

    path: str
    images: str | None = None  # the folder or .tar that picture names are relative to
    weight: float = Field(1.0, gt=0)  # times that its rows come in an epoch: 2 twice, 0.5 half of them
    rows: int | None = Field(None, gt=0)  # how many there are, for plans where the file is not at hand
    words: int | None = Field(None, gt=0)  # text tokens of a row on average, likewise


class LoRA(Strict):
    """Low-rank deltas (Hu et al. 2021) in place of the linear layers' own training."""

    rank: int = Field(128, gt=0)
    alpha: float = Field(256, gt=0)
    dropout: float = Field(0.05, ge=0, lt=1)
    rank_stabilised: bool = False  # scale alpha / sqrt(rank) (Kalajdzievski 2023), not alpha / rank
    targets: tuple[Organ, ...] = Field(("language_model",), min_length=1)
    quantize: Literal["bnb-nf4", "bnb-int8"] | None = None  # how the targets are held: QLoRA

    @model_validator(mode="after")
    def _inside_llava(self) -> Self:
        if "text_tower" in self.targets:
            raise ValueError("targets: the text tower is no part of the LLaVA that an adapter is for")
        return self


class Stage(Strict):
    """One stretch of training: what is learned, from what, how long, how fast.

    `next_token` is LLaVA's objective (stage 1, stage 2, and plain text alike); `contrastive` is
    CLIP's. Organs not named in `trainable` are frozen.
    """

    name: str
    objective: Literal["next_token", "contrastive"] = "next_token"
    data: str | tuple[Source, ...]
    images: str | None = None  # the folder or .tar that picture names in `data` are relative to
    template: str | None = None  # default: the recipe's
    pad: bool | None = None  # whether pictures are padded to a square; default: as the model has it
    trainable: tuple[Organ, ...] = ()
    lora: LoRA | None = None
    steps: int | None = Field(None, gt=0)
    epochs: float | None = Field(None, gt=0)
    batch: int = Field(gt=0)
    optimiser: Literal["adamw", "muon"] = "adamw"
    lr: float = Field(gt=0)
    organ_lr: dict[Organ, float] = Field(default_factory=dict)  # where an organ's rate is another
    warmup: float = Field(0.03, ge=0, le=1)  # share of the steps; a cosine to zero follows
    weight_decay: float = Field(0.0, ge=0)
    betas: tuple[float, float] = (0.9, 0.999)
    clip_norm: float = Field(1.0, gt=0)
    # batches of conversations about equally long; "modality_length": those without pictures apart, too
    group_by: Literal["length", "modality_length"] | None = None
    max_length: int | None = Field(None, gt=0)  # tokens, the picture's included; default: the model's context
    cache_features: bool = False  # a frozen tower's features are computed once and kept on disk
    # Of the arithmetic; weights stay float32. On a CPU that has no bfloat16, that too is float32.
    precision: Literal["float32", "bfloat16"] = "bfloat16"

    @property
    def sources(self) -> tuple[Source, ...]:
        """Where its data comes from; a single name is a mixture of one."""
        return (Source(path=self.data, images=self.images),) if isinstance(self.data, str) else self.data

    @property
    def learning(self) -> tuple[Organ, ...]:
        """Organs that learn: as a whole, or through LoRA."""
        return (*self.trainable, *(self.lora.targets if self.lora else ()))

    @model_validator(mode="after")
    def _makes_sense(self) -> Self:
        if fault := self._fault():
            raise ValueError(f"stage {self.name!r}: {fault}")
        return self

    def _fault(self) -> str | None:
        if (self.steps is None) == (self.epochs is None):
            return "give either steps or epochs"
        if not self.learning:
            return "trainable names no organ, and there is no lora: nothing would learn"
        if not isinstance(self.data, str) and not self.data:
            return "data is an empty list"
        if not isinstance(self.data, str) and self.images is not None:
            return "images belongs into each part of data"
        if self.lora is not None and self.objective == "contrastive":
            return "LoRA is for next_token, not for the contrastive objective"
        if twice := set(self.trainable) & set(self.lora.targets if self.lora else ()):
            return f"lora.targets and trainable both name {min(twice)}: choose one"
        if still := set(self.organ_lr) - set(self.learning):
            return f"organ_lr names {min(still)}, which does not learn (learning: {', '.join(self.learning)})"
        if self.cache_features and ("vision_tower" in self.learning or self.objective == "contrastive"):
            return "cache_features needs a frozen vision tower: take vision_tower out, or the cache"
        return None


class Hardware(Strict):
    """How the run is laid on the machine: it changes how fast, not what is learned (but for rounding).

    A resumed run may change it.
    """

    pack: bool = (
        True  # conversations lie end to end, each seeing itself alone; else rows padded to the longest
    )
    micro_tokens: int | None = Field(
        None, gt=0
    )  # most tokens a device reads at once; None: a step's whole share
    checkpoint_activations: bool = False  # computed twice rather than kept
    compile: bool = False
    fused_optimiser: bool = True
    workers: int = Field(1, ge=0)  # processes that prepare batches, on each device; 0: none but the run's own
    shard: Literal["full", "hybrid"] = "full"  # with several processes: over all, or within each machine
    frozen: Literal["float32", "bfloat16"] = "float32"  # what organs that are not trained are held in
    save_every: int = Field(250, gt=0)  # steps
    keep: int = Field(2, gt=0)  # checkpoints


class Recipe(Strict):
    """The model and its stages. There are three ways to begin:

    - from an existing LLaVA: `init`. [vision] and [language] may state its numbers, which are then checked,
      and which a plan reads.
    - as the papers do, from a vision tower and a language model that are trained already, joined by a new
      connector: [vision] and [language] with `weights`
    - from scratch: [tokenizer], [image], [vision], [language]
    """

    name: str
    seed: int = 0
    template: str = "vicuna_v1"
    init: str | None = None
    tokenizer: TokenizerPlan | None = None
    image: ImageConfig | None = None
    vision: VisionPlan | None = None
    text_tower: TextTowerConfig | None = None
    projection_dim: int = 512
    language: LanguagePlan | None = None
    connector: str = "mlp2x_gelu"
    feature_layer: int | None = None  # of the tower's hidden states; default -2, as LLaVA
    image_markers: bool = False  # LLaVA v1's <im_start> and <im_end> around a picture, new tokens
    stages: tuple[Stage, ...] = Field(min_length=1)
    hardware: Hardware = Hardware()

    @property
    def composed(self) -> bool:
        """Whether it begins from a vision tower and a language model that are trained already."""
        return self.init is None and self.vision is not None and self.vision.weights is not None

    @property
    def from_scratch(self) -> bool:
        return self.init is None and not self.composed

    @model_validator(mode="after")
    def _complete(self) -> Self:
        names = [stage.name for stage in self.stages]
        if len(set(names)) < len(names):
            raise ValueError(f"stage names repeat: {', '.join(names)}")
        if fault := self._beginning() or self._later():
            raise ValueError(fault)
        return self

    def _beginning(self) -> str | None:
        """What is wrong with where the model comes from."""
        weights = {
            name: part.weights
            for name, part in (("vision", self.vision), ("language", self.language))
            if part is not None
        }
        given = [name for name, value in weights.items() if value is not None]
        own = {name: getattr(self, name) for name in ("tokenizer", "image", "vision", "language")}
        if self.init is not None:
            own["feature_layer"] = self.feature_layer
            extra = [n for n, value in own.items() if value is not None and n not in ("vision", "language")]
            extra += [f"{name}.weights" for name in given] + ["image_markers"] * self.image_markers
            if extra:
                return f"init brings its own model: remove {', '.join(extra)}"
            if len(weights) == 1:
                return "beside init, give [vision] and [language] both or neither"
            return None
        if len(given) == 1:
            return f"{given[0]}.weights needs the other: give vision.weights and language.weights both"
        if given and self.tokenizer is not None:
            return "language.weights brings its own tokenizer: remove [tokenizer]"
        if missing := [name for name, value in own.items() if value is None and not given]:
            return f"without init, a recipe needs the sections {', '.join(missing)}"
        if self.image_markers and not given:
            return "image_markers are for a model that begins with language.weights"
        return None

    def _later(self) -> str | None:
        """What is wrong between the stages and the model."""
        pairs = [s.name for s in self.stages if "text_tower" in s.learning or s.objective == "contrastive"]
        if pairs and self.text_tower is None:
            return f"stages {', '.join(pairs)} need a [text_tower] section"
        for stage in self.stages[:-1]:
            if stage.lora is not None and stage.lora.quantize is not None:
                return (
                    f"stage {stage.name!r}: lora.quantize is for the last stage: its base has lost precision"
                )
        context = None if self.language is None else self.language.context
        for stage in self.stages:
            if stage.max_length is not None and context is not None and stage.max_length > context:
                return (
                    f"stage {stage.name!r}: max_length {stage.max_length} is more than the language model's "
                    f"context, {context}"
                )
        return None

    def on(self, device: torch.device) -> Self:
        """With the precision that stages really have on a device; what is held in bfloat16 keeps it."""
        if multiplies_bf16(device) or self.hardware.frozen == "bfloat16":
            return self
        stages = tuple(stage.model_copy(update={"precision": "float32"}) for stage in self.stages)
        return self.model_copy(update={"stages": stages})

    @classmethod
    def load(cls, path: str | Path, overrides: dict[str, str] | None = None) -> Self:
        """Read a TOML file; `overrides` maps dotted paths (`stages.0.lr`) to TOML values."""
        path = Path(path)
        try:
            text = path.read_text(encoding="utf-8")
        except OSError as error:
            raise UsageError(f"recipe {path}: {error.strerror}. Recipes live in recipes/*.toml") from None
        return cls.parse_toml(text, f"recipe {path}", overrides)
