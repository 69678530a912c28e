"""`llava data make`, wired: source, teacher, checks and files."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from llavakit.cli.data.record import check_out, rejected_beside, replies_beside, write_record
from llavakit.cli.data.telling import show_batch, show_estimate, show_tally
from llavakit.cli.telling import progress_bar, say
from llavakit.errors import UsageError
from llavakit.files import read_text

if TYPE_CHECKING:
    from collections.abc import Callable

    from llavakit.synth.kept import Kept
    from llavakit.synth.make import Tally, Work
    from llavakit.synth.order import Order
    from llavakit.synth.prices import Price
    from llavakit.synth.scene import Scene, SceneError
    from llavakit.synth.task import Teacher

OFFLINE = "offline"


@dataclass(frozen=True)
class Asking:
    """Who writes, and how an API is asked. The fields are the options of those names."""

    teacher: str
    url: str
    replies: Path | None
    tries: int
    concurrency: int
    rpm: float | None
    tpm: float | None
    timeout: float
    budget: float | None
    price_given: str | None
    prices: Path | None

    @property
    def offline(self) -> bool:
        return self.teacher == OFFLINE

    def price(self) -> "Price | None":
        """
        Raises:
            UsageError: a price that is none, a table with a fault, or a budget without a price to keep it by.
        """
        from llavakit.synth.prices import Price, price_of

        if self.price_given is None:
            price = price_of(self.teacher, self.prices)
        else:
            read, _, written = self.price_given.partition(",")
            try:
                price = Price(input=float(read), output=float(written))
            except ValueError:
                raise UsageError(
                    f"--price {self.price_given}: US dollars for a million tokens in and out, as 2.5,10"
                ) from None
        if self.budget is not None and price is None:
            raise UsageError(
                f"what {self.teacher} costs is not known, so no budget can be kept: give --price IN,OUT "
                "(US dollars for a million tokens; 0,0 if it is your own), or a table with --prices"
            )
        return price


@dataclass(frozen=True)
class Making:
    """A run. The fields are the options of those names."""

    source: Path
    out: Path | None
    rejected: Path | None
    overwrite: bool
    types: str
    limit: int | None
    seed: int
    format: str
    captions: Path | None
    boxes: str
    categories: Path | None
    exhaustive: bool
    prompts: Path | None
    language: str
    asking: Asking
    ray: int
    ray_address: str | None
    as_json: bool

    def run(self, batches: Sequence[Path], *, ask: bool) -> None:
        """Make the rows.

        Args:
            batches: files of replies that are read first
            ask: whether an API is asked; else what is kept has to do
        """
        from llavakit.synth.make import Tally, make

        out = check_out(self.out, self._settings, self.overwrite)
        rejected = self.rejected or rejected_beside(out)
        told: dict[str, Any] = {}
        if not self.asking.offline:
            if batches:
                self._read_batches(batches)
            if ask:
                told = self._gather()
        tally = Tally()
        with progress_bar() as progress:
            bar = progress.add_task("scenes", total=self._count())
            tasks = self._order.tasks(
                partial(_count_scene, tally, lambda: progress.advance(bar)),
                lambda kind, why: tally.unasked.update([(kind, why)]),
            )
            make(tasks, self._work(), self.asking.teacher, out, rejected, tally)
        found = {"out": str(out), "rejected_to": str(rejected)} | tally.told() | told
        write_record(out, self._settings, found)
        show_tally(tally, found, self.as_json)

    def estimate(self) -> None:
        """Tell what asking will cost."""
        from llavakit.synth.estimate import Estimate, estimate

        asking = self.asking
        if asking.offline:
            raise UsageError("the offline teacher costs nothing: name an API's model, as --teacher gpt-4o")
        price = asking.price()
        with progress_bar() as progress, self._kept() as kept:
            bar = progress.add_task("scenes", total=self._count())
            tasks = self._order.tasks(lambda found: progress.advance(bar))
            reader = self._order.reader
            found: Estimate = estimate(
                tasks, asking.teacher, reader.kinds, kept, price, usable=reader.fault, tries=asking.tries
            )
        hours = found.hours(concurrency=asking.concurrency, rpm=asking.rpm, tpm=asking.tpm)
        show_estimate(asking.teacher, found, hours, self.as_json)

    def write_batches(self, folder: Path) -> None:
        """Write what would be asked as OpenAI's batch files."""
        from llavakit.synth.batch import write_batches

        if self.asking.offline:
            raise UsageError("the offline teacher needs no batch: name an API's model, as --teacher gpt-4o")
        reader = self._order.reader
        with progress_bar() as progress, self._kept() as kept:
            bar = progress.add_task("scenes", total=self._count())
            tasks = self._order.tasks(lambda found: progress.advance(bar))
            written = write_batches(
                tasks, self.asking.teacher, reader.kinds, kept, folder / "batch", usable=reader.fault,
                tries=self.asking.tries,
            )  # fmt: skip
        show_batch(written, self._replies, self.as_json)

    def forget_batches(self) -> None:
        """Ask again for what stands in a batch."""
        with self._kept() as kept:
            kept.claim()
            say(f"{kept.forget_batches():,} requests wait for no batch any longer")

    @cached_property
    def _order(self) -> "Order":
        from llavakit.synth.check import Checker
        from llavakit.synth.kinds import load_kinds
        from llavakit.synth.order import Order, Reader
        from llavakit.synth.plan import Plan
        from llavakit.synth.sources import open_source

        plan = Plan.parse(self.types)
        kinds = load_kinds(self.prompts)
        known = None if self.categories is None else _lines(self.categories)
        source = open_source(
            self.source, self.format, captions=self.captions, categories=known, boxes=self.boxes
        )
        reader = Reader(kinds, Checker(source.vocabulary(), language=self.language))
        return Order(source, plan, reader, seed=self.seed, limit=self.limit, exhaustive=self.exhaustive)

    @cached_property
    def _settings(self) -> dict[str, Any]:
        """What the rows follow from, beside the replies."""
        kinds = self._order.reader.kinds
        return {
            "source": str(self.source), "format": self.format, "types": self.types, "limit": self.limit,
            "captions": self.captions and str(self.captions),
            "categories": self.categories and str(self.categories),
            "seed": self.seed, "boxes": self.boxes, "exhaustive": self.exhaustive,
            "language": self.language, "teacher": self.asking.teacher,
            "prompts": {kind: kinds[kind].version for kind in self._order.plan.shares},
        }  # fmt: skip

    @cached_property
    def _replies(self) -> Path:
        """
        Raises:
            UsageError: it is not said where.
        """
        if self.asking.replies is not None:
            return self.asking.replies
        if self.out is None:
            raise UsageError("say where replies are kept: --out DATA.jsonl, or --replies FILE")
        return replies_beside(self.out)

    def _kept(self) -> "Kept":
        from llavakit.synth.kept import Kept

        return Kept(self._replies)

    def _count(self) -> int | None:
        count = self._order.source.count()
        return count if self.limit is None or count is None else min(count, self.limit)

    def _read_batches(self, batches: Sequence[Path]) -> None:
        from llavakit.synth.batch import read_batch

        with self._kept() as kept:
            for path in batches:
                read = read_batch(path, kept)
                failed = sum(read.failed.values())
                say(
                    f"{path}: {read.replies:,} replies, {read.before:,} known before, {failed:,} failed, "
                    f"{read.unknown:,} that were never asked for, {read.broken:,} broken lines"
                )
                for fault in read.faults:
                    say(fault)

    def _gather(self) -> dict[str, Any]:
        """Ask the API for what is not kept; returns what is to be told of it."""
        from llavakit.api import KEY, URL, Api
        from llavakit.synth.asked import ApiTeacher

        asking, reader = self.asking, self._order.reader
        price = asking.price()
        if asking.url == URL and not os.environ.get(KEY):
            raise UsageError(
                f"{asking.teacher} at {URL} wants a key: set {KEY} in the environment, or name another "
                "server with --teacher-url"
            )
        api = Api(
            asking.teacher, asking.url, who="teacher", concurrency=asking.concurrency,
            timeout=asking.timeout, rpm=asking.rpm, tpm=asking.tpm,
        )  # fmt: skip
        with progress_bar() as progress, self._kept() as kept:
            bar = progress.add_task(f"{asking.teacher} writes", total=None)
            teacher = ApiTeacher(
                api, reader.kinds, kept, usable=reader.fault, tries=asking.tries, budget=asking.budget,
                price=price, progress=lambda done: progress.update(bar, completed=done),
            )  # fmt: skip
            try:
                teacher.gather(self._order.tasks())
            except KeyboardInterrupt:
                say(f"replies are kept in {self._replies}: run again to go on, or --kept-only to stop here")
                raise
            spent = None if price is None else round(teacher.spent, 6)
        for reason, count in teacher.failed.most_common():
            say(f"{count:,} requests got no reply: {reason}; another run asks again")
        if teacher.stopped:
            say(teacher.stopped)
        if teacher.waiting:
            say(f"{teacher.waiting:,} requests stand in batches: --batch-in reads what became of them")
        return {
            "replies": teacher.replies, "asked_again": teacher.again, "failed": dict(teacher.failed),
            "waiting": teacher.waiting, "stopped": teacher.stopped, "prompt_tokens": api.prompt_tokens,
            "completion_tokens": api.completion_tokens, "usd_spent": spent, "replies_in": str(self._replies),
        }  # fmt: skip

    def _work(self) -> "Work":
        from llavakit.synth.make import one_by_one
        from llavakit.synth.offline import OfflineTeacher
        from llavakit.synth.recalled import Recalled

        asking, reader = self.asking, self._order.reader
        teacher: Callable[[], Teacher] = OfflineTeacher
        if not asking.offline:
            teacher = partial(
                Recalled, asking.teacher, reader.kinds, self._replies.absolute(), reader.fault, asking.tries
            )
        if not self.ray:
            return one_by_one(teacher(), reader.read)
        from llavakit.cli.data.cluster import OnRay

        return OnRay(teacher, reader, self.ray, address=self.ray_address)


def _count_scene(tally: "Tally", advance: "Callable[[], None]", found: "Scene | SceneError") -> None:
    from llavakit.synth.scene import SceneError

    advance()
    if isinstance(found, SceneError):
        tally.fault(found)
    else:
        tally.scenes += 1


def _lines(path: Path) -> list[str]:
    """
    Raises:
        UsageError: it cannot be read, or nothing is in it.
    """
    lines = [line.strip() for line in read_text(path).splitlines()]
    if not any(lines):
        raise UsageError(f"{path}: no category is in it; write one on each line")
    return list(dict.fromkeys(filter(None, lines)))
