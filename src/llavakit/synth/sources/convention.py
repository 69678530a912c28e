"""How a file's boxes are written, where nobody says so: told from many of them, or not at all."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from llavakit.errors import UsageError
from llavakit.synth.boxes import CONVENTIONS, BoxError, Convention, finite, keyed

_ROWS, _BOXES = 500, 2000  # that are looked at
_MANY = 20  # boxes, from which on chance does not make one convention look like another
_EDGE = 0.9  # of many pictures' things, some reach beyond this part of the width, and of the height


@dataclass(frozen=True)
class _Sample:
    order: str  # "" where its keys do not tell
    box: tuple[float, float, float, float]
    width: Any
    height: Any

    def fits(self, convention: Convention) -> tuple[float, float] | None:
        """How far right and down it reaches in that convention; None if it is no box there."""
        known = Convention(self.order or convention.order, convention.unit)
        try:
            return known.read(self.box, self.width, self.height)[2:]
        except BoxError:
            return None


def decide(path: Path, rows: Iterable[Any]) -> Convention:
    """The convention of the boxes in the first rows; those of rows that name their own do not count.

    Fractions x1, y1, x2, y2 are the rule, and stand unless the boxes speak against it. Anything else has to
    be the only one that explains nearly all of many boxes.

    Args:
        path: for messages

    Raises:
        UsageError: it cannot be known.
    """
    samples = _samples(rows)
    # No box is two pixels large, or two thousandths.
    fractions = [sample for sample in samples if max(map(abs, sample.box)) <= 2]
    if 2 * len(fractions) >= len(samples):
        return _of_fractions(path, [each for each in fractions if max(map(abs, each.box)) <= 1.01])
    found = [
        convention
        for order in ("xyxy", "xywh", "cxcywh")
        for unit in ("pixels", "1000")
        if _explains(convention := Convention(order, unit), samples)
    ]
    sized = all(sample.width is not None for sample in samples)
    if len(found) == 1 and len(samples) >= _MANY and sized:
        return found[0]
    why = f"several ways fit: {', '.join(map(str, found))}" if len(found) > 1 else "no way fits all of them"
    if not sized:
        why = "in pixels or in thousandths, for the rows do not tell width and height"
    elif len(samples) < _MANY:
        why = f"they are not fractions, and {len(samples)} are too few to tell"
    raise _unknown(path, why)


def _of_fractions(path: Path, samples: list[_Sample]) -> Convention:
    samples = [sample for sample in samples if not sample.order]
    count = len(samples)
    missed = {
        order: sum(sample.fits(Convention(order)) is None for sample in samples)
        for order in ("xyxy", "xywh", "cxcywh")
    }
    # A faulty box or two do not make a file another's. Of boxes written as x, y, width, height, a quarter
    # looks like corners; so few, in a small file, may be either.
    if missed["xyxy"] * (2 if count < _MANY else 4) <= count:
        return Convention()
    others = [order for order in missed if missed[order] * 10 <= count]
    if count >= _MANY and len(others) == 1:
        return Convention(others[0])
    fit = ", ".join(f"{count - missed[order]} fit {order}" for order in missed)
    raise _unknown(path, f"of {count} boxes {fit}")


def _explains(convention: Convention, samples: list[_Sample]) -> bool:
    """Nearly all, and things at the pictures' right and lower edges are where they should be."""
    reach = [far for sample in samples if (far := sample.fits(convention)) is not None]
    if (len(samples) - len(reach)) * 10 > len(samples):
        return False
    return max(x for x, _ in reach) >= _EDGE and max(y for _, y in reach) >= _EDGE


def _samples(rows: Iterable[Any]) -> list[_Sample]:
    found: list[_Sample] = []
    for number, row in enumerate(rows):
        if number == _ROWS or len(found) >= _BOXES:
            break
        if isinstance(row, dict) and "boxes" not in row:
            for held in (row.get("instances"), row.get("regions")):
                for thing in held if isinstance(held, list) else ():
                    if isinstance(thing, dict):
                        found += _sample(thing.get("bbox"), row.get("width"), row.get("height"))
    return found


def _sample(value: Any, width: Any, height: Any) -> list[_Sample]:
    order, value = keyed(value, "")
    if not isinstance(value, list) or len(value) != 4:
        return []
    if not all(type(each) in (int, float) and finite(each) for each in value):
        return []
    return [_Sample(order, (value[0], value[1], value[2], value[3]), width, height)]


def _unknown(path: Path, why: str) -> UsageError:
    return UsageError(
        f"{path}: how its boxes are written cannot be known ({why}): say --boxes with one of "
        f"{', '.join(CONVENTIONS)}"
    )
