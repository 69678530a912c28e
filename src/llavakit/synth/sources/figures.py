"""Figures of papers: their captions, and what the text says where it mentions them, as LLaVA-Med has it.

`llava_med_instruct_fig_captions.json` is an object that holds, for each domain as "chest_xray", a list of
{"pair_id", "fig_label", "fig_caption", "in_text_mention": [text or {"tokens": text}], …}. A figure of two
domains stands in both lists: its second row has the id of an earlier one. Its picture is PAIR_ID.jpg, as
their download_images.py names it. (github.com/microsoft/LLaVA-Med: llava/instruct/, llava/data/)
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from llavakit.synth.scene import Scene, SceneError
from llavakit.synth.sources.base import Told, check_told
from llavakit.synth.sources.stream import Layout, rows
from llavakit.synth.sources.values import FaultError, identifier, image_name, mentions, sentences


class Figures(Told):
    """Rows as above; in lines or one list, too, and with "image" and "caption", where they have these."""

    def __init__(self, path: Path, layout: Layout) -> None:
        super().__init__(path)
        self._layout: Layout = layout

    def _read(self) -> Iterator[Scene | SceneError]:
        for number, row in rows(self.path, self._layout):
            try:
                yield _scene(row, number)
            except FaultError as fault:
                yield self._error(number, _called(row), fault)


def _called(row: Any) -> str:
    return identifier(row.get("pair_id"), row.get("id")) if isinstance(row, dict) else ""


def _scene(row: Any, number: int) -> Scene:
    if isinstance(row, FaultError):
        raise row
    if not isinstance(row, dict):
        raise FaultError("format", "is not an object: a figure has a fig_caption")
    called = _called(row)
    image = row.get("image")
    return check_told(
        Scene(
            id=called or str(number),
            image=image_name(f"{called}.jpg" if image is None and called else image),
            captions=sentences(row.get("fig_caption", row.get("caption")), "caption"),
            mentions=mentions(row.get("in_text_mention", row.get("mentions"))),
            complete=False,
            row=number,
        )
    )
