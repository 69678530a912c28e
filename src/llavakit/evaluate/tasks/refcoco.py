"""RefCOCO, RefCOCO+ (Yu et al. 2016) and RefCOCOg (Mao et al. 2016): the box of what a phrase refers to.

Asked as LLaVA-1.5's training mixture asks. There, boxes are shares of the picture after it was padded to a
square (haotian-liu/LLaVA, issue 606), so the score reads them so; `unpadded` figures take them as shares of
the picture itself, as lmms-eval does, for models that were trained on that.
"""

import itertools
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

from llavakit.errors import UsageError
from llavakit.evaluate import vqa
from llavakit.evaluate.answers import Answers, Question, identity
from llavakit.evaluate.outcome import Outcome, by_group, of_marks, percent
from llavakit.evaluate.rows import Row, field, find, read_rows
from llavakit.evaluate.task import Task
from llavakit.evaluate.vqa import Box

_ASKED = "Please provide the bounding box coordinate of the region this sentence describes: {}."
_NUMBER = r"\s*(-?\d*\.?\d+)\s*"
# [x1, y1, x2, y2], with any brackets, or Qwen-VL's (x1,y1),(x2,y2)
_BOX = re.compile(rf"[\[(<]{_NUMBER},{_NUMBER}(?:[\])>]\s*,\s*[\[(<]|,){_NUMBER},{_NUMBER}[\])>]")
_THOUSANDTHS = 1000  # InternVL's boxes; Qwen-VL's go to 999, which is as good
_NEAR = 0.5
_LARGEST = 1e9  # pixels; what is none, or no number, is not below it either

_WHERE = """\
Questions, all of the splits that are there, as Qwen-VL publishes them (https://github.com/QwenLM/Qwen-VL,
eval_mm/EVALUATION.md), or Shikra (https://github.com/shikras/shikra, docs/data.md):

{files}

or one file of your own, {name}.jsonl: a row {{"question_id", "image", "expression", "bbox", "width",
"height", "split"}} for each expression. "bbox" is [x1, y1, x2, y2] in pixels; RefCOCO's own annotations (refs
and instances.json, https://github.com/lichengunc/refer) have [x, y, width, height]: add the first two to the
others. Rows without a "question_id" have the ids "val-1", "val-2" …, by their split and row. Pictures:
http://images.cocodataset.org/zips/train2014.zip

DIR/train2014/COCO_train2014_000000581857.jpg …"""


_PEOPLE = ("val", "testA", "testB")  # A: of people; B: of all else


def _files(name: str, by: str, splits: Sequence[str]) -> dict[str, tuple[str, str]]:
    """What each split's file is called by Qwen-VL, and by Shikra, without endings.

    Args:
        by: whose splits they are
    """
    return {split: (f"{name}_{split}", f"REC_{name}_{by}_{split}") for split in splits}


def _where(name: str, files: Mapping[str, tuple[str, str]]) -> str:
    rows = zip(*files.values(), strict=True)
    return _WHERE.format(
        name=name, files="\n".join("DIR/" + "  ".join(f"{each}.jsonl" for each in row) for row in rows)
    )


class RefCOCO(Task):
    """
    Attributes:
        files: of each split
    """

    name = "refcoco"
    title = "RefCOCO: boxes of phrases; accuracy at IoU 0.5, by split"
    images = "train2014"
    max_new_tokens = 64
    files: ClassVar[Mapping[str, tuple[str, str]]] = _files("refcoco", "unc", _PEOPLE)
    where = _where("refcoco", files)

    def questions(self, data: Path) -> list[Question]:
        patterns = {split: [f"{each}.json*" for each in names] for split, names in self.files.items()}
        files = {split: vqa.seek(data, *some) for split, some in patterns.items()}
        found = [
            _question(row, path, number, split)
            for split, path in files.items()
            if path is not None
            for number, row in enumerate(read_rows(path), 1)
        ]
        if not found:
            path = find(data, f"{self.name}.jsonl", f"{self.name}.json", *itertools.chain(*patterns.values()))
            found = [_question(row, path, number, None) for number, row in enumerate(read_rows(path), 1)]
        return found

    def read(self, path: Path, questions: Sequence[Question]) -> Answers:
        return vqa.read_by_picture(path, questions, _names)

    def score(self, questions: Sequence[Question], answers: Answers) -> Outcome:
        overlaps = {question.id: _overlaps(question, answers.get(question) or "") for question in questions}
        outcome = of_marks(
            self.name, questions, answers, lambda question, text: overlaps[question.id][0] >= _NEAR
        )
        unpadded = {name: float(second >= _NEAR) for name, (_, second) in overlaps.items()}
        metrics = {
            **outcome.metrics,
            "iou": percent(first for first, _ in overlaps.values()),
            "unpadded": percent(unpadded.values()),
            **{f"unpadded_{group}": value for group, value in by_group(questions, unpadded).items()},
        }
        boxless = sum(box(text) is None for text in answers.texts.values())
        notes = [
            "boxes are read as shares of the picture padded to a square; 'unpadded', of the picture itself"
        ]
        notes += [f"{boxless} answers have no box: wrong"] if boxless else []
        return replace(outcome, metrics=metrics, notes=tuple(notes))


class RefCOCOPlus(RefCOCO):
    name = "refcoco+"
    title = "RefCOCO+: boxes of phrases without places; accuracy at IoU 0.5, by split"
    files = _files("refcoco+", "unc", _PEOPLE)
    where = _where("refcoco+", files)


class RefCOCOg(RefCOCO):
    name = "refcocog"
    title = "RefCOCOg (UMD): boxes of sentences; accuracy at IoU 0.5, by split"
    files = _files("refcocog", "umd", ("val", "test"))
    where = _where("refcocog", files)


def _question(row: Row, path: Path, number: int, split: str | None) -> Question:
    split = split or str(field(row, ("split",), path, number))
    phrase = str(field(row, ("expression", "sent"), path, number)).strip()
    image = Path(str(field(row, ("image", "img_path"), path, number))).name
    sides = [_side(field(row, (name,), path, number), path, number, name) for name in ("width", "height")]
    corners = field(row, ("bbox",), path, number)
    if not _numbers(corners, 4) or corners[0] >= corners[2] or corners[1] >= corners[3]:
        raise UsageError(f"{path}: row {number} has the bbox {corners!r}, not [x1, y1, x2, y2] in pixels")
    name = identity(row.get("question_id", f"{split}-{number}"))
    truth = {"bbox": corners, "width": sides[0], "height": sides[1]}
    text = _ASKED.format(phrase)
    return Question(name, text, (image,), truth, (), (split,), {"expression": phrase})


def _side(value: Any, path: Path, number: int, name: str) -> float:
    if not _numbers([value], 1) or value <= 0:
        raise UsageError(f"{path}: row {number} has the {name} {value!r}, not a number of pixels")
    return float(value)


def _numbers(values: Any, count: int) -> bool:
    return (
        isinstance(values, list)
        and len(values) == count
        and all(isinstance(value, int | float) and abs(value) < _LARGEST for value in values)
    )


def _names(question: Question) -> Sequence[str]:
    return question.text.lower(), str(question.metadata["expression"]).lower()


def box(text: str) -> Box | None:
    """The first box in a text, in shares of 1; numbers above 1 are thousandths."""
    found = _BOX.search(text)
    if found is None:
        return None
    values = [float(number) for number in found.groups()]
    scale = _THOUSANDTHS if max(values) > 1 else 1
    x1, y1, x2, y2 = (value / scale for value in values)
    return x1, y1, x2, y2


def _overlaps(question: Question, text: str) -> tuple[float, float]:
    """IoU with the truth, of the box as shares of the padded square, and of the picture itself."""
    found = box(text)
    if found is None:
        return 0.0, 0.0
    width, height = question.truth["width"], question.truth["height"]
    x1, y1, x2, y2 = question.truth["bbox"]
    truth = float(x1), float(y1), float(x2), float(y2)
    side = max(width, height)
    left, top = (side - width) / 2, (side - height) / 2
    padded = (
        found[0] * side - left, found[1] * side - top, found[2] * side - left, found[3] * side - top,
    )  # fmt: skip
    plain = found[0] * width, found[1] * height, found[2] * width, found[3] * height
    return vqa.iou(padded, truth), vqa.iou(plain, truth)


TASKS: Mapping[str, Task] = {task.name: task for task in (RefCOCO(), RefCOCOPlus(), RefCOCOg())}
