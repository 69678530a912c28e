"""Scenes put together by hand."""

from llavakit.tiny.world.scene import Thing


def thing(kind: str, colour: str | None, x: float = 0.5, y: float = 0.5) -> Thing:
    """A fifth of the picture wide and high, its centre there."""
    return Thing(kind, colour, (x - 0.1, y - 0.1, x + 0.1, y + 0.1))
