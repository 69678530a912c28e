"""Draws the sample pictures: `python examples/draw.py`.

Needs the emoji font (Debian: fonts-noto-color-emoji).
"""

from pathlib import Path

from llavakit.tiny.draw import proportions
from llavakit.tiny.world import Background, Scene, Thing, render

SIZE = 448  # pixels; the model sees 128


def put(kind: str, colour: str | None, x: float, y: float, size: float = 0.26, turn: int = 0) -> Thing:
    """A thing centred at (x, y), its longer side `size` of the picture."""
    width, height = proportions(kind, turn)
    half_w, half_h = (size * side / max(width, height) / 2 for side in (width, height))
    return Thing(kind, colour, (x - half_w, y - half_h, x + half_w, y + half_h), turn, False)


def plain(red: int, green: int, blue: int) -> Background:
    return Background("plain", ((red, green, blue), (red, green, blue)))


SCENES = {
    "toys": Scene(
        (
            put("car", "red", 0.2, 0.2, 0.28),
            put("star", "yellow", 0.8, 0.18, 0.22, 10),
            put("car", "blue", 0.5, 0.5, 0.28, 5),
            put("cat", None, 0.2, 0.82, 0.24),
            put("car", "green", 0.8, 0.8, 0.28),
        ),
        plain(244, 240, 228),
        1,
    ),
    "table": Scene(
        (
            put("banana", None, 0.18, 0.18),
            put("strawberry", None, 0.8, 0.2, 0.22),
            put("pizza", None, 0.5, 0.5, 0.3),
            put("strawberry", None, 0.2, 0.8, 0.22),
            put("teapot", "blue", 0.8, 0.8, 0.26),
        ),
        Background("stripes", ((226, 238, 244), (214, 229, 238)), 0.6, 10),
        2,
    ),
    "zoo": Scene(
        (
            put("elephant", None, 0.2, 0.2, 0.3),
            put("penguin", None, 0.8, 0.2, 0.24),
            put("elephant", None, 0.5, 0.52, 0.3),
            put("balloon", "red", 0.2, 0.8, 0.26),
            put("giraffe", None, 0.8, 0.8, 0.32),
        ),
        plain(214, 236, 206),
        3,
    ),
    "shapes": Scene(
        (
            put("circle", "red", 0.18, 0.2, 0.22),
            put("triangle", "green", 0.5, 0.2, 0.24),
            put("circle", "blue", 0.82, 0.5, 0.22),
            put("square", "purple", 0.2, 0.8, 0.22),
        ),
        plain(250, 250, 250),
        4,
    ),
}

if __name__ == "__main__":
    for name, scene in SCENES.items():
        render(scene, SIZE).save(Path(__file__).with_name(f"{name}.png"), optimize=True)
