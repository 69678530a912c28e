"""A whole recipe: build or load the model, run its stages, save what comes out."""

import gc
import hashlib
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path

import torch

import llavakit
from llavakit.checkpoint import open_source, save
from llavakit.checkpoint.folder import write_folder
from llavakit.config import LlavaConfig
from llavakit.data.contrast import Labels
from llavakit.errors import LlavaError, UsageError
from llavakit.prompt.templates import get_template
from llavakit.train.batches import Examples
from llavakit.train.distributed import World, join, shard
from llavakit.train.dress import dress, undress
from llavakit.train.faults import explained
from llavakit.train.features import Encoding, check_views
from llavakit.train.loop import Hook, StageRun
from llavakit.train.lora import base_of, check_libraries, save_adapter
from llavakit.train.recipe import Recipe, Source
from llavakit.train.start import OpenTexts, start
from llavakit.train.state import State
from llavakit.train.task import task_of

# How a stage's data (files, or names such as tiny/instruct) becomes a dataset.
OpenData = Callable[[tuple[Source, ...]], Examples]
OnStage = Callable[[StageRun], None]
OnEncoding = Callable[[Encoding], None]


def train(
    recipe: Recipe,
    out: Path,
    open_data: OpenData,
    open_texts: OpenTexts,
    *,
    device: torch.device | str = "cpu",
    hooks: Sequence[Hook] = (),
    on_stage: OnStage | None = None,
    on_encoding: OnEncoding = lambda _: None,
) -> Path:
    """Run every stage of `recipe`.

    Stopped or killed at any moment, the same call goes on from the last checkpoint. Under `torchrun`, all
    processes make it, and are one run; hooks are told in each of them, and `on_stage` before each stage.
    `on_encoding` hears how far features are that a stage asks to be cached.

    Returns:
        where the model is, `out/model`; the LoRA of a last stage that has one is beside it, in `out/adapter`

    Raises:
        UsageError: the recipe asks for what there is not.
        LlavaError: a stage could not be finished; `out` holds what there is.
    """
    with join(device) as world:
        run = _Run(recipe, out, open_data, open_texts, world, hooks, on_stage, on_encoding)
        run.stages()
        world.together(run.write if world.first else lambda: None)
    return out / "model"


class _Run:
    """A recipe in one of the processes that run it."""

    def __init__(
        self,
        recipe: Recipe,
        out: Path,
        open_data: OpenData,
        open_texts: OpenTexts,
        world: World,
        hooks: Sequence[Hook],
        on_stage: OnStage | None,
        on_encoding: OnEncoding,
    ) -> None:
        _check(recipe)
        self.recipe, self.out, self.world, self.hooks = recipe.on(world.device), out, world, hooks
        self.open_data, self.open_texts = open_data, open_texts
        self.on_stage, self.on_encoding = on_stage, on_encoding
        self.code = commit(Path(__file__).parents[3])  # now: it may be another when the run ends
        self.state = State(out, _fingerprints(recipe), world, recipe.hardware.keep)
        self._check_alone()
        try:
            out.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UsageError(f"--out {out} cannot be written: {error.strerror}") from None
        self.begin()
        _check_model(recipe, self.checkpoint.model.config)

    def begin(self) -> None:
        self.checkpoint, self.trainee = start(self.recipe, self.out, self.open_texts, self.world)

    @property
    def _first(self) -> int:
        """Which stage the run is in."""
        names = [stage.name for stage in self.recipe.stages]
        return names.index(self.state.position.stage) if self.state.position else 0

    def _check_alone(self) -> None:
        """No stage that is still to come needs a process for itself, where there are several."""
        for stage in self.recipe.stages[self._first :]:
            if stage.objective == "contrastive" and self.world.size > 1:
                raise UsageError(
                    f"stage {stage.name}: the contrastive objective compares a batch's pictures with each "
                    "other and runs in one process: start without torchrun until that stage is over"
                )

    def stages(self) -> None:
        """Run those that are not done yet; the model is then as the last of them left it."""
        first = self._first
        for index, stage in enumerate(self.recipe.stages[first:], start=first):
            last = index + 1 == len(self.recipe.stages)
            begun = self.state.begun(stage.name) is not None
            if last and not begun and self._needs_base():
                world = self.world
                world.together(self._write_base if world.first else lambda: None)
            with explained(stage, self.recipe.hardware, self.world):
                examples = self.open_data(stage.sources)
                asked = getattr(examples, "labels", {}) if stage.objective == "contrastive" else {}
                self._dress(index, asked)
                if begun:
                    self.state.load_model(self.trainee, alone=True)
                self._train(index, examples)
            if self.world.size > 1:
                # Shards cannot be joined again in their place: the stage's checkpoint has the weights.
                del self.checkpoint, self.trainee
                gc.collect()  # a sharded model holds itself
                self.begin()
                self._dress(index)
                self.state.load_model(self.trainee, alone=True)
            if not last:
                undress(self.trainee)

    def _dress(self, index: int, labels: Labels | None = None) -> None:
        stage, hardware = self.recipe.stages[index], self.recipe.hardware
        seed, device = self._seed(index), self.world.device
        dress(self.trainee, stage, hardware, labels or {}, seed=seed, device=device)

    def _train(self, index: int, examples: Examples) -> None:
        recipe, stage, world = self.recipe, self.recipe.stages[index], self.world
        found = self.state.begun(stage.name)
        first = found.step if found is not None else 0
        if first and found is not None and found.examples not in (0, len(examples)):
            raise LlavaError(
                f"stage {stage.name}: its data had {found.examples:,} examples when the run began and has "
                f"{len(examples):,} now, so that their order would be another: put the data back, or choose "
                "another --out"
            )
        task = task_of(
            stage, recipe, self.checkpoint, self.trainee, examples,
            seed=self._seed(index), first=first, world=world, on_encoding=self.on_encoding,
        )  # fmt: skip
        learned = self.trainee.learned(recipe.stages[: index + 1], whole=recipe.from_scratch)
        shard(self.trainee, world, recipe.hardware.shard, half=stage.precision == "bfloat16")
        self.trainee.to(world.device)
        run = StageRun(
            stage,
            self.trainee,
            task,
            seed=self._seed(index),
            world=world,
            hardware=recipe.hardware,
            state=self.state,
            learned=learned,
            out=self.out,
            hooks=self.hooks,
        )
        if self.on_stage is not None:
            self.on_stage(run)
        run.run()

    def _seed(self, index: int) -> int:
        return self.recipe.seed + 1000 * index

    def _needs_base(self) -> bool:
        """Whether the last stage trains a LoRA for a model that exists nowhere yet."""
        return self.recipe.stages[-1].lora is not None and base_of(self.recipe) is None

    def _write_base(self) -> None:
        self._say_where_from()
        save(self.checkpoint, self.out / "base", dtype=torch.bfloat16, clip=self.trainee.clip)

    def write(self) -> None:
        """The model, and the LoRA of the last stage."""
        self._say_where_from()
        model, clip = self.out / "model", self.trainee.clip
        if self.trainee.lora is None:
            save(self.checkpoint, model, dtype=torch.bfloat16, clip=clip)
            return
        adapter, base = self.out / "adapter", base_of(self.recipe) or self.out / "base"
        save_adapter(self.trainee, self.checkpoint, base, adapter)
        # From the files: a LoRA on rounded weights is merged into the base's own, and one at a time.
        write_folder(open_source(adapter, base=base), model, dtype=torch.bfloat16, clip=clip)

    def _say_where_from(self) -> None:
        self.checkpoint.provenance = {
            "recipe": self.recipe.model_dump(mode="json", exclude_none=True),
            "llavakit": llavakit.__version__,
            **self.code,
            "torch": torch.__version__,
            "device": f"{self.world.size} x {self.world.device.type}",
            "hours": round(self.state.seconds / 3600, 2),
        }


def commit(tree: Path) -> dict[str, str]:
    """The commit that a source tree is at, "-dirty" where it was changed since; nothing for other folders."""
    if not (tree / ".git").exists():
        return {}
    try:
        words = ("git", "-C", str(tree), "describe", "--always", "--dirty", "--abbrev=12", "--exclude=*")
        told = subprocess.run(words, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):  # there is no git, or it is somebody else's folder
        return {}
    return {"commit": told.stdout.strip()}


def _fingerprints(recipe: Recipe) -> dict[str, str]:
    """Of each stage: what everything up to its end follows from.

    What the run is laid on may change from one start to the next, so may stages that have not begun, and so
    may what a recipe can say.
    """
    prints = {}
    for index, stage in enumerate(recipe.stages):
        so_far = recipe.model_copy(update={"stages": recipe.stages[: index + 1]})
        told = so_far.model_dump_json(exclude={"hardware"}, exclude_defaults=True)
        prints[stage.name] = hashlib.sha256(told.encode()).hexdigest()
    return prints


def _check(recipe: Recipe) -> None:
    """What the stages do not say no to apart, but do together.

    Raises:
        UsageError: a stage cannot run so, or not with what is installed.
    """
    touched: set[str] = set()
    for stage in recipe.stages:
        get_template(stage.template or recipe.template)
        if stage.lora is not None:
            check_libraries(stage.lora)
        if stage.precision == "float32" and recipe.hardware.frozen == "bfloat16":
            raise UsageError(
                f'stage {stage.name}: precision "float32" and hardware.frozen "bfloat16" do not go together'
            )
        if stage.lora is not None and stage.lora.quantize and touched & set(stage.lora.targets):
            organ = min(touched & set(stage.lora.targets))
            raise UsageError(
                f"stage {stage.name}: lora.quantize packs {organ}, which an earlier stage trains: make the "
                "stage a recipe of its own, with init = that model"
            )
        touched |= set(stage.learning)


def _check_model(recipe: Recipe, config: LlavaConfig) -> None:
    """What the stages and the model do not go together in.

    Raises:
        UsageError: a stage cannot run so.
    """
    context = config.language.context
    for stage in recipe.stages:
        if stage.max_length is not None and stage.max_length > context:
            raise UsageError(
                f"stage {stage.name}: max_length {stage.max_length} is more than the language model's "
                f"context, {context}"
            )
        if stage.cache_features:
            check_views(config, f"stage {stage.name}: ")
