"""A scene as a person writes it: a line a thing. For scenes that are composed by hand."""

from typing import get_args

from pydantic import BaseModel, ConfigDict

from llavakit.errors import UsageError, nearest
from llavakit.tiny.world.draw import proportions
from llavakit.tiny.world.scene import RGB, Backdrop, Bay, Chart, Clock, Pattern, Scene, Theme, Thing, Writing
from llavakit.tiny.world.things import COLOURS, KINDS


class Sketch(BaseModel):
    """What is in the picture, and where.

    Attributes:
        things: each as "kind [paint] x y size [flip]": where its centre is, as fractions of the picture's
            width and height, and how long its longer side is, as a fraction of the picture's shorter side
        backdrop: a tone as "#rrggbb", or a pattern with its tones: "checks #ffffff #e0e0e0"
    """

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid")

    things: tuple[str, ...] = ()
    backdrop: str = "#fafafa"
    writings: tuple[Writing, ...] = ()
    clocks: tuple[Clock, ...] = ()
    charts: tuple[Chart, ...] = ()
    bays: tuple[Bay, ...] = ()
    theme: Theme | None = None
    night: bool | None = None
    odd: int | None = None
    aspect: float = 1.0
    style: str = "noto"
    seed: int = 0

    def scene(self) -> Scene:
        return Scene(
            things=tuple(_thing(line, self.aspect, self.style) for line in self.things),
            backdrop=_backdrop(self.backdrop),
            writings=self.writings,
            clocks=self.clocks,
            charts=self.charts,
            bays=self.bays,
            theme=self.theme,
            night=self.night,
            odd=self.odd,
            aspect=self.aspect,
            seed=self.seed,
        )


def _thing(line: str, aspect: float, style: str) -> Thing:
    words = line.split()
    flip = words[-1] == "flip"
    words = words[:-1] if flip else words
    try:
        x, y, size = map(float, words[1:][-3:])
    except ValueError:
        raise UsageError(f"{line!r} should be: kind [paint] x y size [flip]") from None
    kind, colour = " ".join(words[:-3]), None
    if words[-4] in COLOURS:
        kind, _, colour = kind.rpartition(" ")
    if kind not in KINDS or not (colour is None or (colour in COLOURS and KINDS[kind].tintable)):
        raise UsageError(f"{line!r}: the drawn world has no such thing; {nearest(kind, KINDS)}")
    width, height = proportions(kind, style=style)
    # Sizes are shares of the shorter side, boxes fractions of each side.
    half_width, half_height = size * width * min(1, 1 / aspect) / 2, size * height * min(1, aspect) / 2
    return Thing(
        kind, colour, (x - half_width, y - half_height, x + half_width, y + half_height), style, flip=flip
    )


_PATTERNS: dict[str, Pattern] = {name: name for name in get_args(Pattern)}


def _backdrop(words: str) -> Backdrop:
    *pattern, first, second = words.split() if " " in words else (words, words)
    name = pattern[0] if pattern else "plain"
    if name not in _PATTERNS:
        raise UsageError(f"there is no pattern {name!r}; {nearest(name, _PATTERNS)}")
    return Backdrop(_PATTERNS[name], (_tone(first), _tone(second)))


def _tone(hexadecimal: str) -> RGB:
    try:
        red, green, blue = bytes.fromhex(hexadecimal.removeprefix("#"))
    except ValueError:
        raise UsageError(f"{hexadecimal!r} should be a tone as #rrggbb") from None
    return red, green, blue
