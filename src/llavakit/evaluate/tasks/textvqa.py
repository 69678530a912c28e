"""TextVQA (Singh et al. 2019), validation: questions about text in pictures, ten human answers each.

Scored as LLaVA's eval_textvqa.py does it, with EvalAI's normaliser. Its `answers.jsonl` has the picture's id
as `question_id`, which repeats: such rows are joined by picture and question, and rows of EvalAI's upload
format by the question's own id.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar

from llavakit.errors import UsageError
from llavakit.evaluate import vqa
from llavakit.evaluate.answers import Answers, Question
from llavakit.evaluate.outcome import Outcome, of_marks
from llavakit.evaluate.rows import field, find, listed, read_rows
from llavakit.evaluate.task import SHORT, Task

_WHERE = """\
https://textvqa.org/dataset: https://dl.fbaipublicfiles.com/textvqa/data/TextVQA_0.5.1_val.json, and pictures:
https://dl.fbaipublicfiles.com/textvqa/images/train_val_images.zip

DIR/TextVQA_0.5.1_val.json
DIR/train_images/003a8ae2ef43b901.jpg …"""
_OCR = """

To ask with OCR tokens, also the tokens of Rosetta, either of:
https://dl.fbaipublicfiles.com/textvqa/data/TextVQA_Rosetta_OCR_v0.2_val.json
llava_textvqa_val_v051_ocr.jsonl of LLaVA's eval.zip (its docs/Evaluation.md), whose prompts stay as they are
Scoring needs neither."""


class TextVQA(Task):
    """
    Attributes:
        ocr: whether prompts hold what an OCR system read, as LLaVA-1.5's do
    """

    name = "textvqa"
    title = "TextVQA validation, with OCR tokens in the prompt; accuracy"
    images = "train_images"
    where = _WHERE + _OCR
    ocr: ClassVar[bool] = True

    def questions(self, data: Path) -> list[Question]:
        if not self.ocr:
            return self._questions(data, {}, {})
        prompts = vqa.seek(data, "llava_textvqa_val_v051_ocr.jsonl")
        if prompts is not None:
            return self._questions(data, _prompts(prompts), {})
        return self._questions(data, {}, _tokens(find(data, "*Rosetta_OCR*val.json")))

    def score_file(self, path: Path, data: Path) -> Outcome:
        questions = self._questions(data, {}, {})
        return self.score(questions, self.read(path, questions))

    def _questions(
        self, data: Path, prompts: Mapping[tuple[str, str], str], tokens: Mapping[str, Sequence[str]]
    ) -> list[Question]:
        path = find(data, "TextVQA_*val.json")
        found = []
        for number, row in enumerate(listed(path, "data"), 1):
            picture = str(field(row, ("image_id",), path, number))
            humans = vqa.texts_of(field(row, ("answers",), path, number), path, number)
            # LLaVA's question files begin with a capital letter; the official ones mostly do not.
            asked = str(field(row, ("question",), path, number)).strip().capitalize()
            text = prompts.get((picture, asked.lower()))
            if text is None:
                read = f"\nReference OCR token: {', '.join(tokens[picture])}" if picture in tokens else ""
                text = f"{asked}{read}\n{SHORT}"
            name = str(field(row, ("question_id",), path, number))
            found.append(Question(name, text, (f"{picture}.jpg",), humans))
        return found

    def read(self, path: Path, questions: Sequence[Question]) -> Answers:
        return vqa.read_by_picture(path, questions)

    def score(self, questions: Sequence[Question], answers: Answers) -> Outcome:
        chance = vqa.commonest_scores(questions, vqa.both_normalised)
        return of_marks(self.name, questions, answers, vqa.both_normalised, chance=chance)


def _prompts(path: Path) -> dict[tuple[str, str], str]:
    """LLaVA's, by picture and question."""
    found = {}
    for number, row in enumerate(read_rows(path), 1):
        text = str(field(row, ("text",), path, number))
        found[str(field(row, ("question_id",), path, number)), vqa.asked(text)] = text
    return found


def _tokens(path: Path) -> dict[str, list[str]]:
    """What Rosetta read, by picture."""
    found = {}
    for number, row in enumerate(listed(path, "data"), 1):
        tokens = field(row, ("ocr_tokens",), path, number)
        if not isinstance(tokens, list):
            raise UsageError(f"{path}: row {number} has 'ocr_tokens' that are no list")
        found[str(field(row, ("image_id",), path, number))] = [str(token) for token in tokens]
    return found


class TextVQAWithoutOCR(TextVQA):
    name = "textvqa-no-ocr"
    title = "TextVQA validation, without OCR tokens; accuracy"
    where = _WHERE
    ocr = False


TASKS: Mapping[str, Task] = {task.name: task for task in (TextVQA(), TextVQAWithoutOCR())}
