"""MME (Fu et al. 2023): two yes-or-no questions on each picture, in fourteen categories of 200 points each.

Scored as the official `eval_tool/calculation.py` does it: a reply is "yes" or "no" where its first four
characters hold that, and a category's score is the share of right replies and that of pictures with both
right, each in percent, summed. Answers of LLaVA are joined as its `convert_answer_to_mme.py` does it.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from llavakit.errors import UsageError
from llavakit.evaluate.answers import IDS, TEXTS, Answers, Question, check_some, identity
from llavakit.evaluate.outcome import Array, Outcome, bootstrap
from llavakit.evaluate.rows import check_folder, field, read_rows
from llavakit.evaluate.task import SHORT, Task
from llavakit.files import read_text

_PERCEPTION = (
    "existence", "count", "position", "color", "posters", "celebrity", "scene", "landmark", "artwork", "OCR",
)  # fmt: skip
_COGNITION = ("commonsense_reasoning", "numerical_calculation", "text_translation", "code_reasoning")
_CATEGORIES = _PERCEPTION + _COGNITION
_ASKED = "Please answer yes or no."
_PICTURES = (".jpg", ".jpeg", ".png")

_Key = tuple[str, str, str]  # category, picture without its ending, question or its number


class MME(Task):
    name = "mme"
    title = "MME: yes-or-no questions on perception and cognition; up to 2800 points"
    images = "."
    where = """\
https://github.com/BradyFU/Awesome-Multimodal-Large-Language-Models/tree/Evaluation: how to get
MME_Benchmark_release_version (it is sent on request).

DIR/MME_Benchmark_release_version/artwork/images/10002.jpg …  artwork/questions_answers_YN/10002.txt …
DIR/MME_Benchmark_release_version/OCR/0001.jpg …              OCR/0001.txt …
and so on for 14 categories, which may lie anywhere below DIR.

Result files as the official eval_tool has them (a folder of CATEGORY.txt: picture, question, truth and
answer, between tabs) are scored without any of this: give the folder, or one of its files."""

    def questions(self, data: Path) -> list[Question]:
        check_folder(data)
        found = [
            question
            for category in _CATEGORIES
            for folder in _folders(data, category)
            for question in _of_category(category, folder, data)
        ]
        if not found:
            found = [question for file in _templates(data) for question in _table(file, answered=False)[0]]
        if not found:
            raise UsageError(
                f"{data}: no folder here is a category of MME with its questions ({', '.join(_CATEGORIES)})"
            )
        return found

    def read(self, path: Path, questions: Sequence[Question]) -> Answers:
        """LLaVA's rows name the picture, and it is their prompt that tells its two questions apart."""
        by_text: dict[_Key, list[str]] = {}
        by_number: dict[_Key, list[str]] = {}
        for question in questions:
            category, picture, number = _parts(question.id)
            by_number[category, picture, number] = [question.id]
            by_text.setdefault((category, picture, _bare(question.text)), []).append(question.id)
        texts: dict[str, str] = {}
        duplicates = strangers = 0
        last = ""
        for row in read_rows(path):
            last = identity(field(row, IDS, path))
            category, picture, number = _parts(last)
            if number:
                names = by_number.get((category, picture, number), [])
            elif "prompt" in row or "question" in row:
                asked = _bare(str(field(row, ("prompt", "question"), path)))
                names = by_text.get((category, picture, asked), [])
            else:
                raise UsageError(
                    f"{path}: a row of {last!r} has no 'prompt', which tells the two questions on a picture "
                    "apart"
                )
            text = field(row, TEXTS, path)
            strangers += not names
            duplicates += any(name in texts for name in names)
            texts |= dict.fromkeys(names, "" if text is None else str(text))
        check_some(path, questions, texts, strangers, last)
        return Answers(texts, duplicates, strangers)

    def score_file(self, path: Path, data: Path) -> Outcome:
        """Official result files hold the truth themselves: then `data` is not read."""
        files = [path] if path.suffix.lower() == ".txt" else []
        if path.is_dir():
            files = sorted(path.glob("*.txt"))
        if not files:
            return super().score_file(path, data)
        questions: list[Question] = []
        texts: dict[str, str] = {}
        duplicates = 0
        known = [file for file in files if file.stem in _CATEGORIES]
        if not known:
            raise UsageError(
                f"{path}: result files are called after MME's categories (OCR.txt, color.txt …), and none "
                "here is"
            )
        for file in known:
            asked, answered, again = _table(file, answered=True)
            questions += asked
            texts |= answered
            duplicates += again
        if not questions:
            raise UsageError(f"{path}: no line of picture, question, truth and answer here")
        return self.score(questions, Answers(texts, duplicates))

    def score(self, questions: Sequence[Question], answers: Answers) -> Outcome:
        replies = {question.id: answers.get(question) for question in questions}
        said_ = {name: None if text is None else said(text) for name, text in replies.items()}
        marks = {question.id: float(said_[question.id] == question.truth) for question in questions}
        counts = _counts(questions, marks)
        metrics = _figures(counts)
        absent = [category for category in _CATEGORIES if category not in counts]
        neither = sum(reply == "other" for reply in said_.values())
        notes = []
        if absent:
            notes.append(
                f"without {', '.join(absent)}: up to {200 * len(counts)} points are possible, not 2800"
            )
        if neither:
            notes.append(f"{neither} answers begin with neither yes nor no: wrong")
        return Outcome(
            self.name, metrics["total"], len(questions), answers.missing(questions),
            bootstrap(list(counts.values()), _total), metrics, _chance(questions), answers.duplicates,
            answers.strangers, marks, tuple(notes),
        )  # fmt: skip


def said(text: str) -> str:
    """ "yes", "no" or "other": what the first four characters hold, so that "know" is a no."""
    start = text.lower()[:4]
    return "yes" if "yes" in start else "no" if "no" in start else "other"


def _folders(data: Path, category: str) -> list[Path]:
    """The folder of a category, the one least deep of several; none is no fault."""
    found = [path for path in data.rglob(category) if path.is_dir()]
    return sorted(found, key=lambda path: (len(path.parts), path))[:1]


def _templates(data: Path) -> list[Path]:
    """Official files to be filled with answers (`eval_tool/Your_Results`), which have the truth too."""
    return [
        min(found, key=lambda path: (len(path.parts), path))
        for category in _CATEGORIES
        if (found := list(data.rglob(f"{category}.txt")))
    ]


def _prompt(question: str) -> str:
    """As LLaVA asks it."""
    return f"{question.replace(_ASKED, '').strip()}\n{SHORT}"


def _of_category(category: str, folder: Path, data: Path) -> Iterator[Question]:
    texts, pictures = folder, folder
    if (folder / "questions_answers_YN").is_dir():
        texts, pictures = folder / "questions_answers_YN", folder / "images"
    names = {path.stem: path for path in sorted(pictures.glob("*")) if path.suffix.lower() in _PICTURES}
    for file in sorted(texts.glob("*.txt")):
        picture = names.get(file.stem, pictures / f"{file.stem}.jpg")
        lines = [(number, line.strip()) for number, line in _lines(file) if line.strip()]
        if not lines or len(lines) % 2:
            raise UsageError(f"{file}: questions on a picture come in pairs, and here are {len(lines)}")
        for count, (number, line) in enumerate(lines, 1):
            question, _, truth = line.rpartition("\t")
            if not question or truth.strip().lower() not in ("yes", "no"):
                raise UsageError(f"{file}, line {number}: not a question, a tab, and Yes or No")
            yield Question(
                id=f"{category}/{picture.relative_to(folder).as_posix()}#{count}",
                text=_prompt(question),
                images=(picture.relative_to(data).as_posix(),),
                truth=truth.strip().lower(),
                choices=("yes", "no"),
                groups=(category,),
                metadata={"category": category},
            )


def _lines(file: Path) -> list[tuple[int, str]]:
    """Numbered, without their ends."""
    return list(enumerate(read_text(file).split("\n"), 1))


def _table(file: Path, answered: bool) -> tuple[list[Question], dict[str, str], int]:
    """Of a file in the layout of official results: questions, answers by id, and how many lines came again.

    Args:
        answered: each line must have an answer, behind picture, question and truth
    """
    category = file.stem
    pictures: dict[str, list[tuple[str, str, str]]] = {}  # of each: question, truth, answer
    for number, line in _lines(file):
        if not line.strip():
            continue
        parts = line.split("\t", 3)
        if len(parts) < (4 if answered else 3):
            raise UsageError(
                f"{file}, line {number}: {len(parts)} fields where picture, question, truth"
                f"{' and answer' if answered else ''} are expected, with tabs between"
            )
        picture, question, truth, answer = (*parts, "")[:4]
        if truth.strip().lower() not in ("yes", "no"):
            raise UsageError(f"{file}, line {number}: the truth is {truth!r}, neither Yes nor No")
        pictures.setdefault(picture.strip(), []).append((question, truth.strip().lower(), answer))
    questions: list[Question] = []
    texts: dict[str, str] = {}
    again = 0
    for picture, lines in pictures.items():
        distinct = {line[0]: line for line in lines}
        # Two lines are a pair even if they ask the same; of more, those that ask the same are one.
        kept = lines if len(lines) == 2 else list(distinct.values())
        again += len(lines) - len(kept)
        for count in range(1, len(kept) + len(kept) % 2 + 1):
            name = f"{category}/{picture}#{count}"
            text, truth = "", ""  # a line that is missing is a question that nothing answers
            if count <= len(kept):
                text, truth, texts[name] = kept[count - 1]
            where = (f"{category}/{picture}",)
            questions.append(Question(name, _prompt(text), where, truth, ("yes", "no"), (category,)))
    return questions, texts, again


def _parts(name: str) -> _Key:
    """Of "artwork/images/10002.jpg#1": category, picture without its ending, number ("" if there is none)."""
    name, _, number = name.partition("#")
    category, _, rest = name.partition("/")
    picture = rest.rpartition("/")[2]
    root, dot, ending = picture.rpartition(".")
    return category, root if f"{dot}{ending}".lower() in (*_PICTURES, ".txt") else picture, number


def _bare(prompt: str) -> str:
    """What is asked, without the sentences on how to answer, which are written differently."""
    return re.sub(r"\s+", " ", prompt.replace(SHORT, " ").replace(_ASKED, " ")).strip()


def _counts(questions: Sequence[Question], marks: Mapping[str, float]) -> dict[str, Array]:
    """Of each category's pictures the share of right answers, and whether both are: (picture, 2)."""
    pictures: dict[str, dict[str, list[float]]] = {category: {} for category in _CATEGORIES}
    for question in questions:
        (category,) = question.groups
        picture, _, number = question.id.partition("#")
        pair = f"{picture}#{(int(number) - 1) // 2}"
        pictures[category].setdefault(pair, []).append(marks[question.id])
    return {
        category: np.array([(sum(both) / 2, sum(both) == 2) for both in of.values()], float)
        for category, of in pictures.items()
        if of
    }


def _figures(counts: Mapping[str, Array]) -> dict[str, float]:
    figures: dict[str, float] = {}
    for category, pictures in counts.items():
        right, both = 100 * pictures.mean(axis=0)
        figures[category] = float(right + both)
        figures[f"{category}_acc"] = float(right)
        figures[f"{category}_acc_plus"] = float(both)
    perception = sum(figures.get(category, 0.0) for category in _PERCEPTION)
    cognition = sum(figures.get(category, 0.0) for category in _COGNITION)
    return {"total": perception + cognition, "perception": perception, "cognition": cognition} | figures


def _total(means: Sequence[Array]) -> Array:
    total: Array = 100 * np.sum([category.sum(axis=1) for category in means], axis=0)
    return total


def _chance(questions: Sequence[Question]) -> float:
    """What always saying yes, or always no, scores; the better of them."""
    return max(
        _figures(_counts(questions, {question.id: float(question.truth == reply) for question in questions}))[
            "total"
        ]
        for reply in ("yes", "no")
    )


TASKS: Mapping[str, Task] = {MME.name: MME()}
