"""Draws the sample pictures: `python examples/draw.py`. None of them is in the embedded model's training.

Needs the emoji font (Debian: fonts-noto-color-emoji).
"""

from pathlib import Path

from llavakit.tiny.world.render import render
from llavakit.tiny.world.sketch import Sketch

SIZE = 448  # pixels of the longer side; the model looks at 224

SKETCHES = {
    "toys": Sketch(
        backdrop="#f4f0e4",
        things=(
            "car 0.2 0.2 0.28", "star yellow 0.8 0.18 0.22", "car blue 0.5 0.5 0.28", "cat 0.2 0.82 0.24",
            "car green 0.8 0.8 0.28",
        ),
    ),
    "table": Sketch(
        backdrop="stripes #e2eef4 #d6e5ee",
        things=(
            "banana 0.18 0.18 0.26", "strawberry 0.8 0.2 0.22", "pizza 0.5 0.5 0.3",
            "strawberry 0.2 0.8 0.22", "teapot blue 0.8 0.8 0.26",
        ),
    ),
    "zoo": Sketch(
        backdrop="#d6ecce",
        things=(
            "elephant 0.2 0.2 0.3", "penguin 0.8 0.2 0.24", "elephant 0.5 0.52 0.3",
            "balloon red 0.2 0.8 0.26", "giraffe 0.8 0.8 0.32",
        ),
    ),
    "shapes": Sketch(
        things=(
            "circle red 0.18 0.2 0.22", "triangle green 0.5 0.2 0.24", "circle blue 0.82 0.5 0.22",
            "square purple 0.2 0.8 0.22",
        ),
    ),
}  # fmt: skip

if __name__ == "__main__":
    for name, sketch in SKETCHES.items():
        render(sketch.scene(), SIZE).save(Path(__file__).with_name(f"{name}.png"), optimize=True)
