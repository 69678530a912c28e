"""Where things are, as far as their boxes leave no doubt.

A box says where a thing is, not its outline, and boxes are drawn by hand: so every claim keeps a margin.
Distances are fractions of the picture's width and height, whose ratio is unknown.
"""

from collections.abc import Sequence

from llavakit.synth.scene import Box

_THIRD = 0.30  # a centre within an outer third, with 1/30 to spare, is on that side …
_HALF = 0.5  # … if the box does not reach over the middle
_MIDDLE = 0.07  # a centre so near to the picture's is in the middle, where the box is no larger than …
_SMALL = 0.6
_APART = 0.12  # between centres: less is hard to see
_OVERLAP = 0.1  # of the smaller box's width or height, that two may overlap and still be beside each other
_MOST = 0.6  # of the picture
_LARGER = 1.3  # times the area: less than this is hard to see
_NEARER = 1.5  # times the distance, in pictures of any shape between …
_SHAPES = (0.5**2, 2.0**2)  # … half as wide as high and twice as wide, squared
_BEFORE = 0.1  # by so much must one be nearer to an edge
_CUT = 0.47  # a box that ends here is left of the picture's middle line

PLACES = {
    "left": "on the left side of the picture",
    "right": "on the right side of the picture",
    "top": "at the top of the picture",
    "bottom": "at the bottom of the picture",
    "top left": "in the top left part of the picture",
    "top right": "in the top right part of the picture",
    "bottom left": "in the bottom left part of the picture",
    "bottom right": "in the bottom right part of the picture",
    "middle": "in the middle of the picture",
}
# The same, where it is plain of what.
SHORT = {
    place: words.replace(" side of", " of").replace(" part of", " of").removesuffix(" of the picture")
    for place, words in PLACES.items()
}
# What each relation's words are after "is"; and what it is the other way round.
RELATIONS = {"left": "to the left of", "right": "to the right of", "above": "above", "below": "below"}
OPPOSITE = {"left": "right", "right": "left", "above": "below", "below": "above"}


def hull(boxes: Sequence[Box]) -> Box:
    """The least box around all of them."""
    if len(boxes) == 1:
        return boxes[0]
    x1, y1, x2, y2 = zip(*boxes, strict=True)
    return min(x1), min(y1), max(x2), max(y2)


def area(box: Box) -> float:
    return (box[2] - box[0]) * (box[3] - box[1])


def place(box: Box) -> str:
    """A key of `PLACES`, or "" where no word for it is certain."""
    x1, y1, x2, y2 = box
    x, y = (x1 + x2) / 2, (y1 + y2) / 2
    across = "left" if x < _THIRD and x2 <= _HALF else "right" if 1 - x < _THIRD and x1 >= _HALF else ""
    down = "top" if y < _THIRD and y2 <= _HALF else "bottom" if 1 - y < _THIRD and y1 >= _HALF else ""
    if across or down:
        return f"{down} {across}".strip()
    middle = abs(x - 0.5) < _MIDDLE and abs(y - 0.5) < _MIDDLE and x2 - x1 < _SMALL and y2 - y1 < _SMALL
    return "middle" if middle else ""


def common(boxes: Sequence[Box]) -> str:
    """The place of all of them, as `place` says it of one."""
    words = place(boxes[0]).split() if boxes else []
    for box in boxes[1:]:
        if not words:
            break
        here = place(box).split()
        words = [word for word in words if word in here]
    return " ".join(words)


def fills(box: Box) -> bool:
    """Whether it takes up most of the picture."""
    return area(box) >= _MOST


def relation(a: Sequence[Box], b: Sequence[Box]) -> str:
    """How each of `a` lies to each of `b`, a key of `RELATIONS`; "" where one is not plainly so."""
    across, down = _between(hull(a), hull(b))
    if not across and not down:
        return ""
    if len(a) > 1 or len(b) > 1:
        each = [_between(one, other) for one in a for other in b]
        across, down = _alike([pair[0] for pair in each]), _alike([pair[1] for pair in each])
    if across and abs(across) >= abs(down):
        return "right" if across > 0 else "left"
    return "" if not down else "below" if down > 0 else "above"


def _alike(distances: Sequence[float]) -> float:
    """The least of them if all are in one direction, else 0."""
    return min(distances) if min(distances) > 0 else max(distances) if max(distances) < 0 else 0.0


def _between(a: Box, b: Box) -> tuple[float, float]:
    """By how much the middle of `a` lies to the right of that of `b`, and below it."""
    return _after(a[0], a[2], b[0], b[2]), _after(a[1], a[3], b[1], b[3])


def _after(a1: float, a2: float, b1: float, b2: float) -> float:
    """By how much the middle of a lies behind that of b; 0 where they are not apart."""
    between = (a1 + a2 - b1 - b2) / 2
    overlap = min(a2, b2) - max(a1, b1)
    apart = abs(between) >= _APART and overlap <= _OVERLAP * min(a2 - a1, b2 - b1)
    return between if apart else 0.0


def is_left(a: Box, b: Box) -> bool:
    """Whether `a` is plainly left of `b`, however high."""
    return _after(a[0], a[2], b[0], b[2]) < 0


def larger(a: float, b: float) -> bool:
    """Whether the area `a` is plainly the larger."""
    return a >= _LARGER * b


def edges(box: Box) -> dict[str, float]:
    """How far it is from each edge of the picture."""
    return {"left": box[0], "top": box[1], "right": 1 - box[2], "bottom": 1 - box[3]}


def before(distances: Sequence[float]) -> int | None:
    """Which of these distances from an edge is plainly the least; None where none is."""
    least = min(distances)
    place = distances.index(least)
    if all(i == place or each - least >= _BEFORE for i, each in enumerate(distances)):
        return place
    return None


def nearer(a: Box, b: Box, to: Box) -> bool:
    """Whether the middle of `a` is plainly nearer to that of `to` than b's, whatever the picture's shape."""
    x, y = (to[0] + to[2]) / 2, (to[1] + to[3]) / 2
    ax, ay = ((a[0] + a[2]) / 2 - x) ** 2, ((a[1] + a[3]) / 2 - y) ** 2
    bx, by = ((b[0] + b[2]) / 2 - x) ** 2, ((b[1] + b[3]) / 2 - y) ** 2
    # The squares of the distances are linear in the square of the shape: its ends suffice.
    return all(_NEARER**2 * (ax * shape + ay) <= bx * shape + by for shape in _SHAPES)


def half(box: Box) -> str:
    """In which half of the picture it wholly lies: "left" or "right", else "top" or "bottom", else ""."""
    x1, y1, x2, y2 = box
    across = "left" if x2 <= _CUT else "right" if x1 >= 1 - _CUT else ""
    return across or ("top" if y2 <= _CUT else "bottom" if y1 >= 1 - _CUT else "")
