"""The run: every contender a process of its own that keeps its model, asked in turn, round after round.

What the machine does besides then falls on all of them alike. A contender that is not installed is named
and left out; one that dies is reported with its last words, and the others go on.
"""

import importlib.util
import platform
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from llavakit.bench import rows as figures
from llavakit.bench.job import Job, Plan
from llavakit.bench.process import DeadWorkerError, Worker
from llavakit.bench.shapes import kept_gguf, kept_model, shape
from llavakit.bench.work import gguf_read_bytes, prefill_operations, tower_operations
from llavakit.checkpoint import describe, locate
from llavakit.config import LlavaConfig
from llavakit.errors import LlavaError, UsageError, nearest

OURS = "ours"
_WORKERS = "llavakit.bench.workers"
_PACKAGES = ("torch", "transformers", "openvino", "llama-cpp-python", "numpy")
_TIMED = ("vision", "prefill", "answer", "turn", "fresh")


@dataclass(frozen=True)
class Peer:
    """Who we are measured beside: the worker's module, what it imports, and how that is installed."""

    module: str
    needs: tuple[str, ...]
    install: str


PEERS = {
    "transformers": Peer(f"{_WORKERS}.transformers_peer", ("transformers",), "pip install transformers"),
    "llamacpp": Peer(
        f"{_WORKERS}.llamacpp_peer", ("llama_cpp", "gguf"), "pip install llama-cpp-python 'llavakit[gguf]'"
    ),
}


@dataclass(frozen=True)
class Settings:
    """What is measured.

    Attributes:
        shapes, layers: of the random model; layers None: as many as the shape's own choice
        model: a folder or name of a model to take instead
        quantize, backend, dtype: of ours, as `LLaVA.from_pretrained` has them; backend None: not given
    """

    peers: tuple[str, ...] = tuple(PEERS)
    shapes: str = "7b"
    layers: int | None = None
    model: str | None = None
    quantize: str | None = None
    backend: str | None = None
    dtype: str = "auto"
    rounds: int = 3
    plan: Plan = field(default_factory=Plan)


@dataclass
class Contender:
    """One that is in the run.

    Attributes:
        load: what loading it gave
        rounds: what each of its rounds gave, by measure
        failed: why it is out of the run, or what it could not do
    """

    name: str
    worker: Worker | None = None
    load: dict[str, Any] = field(default_factory=dict)
    rounds: list[dict[str, dict[str, Any]]] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)


Tell = Callable[[str], None]


def run(settings: Settings, tell: Tell = lambda doing: None) -> dict[str, Any]:
    """Measure; the result is what `--json` writes.

    Args:
        tell: told what is being done

    Raises:
        UsageError: unknown peers or shapes; ours was asked for something that does not exist.
        DeadWorkerError: the machine itself could not be measured.
    """
    for name in settings.peers:
        if name not in PEERS:
            raise UsageError(f"unknown peer {name!r} ({nearest(name, PEERS)})")
    given = shape(settings.shapes)
    missing = {name: PEERS[name].install for name in settings.peers if not _installed(PEERS[name])}
    if settings.model is None:
        layers = settings.layers or given.layers
        tell(f"writing a random LLaVA of {settings.shapes} shapes with {layers} language layers")
        folder = kept_model(settings.shapes, layers)
    else:
        folder = locate(settings.model)
        if not folder.is_dir():
            raise UsageError(f"{folder} is a file: give the folder that it was made from")
    config = describe(folder).config
    if config.tiling is not None:
        raise UsageError(f"{folder} sees a picture as several tiles: only models of one view are measured")
    with ExitStack() as stack:
        measured = _Run(settings, folder, config, stack, tell)
        machine = measured.open_machine()
        measured.open(OURS, f"{_WORKERS}.ours")
        for name in settings.peers:
            if name not in missing:
                measured.open(name, PEERS[name].module)
        measured.rounds()
        return _result(settings, measured, config, machine, missing)


class _Run:
    def __init__(
        self, settings: Settings, folder: Path, config: LlavaConfig, stack: ExitStack, tell: Tell
    ) -> None:
        self.settings, self.folder, self.config, self.tell = settings, folder, config, tell
        self._stack = stack
        self.contenders: list[Contender] = []
        self.ceilings: list[dict[str, Any]] = []
        self.threads = 1

    def open_machine(self) -> dict[str, Any]:
        self._machine = self._stack.enter_context(Worker("the machine", f"{_WORKERS}.ceilings"))
        found = self._machine.ask("load")
        self.threads = found["threads"]
        return found

    def open(self, name: str, module: str) -> None:
        """Start a contender and let it load its model. Only what the user said wrong is raised."""
        contender = Contender(name)
        self.contenders.append(contender)
        try:
            job = self._job(name)
            self.tell(f"{name}: loading")
            contender.worker = self._stack.enter_context(Worker(name, module))
            contender.load = contender.worker.ask("load", job=job.as_json())
        except LlavaError as error:
            if isinstance(error, UsageError) and name == OURS:
                raise
            self._is_out(contender, str(error))
            return
        if job.gguf:
            contender.load["read_bytes"] = gguf_read_bytes(Path(job.gguf["model"]))

    def _job(self, name: str) -> Job:
        settings, gguf = self.settings, {}
        if name == "llamacpp":
            self.tell("writing the same model as GGUF")
            gguf = kept_gguf(self.folder)
        return Job(
            folder=str(self.folder),
            threads=self.threads,
            image_size=self.config.vision.image_size,
            image_tokens=self.config.tokens_per_image,
            vocabulary=self.config.language.vocab_size,
            image_token_id=self.config.image_token_id,
            plan=settings.plan,
            gguf=gguf,
            quantize=settings.quantize,
            backend=settings.backend,
            dtype=settings.dtype,
        )

    def rounds(self) -> None:
        """The first round warms up and does not count."""
        tasks: list[tuple[str, str, dict[str, int]]] = [(name, name, {}) for name in _TIMED]
        tasks += [(f"batch{rows}", "batch", {"rows": rows}) for rows in self.settings.plan.rows]
        for number in range(self.settings.rounds + 1):
            if number:
                self.tell(f"round {number} of {self.settings.rounds}: the machine")
                self.ceilings.append(self._machine.ask("measure"))
            for contender in self.contenders:
                contender.rounds.append({})
            for step, (measure, do, arguments) in enumerate(tasks):
                shift = (number + step) % len(self.contenders)  # nobody is always first
                for contender in self.contenders[shift:] + self.contenders[:shift]:
                    self.tell(f"round {number} of {self.settings.rounds}: {contender.name}, {measure}")
                    self._measure(contender, measure, do, {"seed": number, **arguments})
        for contender in self.contenders:
            self._measure(contender, "memory", "memory", {})
            del contender.rounds[0]

    def _measure(self, contender: Contender, measure: str, do: str, arguments: dict[str, int]) -> None:
        if contender.worker is None:
            return
        try:
            contender.rounds[-1][measure] = contender.worker.ask(do, **arguments)
        except DeadWorkerError as error:
            self._is_out(contender, str(error))
        except LlavaError as error:
            said = f"{contender.name} could not do {measure!r}: {error}"
            if said not in contender.failed:
                contender.failed.append(said)

    def _is_out(self, contender: Contender, why: str) -> None:
        contender.failed.append(why)
        if contender.worker is not None:
            contender.worker.close()
            contender.worker = None


def _installed(peer: Peer) -> bool:
    return all(importlib.util.find_spec(name) is not None for name in peer.needs)


def _result(
    settings: Settings,
    measured: _Run,
    config: LlavaConfig,
    machine: dict[str, Any],
    missing: dict[str, str],
) -> dict[str, Any]:
    values, plan, contenders = (
        asdict(settings),
        settings.plan,
        {each.name: each for each in measured.contenders},
    )
    ceiling = figures.ceilings(measured.ceilings)
    rounds = {name: [{**each, "load": c.load} if c.load else each for each in c.rounds]
              for name, c in contenders.items()}  # fmt: skip
    loads = {name: contender.load for name, contender in contenders.items()}
    read = {each["prefill"]["tokens"] for found in rounds.values() for each in found if "prefill" in each}
    operations = {
        "vision": {0: tower_operations(config)},
        "prefill": {tokens: prefill_operations(config, tokens) for tokens in read},
    }
    rows = figures.rows(config.tokens_per_image, plan.words, plan.answer, plan.turn, plan.rows)
    lines = [figures.line(row, rounds, loads, ceiling, operations) for row in rows]
    return {
        "when": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": machine,
        "versions": {"llavakit": version("llavakit"), "python": platform.python_version(), **_versions()},
        "settings": {
            "model": str(settings.model or settings.shapes),
            "language_layers": config.language.num_hidden_layers,
            "folder": str(measured.folder),
            "threads": measured.threads,
            **{name: values[name] for name in ("rounds", "plan", "quantize", "backend", "dtype")},
        },
        "ceilings": {"read": ceiling.read, "products": dict(ceiling.products), "rounds": measured.ceilings},
        "operations": operations,
        "contenders": {
            name: {"load": contender.load, "rounds": contender.rounds, "failed": contender.failed}
            for name, contender in contenders.items()
        },
        "missing": missing,
        "rows": [line.as_json() for line in lines],
    }


def _versions() -> dict[str, str]:
    found = {}
    for name in _PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def failures(result: dict[str, Any]) -> Sequence[str]:
    """What went wrong with contenders, in sentences."""
    return [why for contender in result["contenders"].values() for why in contender["failed"]]
