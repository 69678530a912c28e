"""The sample pictures and their conversations, `examples/pictures.toml`."""

import runpy
from pathlib import Path

import pytest
from PIL import Image

from llavakit import LLaVA
from llavakit.tiny.exam.newcomers import load
from llavakit.tiny.world.styles import font_path

EXAMPLES = Path(__file__).parents[3] / "examples"
# Sketches measure the font's drawings.
pytestmark = pytest.mark.skipif(not font_path().exists(), reason="fonts-noto-color-emoji is not installed")


@pytest.fixture(scope="module")
def drawn() -> dict[str, list[Path]]:
    """The pictures of each conversation."""
    script = runpy.run_path(str(EXAMPLES / "draw.py"))
    return {sitting.name: script["files"](sitting) for sitting in load(EXAMPLES / "pictures.toml")}


def test_every_conversation_has_its_pictures_and_every_picture_its_conversation(
    drawn: dict[str, list[Path]],
) -> None:
    assert sorted(path for paths in drawn.values() for path in paths) == sorted(EXAMPLES.glob("*.png"))
    assert all(max(Image.open(path).size) == 448 for paths in drawn.values() for path in paths)


def test_the_embedded_model_answers_most_of_their_questions_rightly(
    drawn: dict[str, list[Path]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(EXAMPLES)
    script = runpy.run_path(str(EXAMPLES / "converse.py"))
    tiny = LLaVA.from_pretrained("tiny")
    told = [
        right
        for sitting in load(EXAMPLES / "pictures.toml")
        for *_, right in script["converse"](tiny, sitting)
    ]
    assert sum(told) > len(told) / 2, f"{sum(told)} of {len(told)}"
