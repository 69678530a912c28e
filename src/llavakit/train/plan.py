"""What a recipe takes, before anything is loaded: parameters, memory, steps, operations, hours.

Everything is counted from the recipe's numbers, on modules without weights. Memory is an estimate whose
parts are named; hours rest on an assumed share of the GPU's peak (`MFU`). Rows come from the data where it
is at hand, else from the recipe.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import psutil
import torch
from rich.console import Group
from rich.table import Table
from rich.text import Text
from torch import nn

from llavakit.checkpoint import describe
from llavakit.checkpoint.compose import MARKERS, table_rows
from llavakit.checkpoint.locate import EMBEDDED
from llavakit.config import LlavaConfig, TextTowerConfig
from llavakit.errors import LlavaError, UsageError, nearest
from llavakit.model import Llava
from llavakit.model.encoder import EncoderLayer
from llavakit.model.language.decoder import DecoderLayer
from llavakit.model.shapes import shapes_only
from llavakit.train.batches import Examples
from llavakit.train.flops import GPUS, Work, gpu_named, peak_flops, step_flops
from llavakit.train.lora import layers_of
from llavakit.train.organs import OrganSize, Trainee
from llavakit.train.recipe import Hardware, Organ, Recipe, Source, Stage

# Share of the peak that is assumed. LLaVA-1.5's README gives hours on 8 A100s (7B: 3.5 and 10, 13B: 5.5 and
# 20): by this file's counting they come to 0.29 and 0.35 in stage 1, to 0.25 and 0.24 in stage 2.
MFU = 0.3
_CPU = torch.device("cpu")
_FULL = 0.95  # of a GPU's memory: the rest is the driver's and lost between blocks
_FIXED = 1e9  # bytes of kernels and libraries' workspaces
_WORDS = 128  # tokens of a row's text where nothing says how many
_TOKENS_PER_WORD = 4 / 3  # of English, for Llama's and GPT's vocabularies
_PICTURE_WORDS = 128  # that `Examples.size` counts a picture as
_SAMPLED = 200  # rows looked at to know how long they are

Look = Callable[[Source], Examples | None]  # the data of a source, None where it is not at hand


@dataclass(frozen=True)
class Memory:
    """Bytes on one device.

    Attributes:
        weights: learning ones in float32, frozen ones as `hardware.frozen` says, packed ones packed
        gradients: float32, of what learns
        optimiser: its moments, in float32
        gathered: what sharding brings together, or 16-bit copies that autocast makes
        activations: what the backward pass needs, of one micro-batch
        fixed: kernels and workspaces
    """

    weights: float
    gradients: float
    optimiser: float
    gathered: float
    activations: float
    fixed: float = _FIXED

    @property
    def total(self) -> float:
        return float(sum(getattr(self, part.name) for part in fields(self)))


@dataclass(frozen=True)
class StagePlan:
    """One stage.

    Attributes:
        rows: of an epoch; None: the stage has a number of steps, and nothing says
        tokens: read in the whole stage, pictures' included
        flops: of the whole stage
        remedy: which settings make it fit, where it does not
    """

    name: str
    organs: tuple[OrganSize, ...]
    rows: int | None
    steps: int
    tokens: float
    flops: float
    hours: float
    memory: Memory
    fits: bool
    remedy: str | None


@dataclass(frozen=True)
class Plan:
    """A recipe on some hardware.

    Attributes:
        parameters: of the whole model as it begins, by organ
        memory: bytes of one device
        peak: operations a second of one device
        mfu: assumed share of it
        assumptions: what was not known, and what it was taken for
    """

    recipe: str
    hardware: str
    devices: int
    memory: float
    peak: float
    mfu: float
    parameters: dict[str, int]
    stages: tuple[StagePlan, ...]
    assumptions: tuple[str, ...]

    @property
    def hours(self) -> float:
        return sum(stage.hours for stage in self.stages)

    @property
    def fits(self) -> bool:
        return all(stage.fits for stage in self.stages)

    def render(self) -> Group:
        """As tables, for a terminal."""
        model = Table("organ", title=f"{self.recipe}: parameters", title_justify="left")
        for title in ("all", *(f"learning in {stage.name}" for stage in self.stages)):
            model.add_column(title, justify="right")
        for organ, count in self.parameters.items():
            learning = [_learning(stage, organ) for stage in self.stages]
            model.add_row(organ, _count(count), *(_count(number) if number else "" for number in learning))
        total = [sum(size.learning for size in stage.organs) for stage in self.stages]
        model.add_row("together", _count(sum(self.parameters.values())), *map(_count, total))
        runs = Table("stage", title=f"on {self.devices} x {self.hardware}", title_justify="left")
        for title in ("rows", "steps", "tokens", "operations", "hours"):
            runs.add_column(title, justify="right")
        for stage in self.stages:
            rows = "" if stage.rows is None else f"{stage.rows:,}"
            amounts = (f"{stage.steps:,}", _count(stage.tokens), f"{stage.flops:.1e}", _hours(stage.hours))
            runs.add_row(stage.name, rows, *amounts)
        runs.add_row("together", "", "", "", "", _hours(self.hours))
        memory = Table("stage", title="memory of one device, GB", title_justify="left")
        names = [part.name for part in fields(Memory)]
        for title in (*names, "together", f"of {self.memory / 1e9:.0f}"):
            memory.add_column(title, justify="right")
        for stage in self.stages:
            parts = [_gb(getattr(stage.memory, name)) for name in names]
            memory.add_row(stage.name, *parts, _gb(stage.memory.total), "fits" if stage.fits else "too much")
        notes = [f"stage {s.name} does not fit: {s.remedy}" for s in self.stages if not s.fits]
        speed = f"{self.mfu:.0%} of {self.peak / 1e12:,.1f} TFLOP/s (--mfu)"
        notes += [f"hours: at {speed}, loading and saving not counted", *self.assumptions]
        return Group(model, runs, memory, *map(Text, notes))


def _learning(stage: StagePlan, organ: str) -> int:
    return next((size.learning for size in stage.organs if size.organ == organ), 0)


def _count(number: float) -> str:
    for size, unit in ((1e12, "T"), (1e9, "B"), (1e6, "M"), (1e3, "k")):
        if number >= size:
            return f"{number / size:.2f} {unit}"
    return f"{number:.0f}"


def _gb(number: float) -> str:
    return f"{number / 1e9:.1f}"


def _hours(number: float) -> str:
    return f"{number:.1f}" if number >= 1 else f"{number * 60:.0f} min"


def plan(
    recipe: Recipe, gpu: str | None = None, gpus: int = 1, look: Look = lambda source: None, mfu: float = MFU
) -> Plan:
    """What `recipe` takes on `gpus` devices of a kind. No weight is read and no network used.

    Args:
        gpu: a name of `flops.GPUS` (the end of one will do: "3090"), or "cpu"; None: what is here
        look: finds a source's data where it is at hand
        mfu: the share of the peak that is assumed

    Raises:
        UsageError: an unknown GPU; the recipe's numbers, or how many rows there are, are not known here.
    """
    name, memory, peak = _hardware(gpu, recipe)
    if name == "cpu":
        recipe = recipe.on(_CPU)
    config = numbers(recipe)
    text_tower = recipe.text_tower
    if text_tower is not None and recipe.tokenizer is not None:
        text_tower = text_tower.model_copy(update={"vocab_size": recipe.tokenizer.vocab_size})
    with shapes_only():
        trainee = Trainee(Llava(config), text_tower, recipe.projection_dim)
    assumptions: list[str] = []
    stages = []
    for stage in recipe.stages:
        data = _data(stage, config, look, assumptions)
        room = _Room(trainee, config, text_tower, recipe.hardware, gpus)
        steps = stage.steps or math.ceil(float(stage.epochs or 0) * (data.rows or 0) / stage.batch)
        need = room.memory(stage, data)
        fits = need.total <= _FULL * memory
        pictures = data.pictures * stage.batch
        cached = round(pictures) if stage.cache_features else 0
        work = Work(
            tokens=round(data.tokens * stage.batch),
            supervised=round(data.words * stage.batch),
            examples=stage.batch,
            views=round(pictures) - cached,
            cached=cached,
        )
        flops = steps * sum(step_flops(config, stage, work, text_tower).values())
        stages.append(
            StagePlan(
                name=stage.name,
                organs=tuple(room.sizes(stage)),
                rows=data.rows,
                steps=steps,
                tokens=data.tokens * stage.batch * steps,
                flops=flops,
                hours=flops / (peak * mfu * gpus) / 3600,
                memory=need,
                fits=fits,
                remedy=None if fits else room.remedy(stage, data, _FULL * memory),
            )
        )
    parameters: dict[str, int] = {size.organ: size.total for size in trainee.summary()}
    return Plan(
        recipe.name, name, gpus, memory, peak, mfu, parameters, tuple(stages),
        tuple(dict.fromkeys(assumptions)),
    )  # fmt: skip


def numbers(recipe: Recipe) -> LlavaConfig:
    """The model that a recipe begins with, in numbers.

    Where the tokenizer is not read, the new tokens are taken to need rows of their own, as Llama's do.

    Raises:
        UsageError: it begins from a model that is not here, and does not state its numbers.
    """
    if recipe.vision is None or recipe.language is None:
        init = str(recipe.init)
        if init != EMBEDDED and not Path(init).expanduser().exists():
            raise UsageError(
                f"recipe {recipe.name}: {init} is not on this machine, and a plan uses no network: state its "
                "numbers in the sections [vision] and [language]"
            )
        return describe(init).config
    rows = recipe.language.vocab_size
    if recipe.composed:
        rows = table_rows(rows, rows + 1 + len(MARKERS) * recipe.image_markers)
    elif recipe.tokenizer is not None:
        rows = recipe.tokenizer.vocab_size
    return LlavaConfig(
        vision=recipe.vision.numbers,
        language=recipe.language.numbers.model_copy(update={"vocab_size": rows}),
        connector=recipe.connector,
        feature_layer=-2 if recipe.feature_layer is None else recipe.feature_layer,
        image_token_id=rows - 1,
    )


def _hardware(wanted: str | None, recipe: Recipe) -> tuple[str, float, float]:
    """Name, bytes of memory and operations a second."""
    if wanted is None and torch.cuda.is_available():
        name = torch.cuda.get_device_name()
        known = gpu_named(name)
        if known is None:
            raise UsageError(f"{name} is not in the table of GPUs: name one like it with --gpu")
        return name, known.memory_gb * 1e9, known.bf16_flops
    if wanted is None or wanted.lower() == "cpu":
        peak = peak_flops(_CPU, recipe.on(_CPU).stages[-1].precision)
        assert peak is not None  # a processor is measured
        return "cpu", float(psutil.virtual_memory().total), peak
    names = {name.lower(): name for name in GPUS}
    said = wanted.lower()
    found = [said] if said in names else [name for name in names if said in name.split("-")]
    if len(found) > 1:
        raise UsageError(f"--gpu {wanted} may be {' or '.join(names[name] for name in found)}: say which")
    if not found:
        raise UsageError(f"unknown GPU {wanted!r} ({nearest(said, [*names, 'cpu'])})")
    gpu = GPUS[names[found[0]]]
    return names[found[0]], gpu.memory_gb * 1e9, gpu.bf16_flops


# Data


@dataclass(frozen=True)
class _Data:
    """What a stage reads, per row on average.

    Attributes:
        words: text tokens
        pictures: how many
        tokens: both, as far as `max_length` lets them
    """

    rows: int | None
    words: float
    pictures: float
    tokens: float


def _data(stage: Stage, config: LlavaConfig, look: Look, assumptions: list[str]) -> _Data:
    longest = min(stage.max_length or config.language.context, config.language.context)
    parts = [_part(source, look, assumptions) for source in stage.sources]
    rows = [part.rows for part in parts]
    if stage.steps is None and None in rows:
        path = stage.sources[rows.index(None)].path
        raise UsageError(
            f"stage {stage.name}: how many rows {path} has is not known, for the file is not here: "
            "state it, rows = …, in its [[stages.data]]"
        )
    shares = [(part.rows or 1) * source.weight for source, part in zip(stage.sources, parts, strict=True)]
    whole = sum(shares)
    words = sum(share * part.words for share, part in zip(shares, parts, strict=True)) / whole
    pictures = sum(share * part.pictures for share, part in zip(shares, parts, strict=True)) / whole
    known = None if None in rows else round(whole)
    if stage.objective == "contrastive":
        return _Data(known, words, 1.0, words)
    tokens = min(words + pictures * config.tokens_per_image, longest)
    return _Data(known, min(words, tokens), pictures, tokens)


@dataclass(frozen=True)
class _Part:
    """A source: rows, and per row on average text tokens and pictures."""

    rows: int | None
    words: float
    pictures: float


def _part(source: Source, look: Look, assumptions: list[str]) -> _Part:
    examples = look(source)
    rows = source.rows if examples is None else len(examples)
    size = getattr(examples, "size", None)
    if examples is not None and size is not None and len(examples):
        sampled = range(0, len(examples), max(1, len(examples) // _SAMPLED))
        sizes = []
        for index in sampled:
            try:
                sizes.append(size(index))
            except LlavaError:  # a row that training would leave out
                continue
        if sizes:
            pictures = sum(shown for shown, _ in sizes) / len(sizes)
            words = sum(length for _, length in sizes) / len(sizes) - _PICTURE_WORDS * pictures
            return _Part(rows, source.words or words * _TOKENS_PER_WORD, pictures)
    if source.words is None:
        assumptions.append(f"{source.path}: the text of a row is taken for {_WORDS} tokens (words = …)")
    why = "which is not here" if examples is None else "whose rows say no sizes"
    assumptions.append(f"{source.path}, {why}: every row is taken to have one picture")
    return _Part(rows, source.words or _WORDS, 1.0)


# Memory


@dataclass(frozen=True)
class _Room:
    """A trainee's need of memory; `trainee` has no weights."""

    trainee: Trainee
    config: LlavaConfig
    text_tower: TextTowerConfig | None
    hardware: Hardware
    devices: int

    def sizes(self, stage: Stage) -> list[OrganSize]:
        """Each organ's parameters with its LoRA, and how many learn."""
        found = []
        for organ in self.trainee.summary():
            factors = self._factors(stage, organ.organ)
            learning = organ.total if organ.organ in stage.trainable else factors
            found.append(OrganSize(organ.organ, organ.total + factors, learning))
        return found

    def _targets(self, stage: Stage, organ: Organ) -> list[nn.Linear]:
        if stage.lora is None or organ not in stage.lora.targets:
            return []
        only = stage.lora.model_copy(update={"targets": (organ,)})
        return [layer for _, layer in layers_of(self.trainee.llava, only)]

    def _factors(self, stage: Stage, organ: Organ) -> int:
        rank = stage.lora.rank if stage.lora else 0
        return sum(rank * (layer.in_features + layer.out_features) for layer in self._targets(stage, organ))

    def memory(self, stage: Stage, data: _Data) -> Memory:
        learning = sum(size.learning for size in self.sizes(stage))
        moments = 4 if stage.optimiser == "muon" else 8  # Muon has one, of float32
        parts = self.devices  # hybrid sharding is taken to be on one machine
        weights = whole = 0.0
        for size in self.sizes(stage):
            frozen = size.total - size.learning
            packed = sum(layer.weight.numel() for layer in self._targets(stage, size.organ))
            if stage.lora is None or stage.lora.quantize is None:
                packed = 0
            weights += 4 * size.learning + self._held * (frozen - packed)
            # Not cut: nothing can. Blocks of 64 weights share a scale of 8 bits, 256 of those one of 32.
            whole += packed * (0.5 + 1 / 64 + 4 / 64 / 256 if _is_nf4(stage) else 1.0)
        return Memory(
            weights=weights / parts + whole,
            gradients=4 * learning / parts,
            optimiser=moments * learning / parts,
            gathered=self._gathered(stage),
            activations=self._activations(stage, data),
        )

    @property
    def _held(self) -> int:
        return 2 if self.hardware.frozen == "bfloat16" else 4

    def _gathered(self, stage: Stage) -> float:
        """Layers made whole, one computing and one on its way, and what belongs to no layer; with one
        device, the 16-bit copies of float32 weights that the backward pass keeps."""
        layers = [_numel(m) for m in self.trainee.modules() if isinstance(m, EncoderLayer | DecoderLayer)]
        largest, all_layers = max(layers), sum(layers)
        if self.devices > 1:
            outside = _numel(self.trainee) - all_layers
            learns = "language_model" in stage.trainable
            return 2 * 2 * largest + outside * (4 + 4 * learns)
        in_float32 = "language_model" in stage.trainable or self._held == 4
        if not in_float32 or _is_packed(stage) or stage.precision == "float32":
            return 2.0 * largest * _is_packed(stage)
        if self.hardware.checkpoint_activations:
            return 2.0 * largest
        return 2.0 * sum(_numel(m) for m in self.trainee.modules() if isinstance(m, DecoderLayer))

    def _activations(self, stage: Stage, data: _Data) -> float:
        """Bytes that the backward pass needs of a micro-batch: see `_per_token`."""
        share = stage.batch / self.devices * data.tokens
        if stage.objective == "contrastive":
            return self._towers(stage, data, stage.batch / self.devices)
        tokens = max(min(self.hardware.micro_tokens or share, share), data.tokens)
        examples = tokens / data.tokens
        need = 0.0
        language = self.config.language
        if stage.learning:  # gradients pass through the language model on their way to any organ
            wide = 2 if self._held == 2 and "language_model" not in stage.trainable else 4
            each = _per_token(
                "language_model", stage, language.hidden_size, language.intermediate_size,
                language.num_key_value_heads * language.head_dim,
            )  # fmt: skip
            need += tokens * self._layers(language.num_hidden_layers, wide * language.hidden_size, each)
            # Logits in 16 and 32 bits, their softmax and its gradient.
            need += min(data.words * examples, 4096) * language.vocab_size * 14
        if "vision_tower" in stage.learning:
            need += self._tower("vision_tower", stage, data.pictures * examples)
        return need

    def _layers(self, layers: int, kept: float, each: float) -> float:
        """Bytes a token takes in so many layers."""
        return layers * kept + each if self.hardware.checkpoint_activations else layers * each

    def _tower(self, organ: Organ, stage: Stage, pictures: float) -> float:
        tower = self.config.vision
        each = _per_token(organ, stage, tower.hidden_size, tower.intermediate_size, tower.hidden_size)
        places = tower.num_patches + int(tower.kind == "clip")
        return pictures * places * self._layers(tower.num_hidden_layers, 4 * tower.hidden_size, each)

    def _towers(self, stage: Stage, data: _Data, examples: float) -> float:
        need = self._tower("vision_tower", stage, examples) if "vision_tower" in stage.learning else 0.0
        text = self.text_tower
        if text is not None and "text_tower" in stage.learning:
            each = _per_token("text_tower", stage, text.hidden_size, text.intermediate_size, text.hidden_size)
            need += examples * data.words * self._layers(text.num_hidden_layers, 4 * text.hidden_size, each)
        return need

    def remedy(self, stage: Stage, data: _Data, memory: float) -> str:
        """The first change that makes `stage` fit, and else all of them together."""
        tried: list[str] = []
        room: _Room = self
        for words, change in self._changes(data):
            room = _Room(self.trainee, self.config, self.text_tower,
                         room.hardware.model_copy(update=change), self.devices)  # fmt: skip
            tried.append(words)
            if (need := room.memory(stage, data).total) <= memory:
                return f"{', '.join(tried)} would take it to {need / 1e9:.1f} GB"
        for devices in (2**power for power in range(1, 8)):
            if devices <= self.devices:
                continue
            more = _Room(self.trainee, self.config, self.text_tower, room.hardware, devices)
            if (need := more.memory(stage, data).total) <= memory:
                also = f"{', '.join(tried)}, and " if tried else ""
                smaller = _smaller(stage)
                return f"{also}{devices} of these GPUs would take it to {need / 1e9:.1f} GB each{smaller}"
        return f"it is too large for these GPUs{_smaller(stage)}"

    def _changes(self, data: _Data) -> Sequence[tuple[str, dict[str, Any]]]:
        hardware = self.hardware
        changes: list[tuple[str, dict[str, Any]]] = []
        if hardware.frozen == "float32":
            changes.append(('hardware.frozen = "bfloat16"', {"frozen": "bfloat16"}))
        if not hardware.checkpoint_activations:
            change = {"checkpoint_activations": True}
            changes.append(("hardware.checkpoint_activations = true", change))
        least = 2 ** math.ceil(math.log2(max(2 * data.tokens, 1024)))
        if hardware.micro_tokens is None or hardware.micro_tokens > least:
            changes.append((f"hardware.micro_tokens = {least}", {"micro_tokens": least}))
        return changes


def _smaller(stage: Stage) -> str:
    if not {"language_model", "vision_tower"} & set(stage.learning):
        return ""
    if stage.lora is None:
        return "; or train a LoRA, [stages.lora]"
    return "" if stage.lora.quantize else '; or hold its base in 4 bits, lora.quantize = "bnb-nf4"'


def _is_packed(stage: Stage) -> bool:
    return stage.lora is not None and stage.lora.quantize is not None


def _is_nf4(stage: Stage) -> bool:
    return stage.lora is not None and stage.lora.quantize == "bnb-nf4"


def _per_token(organ: Organ, stage: Stage, hidden: int, intermediate: int, values: int) -> float:
    """Bytes that one token leaves in one layer for the backward pass.

    Counted with saved-tensor hooks on decoders of several widths under autocast, torch 2.13, the layers'
    own weights not: a layer that learns keeps its linear layers' inputs, one that gradients only pass does
    not, a LoRA's inputs are kept again in float32 and with their dropout. `values` is the width of the keys.
    In float32 everything that had 16 bits has 32.
    """
    if organ in stage.trainable:
        need = 30 * hidden + 4 * values + 8 * intermediate
    elif stage.lora is not None and organ in stage.lora.targets:
        need = 49 * hidden + 4 * values + 12 * intermediate
    else:
        need = 12 * hidden + 4 * values + 6 * intermediate
    return need * (1 if stage.precision == "bfloat16" else 1.5)


def _numel(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())
