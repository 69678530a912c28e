"""Boxes as files write them, made fractions of the picture and checked."""

from dataclasses import dataclass
from typing import Any

from llavakit.errors import UsageError, nearest
from llavakit.synth.scene import Box

# What four numbers are, in order; the first is the default. "yxyx" is Gemini's.
ORDERS = ("xyxy", "xywh", "cxcywh", "yxyx")
# Of what: fractions of the picture, pixels, thousandths of it (Qwen-VL's).
UNITS = ("", "pixels", "1000")
CONVENTIONS = tuple(f"{order}-{unit}" if unit else order for unit in UNITS for order in ORDERS)

# 1 %: pixel counts from 1, widths one too large, rounded fractions. It is cut off; what is further out is a
# fault.
MARGIN = 0.01

_NUMBERS = frozenset((int, float))  # not bool
_KEYS = (
    (("x1", "y1", "x2", "y2"), "xyxy"),
    (("xmin", "ymin", "xmax", "ymax"), "xyxy"),
    (("left", "top", "right", "bottom"), "xyxy"),
    (("x", "y", "w", "h"), "xywh"),
    (("x", "y", "width", "height"), "xywh"),
    (("left", "top", "width", "height"), "xywh"),
    (("cx", "cy", "w", "h"), "cxcywh"),
    (("cx", "cy", "width", "height"), "cxcywh"),
)


class BoxError(Exception):
    """What is wrong with a box, in words to be read after "a box [0.5, 0.5, 0.1, 0.1]"."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Convention:
    """How boxes are written.

    Attributes:
        order: one of `ORDERS`; of a box that is an object, its keys tell
        unit: one of `UNITS`
    """

    order: str = "xyxy"
    unit: str = ""

    def __str__(self) -> str:
        return f"{self.order}-{self.unit}" if self.unit else self.order

    def read(self, box: Any, width: Any = None, height: Any = None) -> Box:
        """The box in fractions of the picture.

        Args:
            box: four numbers, or an object as {"x", "y", "w", "h"}
            width, height: of the picture in pixels, where boxes are in pixels

        Raises:
            BoxError: it is none, or lies outside, is inverted or of no size.
        """
        order, box = keyed(box, self.order)
        try:
            a, b, c, d = box
        except (TypeError, ValueError):
            raise BoxError("that is not four numbers") from None
        if not (type(a) in _NUMBERS and type(b) in _NUMBERS and type(c) in _NUMBERS and type(d) in _NUMBERS):
            raise BoxError("that is not four numbers")
        if order == "yxyx":
            a, b, c, d = b, a, d, c
        try:
            if self.unit:
                across, down = _pixels(width, height) if self.unit == "pixels" else (1000, 1000)
                a, b, c, d = a / across, b / down, c / across, d / down
            if order == "xywh":
                c, d = a + c, b + d
            elif order == "cxcywh":
                a, b, c, d = a - c / 2, b - d / 2, a + c / 2, b + d / 2
        except OverflowError:
            raise BoxError("with a number too large") from None
        if 0 <= a < c <= 1 and 0 <= b < d <= 1:
            return float(a), float(b), float(c), float(d)
        return self._clipped(a, b, c, d)

    def _clipped(self, *box: float) -> Box:
        if not all(map(finite, box)):
            raise BoxError("with something that is not a number")
        corners = [("x1", "x2", box[0], box[2], "width"), ("y1", "y2", box[1], box[3], "height")]
        for first, last, start, end, size in corners:
            if start == end:
                raise BoxError(f"of no size: as {self}, its {size} is 0")
            if start > end:
                raise BoxError(
                    f"that is inverted: as {self}, its {first} is {start:.4g} and its {last} {end:.4g}"
                )
        for first, last, start, end, size in corners:
            for name, value in ((first, start), (last, end)):
                if not -MARGIN <= value <= 1 + MARGIN:
                    where = f"its {name} is at {value:.4g} of the {size}"
                    raise BoxError(f"that lies outside the picture: as {self}, {where}")
        x1, y1, x2, y2 = (min(max(float(value), 0.0), 1.0) for value in box)
        if x1 == x2 or y1 == y2:
            raise BoxError(f"that lies outside the picture, at its edge, as {self}")
        return x1, y1, x2, y2


def finite(value: float) -> bool:
    """Not `math.isfinite`, which fails of whole numbers that are too large to be made floats."""
    return -1e300 < value < 1e300


def convention(name: str) -> Convention:
    """
    Raises:
        UsageError: there is none of this name.
    """
    if name not in CONVENTIONS:
        raise UsageError(f"--boxes {name}: boxes are not written so; {nearest(name, CONVENTIONS)}")
    order, _, unit = name.partition("-")
    return Convention(order, unit)


def keyed(box: Any, order: str) -> tuple[str, Any]:
    """The order and the four values of a box that may be an object; one of strange keys is left as it is."""
    if type(box) is dict:
        for keys, told in _KEYS:
            if all(key in box for key in keys):
                return told, [box[key] for key in keys]
    return order, box


def _pixels(width: Any, height: Any) -> tuple[float, float]:
    if type(width) in _NUMBERS and type(height) in _NUMBERS and 0 < width < 1e9 and 0 < height < 1e9:
        return width, height
    raise BoxError("in pixels, and the picture's width and height are not told")
