"""A file of instruction data looked over, row by row, before a run meets what is wrong with it.

Run as `llava data check FILE`. Some faults make a run leave a row out; others only deserve to be known.
"""

from array import array
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Literal, NamedTuple

import numpy as np
from PIL import Image

from llavakit.data.instruct import InstructData, unopened
from llavakit.data.rows import IMAGE, MalformedError, Row, RowError, parse_row, row_id
from llavakit.errors import MediaError, PromptError
from llavakit.media import open_image
from llavakit.prompt.encode import IGNORE, PromptEncoder


class Kind(NamedTuple):
    """A sort of fault: what it is called, and whether a run leaves such rows out."""

    title: str
    skipped: bool


KINDS = {
    "json": Kind("not readable", True),
    "format": Kind("not of the format", True),
    "order": Kind("turns out of order, or no answer", True),
    "empty": Kind("an empty human turn", True),
    "placeholders": Kind(f"pictures and {IMAGE} do not match", True),
    "missing": Kind("a picture that is not there", True),
    "corrupt": Kind("a picture that cannot be opened", True),
    "large": Kind("a picture too large to be opened", True),
    "prompt": Kind("the template cannot write it", True),
    "cut": Kind("a picture would be cut through", True),
    "silent": Kind("no token to learn from", True),
    "truncated": Kind("longer than the greatest length: its end is cut off", False),
    "answer": Kind("an empty answer", False),
    "surplus": Kind(f"one picture, more than one {IMAGE}: it is shown once", False),
    "letters": Kind(f"{IMAGE} that places nothing: the letters are read as they are", False),
    "opening": Kind("begins with an answer, which is dropped", False),
    "duplicate": Kind("an id that an earlier row has", False),
}
Look = Literal["open", "find", "trust"]
_EXAMPLES = 5  # of each kind
_SIDE = 336  # of the stand-in for a picture that was not opened; only a model with tiles minds
_TOGETHER = 256  # rows given to the threads at a time


class Fault(NamedTuple):
    """Something about a row, in words to be read after "row 12"."""

    kind: str
    reason: str


@dataclass
class Found:
    """How often a kind of fault was found, and where first."""

    count: int = 0
    examples: list[RowError] = field(default_factory=list)


@dataclass
class Report:
    """What is wrong with a file.

    Attributes:
        rows: how many there are
        skipped: how many of them a run would leave out
        found: of each kind that there is, in the order of `KINDS`
        lengths: tokens of each row that could be written, before any cut; empty without a model
        picture_tokens, supervised: of all rows together, after the cut
        opened: whether pictures were opened
    """

    rows: int
    opened: bool
    skipped: int = 0
    found: dict[str, Found] = field(default_factory=dict)
    lengths: array = field(default_factory=lambda: array("I"))  # type: ignore[type-arg]
    picture_tokens: int = 0
    supervised: int = 0

    def lengths_at(self, *shares: float) -> list[int]:
        """Lengths below which so large a share of the rows lies: 0.5 is the median."""
        return [int(n) for n in np.quantile(np.asarray(self.lengths), shares, method="lower")]


class Examined(NamedTuple):
    """A row looked over: its faults, and its tokens where it could be written."""

    faults: list[Fault]
    tokens: int = 0
    picture_tokens: int = 0
    supervised: int = 0


class Checker:
    """Looks rows over.

    Args:
        encoder: writes prompts as the model reads them; None: tokens are not counted
        max_length: tokens at which a conversation is cut; needs `encoder`
        pictures: "open" them, "find" them only, or "trust" that they are there
    """

    def __init__(
        self,
        data: InstructData,
        encoder: PromptEncoder | None,
        max_length: int | None,
        pictures: str = "open",
    ) -> None:
        self.data, self.encoder, self.max_length, self.pictures = data, encoder, max_length, pictures
        self._seen: dict[str, Fault | tuple[int, int]] = {}  # of pictures that many rows may show

    def examine(self, index: int, values: Any) -> Examined:
        """Everything that is to be said of a row, whose record is `values`, but whether its id is unique."""
        number = self.data.records.where(index)[1]
        try:
            if isinstance(values, MalformedError):
                raise values
            row = parse_row(values, number)
        except MalformedError as fault:
            return Examined([Fault(fault.kind, fault.reason)])
        faults = [*_remarks(row, values)]
        sizes = []
        for found in self._look(index, row):
            if isinstance(found, Fault):
                faults.append(found)
            else:
                sizes.append(found)
        if self.encoder is None or len(sizes) < len(row.images):
            return Examined(faults)
        return self._encode(self.encoder, row, sizes, faults)

    def _encode(
        self, encoder: PromptEncoder, row: Row, sizes: list[tuple[int, int]], faults: list[Fault]
    ) -> Examined:
        try:
            encoded = encoder.encode(row.with_pictures([_stand_in(size) for size in sizes]), reply=False)
        except PromptError as error:
            return Examined([*faults, Fault("prompt", f"cannot be written: {error}")])
        length = len(encoded.ids)
        most = self.max_length or length
        supervised = sum(label != IGNORE for label in encoded.labels[1:most])
        end = max((end for _, end in encoded.image_spans), default=0)
        if end > most:
            faults.append(Fault("cut", f"has a picture that ends at token {end}, and is cut at {most}"))
        elif not supervised:
            faults.append(Fault("silent", f"has no answer within {most} tokens"))
        elif length > most:
            lost = sum(label != IGNORE for label in encoded.labels[most:])
            faults.append(Fault("truncated", f"has {length} tokens; {lost} to be learned are cut off"))
        shown = sum(end - start for start, end in encoded.image_spans)
        return Examined(faults, length, shown, supervised)

    def _look(self, index: int, row: Row) -> Iterator[Fault | tuple[int, int]]:
        """The size (width, height) of each picture, or what is wrong with it."""
        if not row.images or self.pictures == "trust":
            yield from [(_SIDE, _SIDE)] * len(row.images)
            return
        try:
            encoded = self.data.records.embedded(index)
        except MalformedError as fault:
            yield Fault(fault.kind, fault.reason)
            return
        if encoded is not None:
            for name, picture in zip(row.images, encoded, strict=True):
                yield _opened(name, picture, self.pictures == "open")
            return
        for name in row.images:
            if name not in self._seen:
                self._seen[name] = self._find(name)
            yield self._seen[name]

    def _find(self, name: str) -> Fault | tuple[int, int]:
        place = self.data.place
        if name not in place:
            return Fault("missing", f"has a picture {name!r} that is not in {place.path}")
        if self.pictures != "open":
            return _SIDE, _SIDE
        try:
            return _opened(name, place.read(name), True)
        except MediaError as error:
            return _unopened(name, error)


def check(checker: Checker, on_rows: Callable[[int], None] = lambda rows: None) -> Report:
    """Look every row over, in several threads.

    Args:
        on_rows: told now and then how many more rows are done
    """
    data = checker.data
    report = Report(len(data), checker.pictures == "open")
    ids: dict[str, int] = {}
    with ThreadPoolExecutor() as pool:
        for start in range(0, len(data), _TOGETHER):
            indices = range(start, min(start + _TOGETHER, len(data)))
            records = [record(data, index) for index in indices]
            for index, values, examined in zip(
                indices, records, pool.map(checker.examine, indices, records), strict=True
            ):
                _add(report, data, index, values, examined, ids)
            on_rows(len(indices))
    report.found = {kind: report.found[kind] for kind in KINDS if kind in report.found}
    return report


def record(data: InstructData, index: int) -> Any:
    """What the file holds for a row; a `MalformedError` where that is not even JSON."""
    try:
        return data.records[index]
    except MalformedError as fault:
        return fault


def _add(
    report: Report, data: InstructData, index: int, values: Any, examined: Examined, ids: dict[str, int]
) -> None:
    faults = list(examined.faults)
    if own := row_id(values):
        earlier = ids.setdefault(own, index)
        if earlier != index:
            path, number = data.records.where(earlier)
            faults.append(Fault("duplicate", f"has the id of row {number} of {path.name}"))
    report.skipped += any(KINDS[fault.kind].skipped for fault in faults)
    for kind in {fault.kind for fault in faults}:
        found = report.found.setdefault(kind, Found())
        found.count += 1
        if len(found.examples) < _EXAMPLES:
            reason = next(fault.reason for fault in faults if fault.kind == kind)
            found.examples.append(data.fault(index, reason, kind, own))
    if examined.tokens:
        report.lengths.append(examined.tokens)
        report.picture_tokens += examined.picture_tokens
        report.supervised += examined.supervised


def _remarks(row: Row, values: Any) -> Iterator[Fault]:
    """What is odd about a row that can be used."""
    turns = values.get("conversations") or ()
    if turns and turns[0]["from"] == "gpt":
        yield Fault("opening", "begins with an answer, which is dropped")
    for place, (who, words) in enumerate(row.turns, start=1):
        if who == "gpt" and not words.strip():
            yield Fault("answer", f"has an empty answer in turn {place}: the model learns to say nothing")
    places = sum(words.count(IMAGE) for who, words in row.turns if who == "human")
    if row.images and places > len(row.images):
        yield Fault("surplus", f"has {places} {IMAGE} for one picture: the first counts")
    answers = sum(words.count(IMAGE) for who, words in row.turns if who == "gpt")
    if answers or (places and not row.images):
        where = "an answer" if answers else "a row without a picture"
        yield Fault("letters", f"has {IMAGE} in {where}: a picture may be missing there")


def _opened(name: str, picture: bytes, really: bool) -> Fault | tuple[int, int]:
    if not really:
        return _SIDE, _SIDE
    try:
        return open_image(picture).size
    except MediaError as error:
        return _unopened(name, error)


def _unopened(name: str, error: MediaError) -> Fault:
    return Fault(*unopened(name, error))


@lru_cache(maxsize=64)
def _stand_in(size: tuple[int, int]) -> Image.Image:
    """A picture of that size: a prompt is written from the sizes alone."""
    return Image.new("1", size)
