"""MMBench and MMBench-CN (Liu et al. 2023): multiple choice, each question asked with its choices turned.

Scored as VLMEvalKit scores it without a judge (`exact_matching`; `vlmeval/utils/matching_util.py` and
`dataset/utils/multiple_choice.py`): a question counts only if all its rotations, whose `index` is equal
modulo a million, are right. An answer whose choice the rules cannot tell is wrong; officially a language
model may then be asked which choice it means.
"""

import io
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, ClassVar

from llavakit.errors import UsageError
from llavakit.evaluate.answers import Answers, Question, check_some, identity
from llavakit.evaluate.outcome import Outcome, by_group, interval, percent
from llavakit.evaluate.pictures import cell_uri
from llavakit.evaluate.rows import Row, check_folder, read_rows
from llavakit.evaluate.rows import field as field_of
from llavakit.evaluate.task import LETTER, LETTERS, Task, lettered
from llavakit.files import write_whole

_TURN = 1_000_000
_TABLES = (".tsv", ".xlsx", ".csv", ".parquet")
_IDS = ("index", "question_id", "id")
_TEXTS = ("prediction", "text", "response", "output", "pred")
_LETTERS = frozenset(LETTERS)
# What a spreadsheet library takes for nothing.
_EMPTY = ("", "nan", "none", "n/a", "na", "null", "<na>", "#n/a")
_REFUSALS = (
    "Sorry, I can't help with images of people yet.", "I can't process this file.",
    "I'm sorry, but without the image provided", "Cannot determine the answer",
)  # fmt: skip
_MARKS = str.maketrans(dict.fromkeys(".()[],:;!*#{}", " "))
_LATE = 5  # words from the end
_USUAL = 4  # choices, where they are not known


class MMBench(Task):
    name = "mmbench"
    title = "MMBench: multiple choice in all rotations (CircularEval)"
    images = "."
    max_new_tokens = 1024
    sentence: ClassVar[str] = LETTER
    chinese: ClassVar[bool] = False
    where = """\
https://download.openmmlab.com/mmclassification/datasets/mmbench/mmbench_dev_20230712.tsv (LLaVA-1.5's), or
MMBench_DEV_EN.tsv and later ones from https://github.com/open-compass/MMBench. Pictures are in the file.

DIR/mmbench_dev_20230712.tsv   (any .tsv, .xlsx, .csv or .parquet with "mmbench" and without "cn" in its name;
                               of several a dev file is taken, for test files lack the answers)

A file of predictions that has the answers too (index, prediction, answer, A, B, C, D) needs no data."""

    def questions(self, data: Path) -> list[Question]:
        path = self._file(data)
        return self._questions(read_rows(path), path)

    def read(self, path: Path, questions: Sequence[Question]) -> Answers:
        """Tables of `index` and `prediction`, or LLaVA's rows, also those of its `--all-rounds`."""
        return _read([_lower(row) for row in read_rows(path)], path, questions)

    def score_file(self, path: Path, data: Path) -> Outcome:
        """Without data, the answers that the file itself may have are the truth."""
        rows = [_lower(row) for row in read_rows(path)]
        truths = all("index" in row and not _empty(row.get("answer")) for row in rows)
        if not truths or not any("prediction" in row for row in rows):
            questions = self.questions(data)
            return self.score(questions, _read(rows, path, questions))
        try:
            questions, note = self.questions(data), ""
        except UsageError:
            questions, note = self._questions(rows, path), f"{path.name}'s own column 'answer' is the truth"
        outcome = self.score(questions, _read(rows, path, questions))
        return replace(outcome, notes=(*outcome.notes, note)) if note else outcome

    def score(self, questions: Sequence[Question], answers: Answers) -> Outcome:
        unknown = sum(question.truth is None for question in questions)
        if unknown:
            raise UsageError(
                f"{unknown} of {len(questions)} questions have no answer in the data, as is usual for test "
                "files: MMBench's server scores them (write the upload file instead)"
            )
        recent = _right(questions, answers, late=True)
        right = _right(questions, answers)
        groups = _rotations(questions)
        whole = [question for question in questions if question.id in groups]
        marks = {name: float(all(right[each] for each in turned)) for name, turned in groups.items()}
        notes = _notes(questions, answers, groups)
        metrics = {
            "circular": percent(marks.values()),
            "vanilla": percent(right[name] for name in groups),
            "rotations": percent(right.values()),
            "circular_last_words": percent(
                all(recent[each] for each in turned) for turned in groups.values()
            ),
        } | by_group(whole, marks)
        unanswered = sum(any(each not in answers.texts for each in turned) for turned in groups.values())
        return Outcome(
            self.name, metrics["circular"], len(groups), unanswered, interval(marks.values()), metrics,
            _chance(questions, groups), answers.duplicates, answers.strangers, marks, notes,
        )  # fmt: skip

    def upload(self, path: Path, questions: Sequence[Question], answers: Answers) -> None:
        """The table of questions with predictions, as LLaVA's `convert_mmbench_for_submission.py` has it."""
        try:
            import openpyxl
        except ImportError:
            raise UsageError(f"{path}: xlsx needs one more library: pip install 'llavakit[eval]'") from None
        left_out = {"hint", "category", "source", "image", "comment", "l2-category"}
        names = list(
            dict.fromkeys(
                name for question in questions for name in question.metadata if name not in left_out
            )
        )
        names.insert(6, "prediction")
        book = openpyxl.Workbook(write_only=True)
        sheet = book.create_sheet("Sheet1")
        sheet.append(names)
        for question in questions:
            row = {**question.metadata, "index": int(question.id), "prediction": answers.get(question)}
            sheet.append([_cell(row.get(name)) for name in names])
        held = io.BytesIO()
        book.save(held)
        write_whole(path, held.getvalue())

    def _file(self, data: Path) -> Path:
        if data.is_file():
            return data
        check_folder(data)
        tables = [path for path in data.rglob("*") if path.suffix.lower() in _TABLES]
        found = [
            path
            for path in tables
            if "mmbench" in (stem := path.stem.lower()) and ("cn" in stem) == self.chinese
        ]
        if not found and len(tables) == 1 and "mmbench" not in tables[0].stem.lower():
            found = tables
        if not found:
            raise UsageError(
                f"{data}: no {', '.join(_TABLES)} file here has 'mmbench' and "
                f"{'' if self.chinese else 'not '}'cn' in its name"
            )
        return min(found, key=lambda path: ("dev" not in path.stem.lower(), len(path.parts), path))

    def _questions(self, rows: Iterable[Row], path: Path) -> list[Question]:
        held = {_index(row, path): row for row in map(_lower, rows)}
        pictures = {name: row.get("image") for name, row in held.items()}
        if not held:
            raise UsageError(f"{path}: has no rows")
        return [self._question(name, row, pictures, path) for name, row in held.items()]

    def _question(self, name: str, row: Row, pictures: Mapping[str, Any], path: Path) -> Question:
        choices = ["" if _empty(row.get(letter)) else _text(row[letter]) for letter in LETTERS]
        while choices and not choices[-1]:
            choices.pop()
        if not choices and "question" in row:  # a table of truths alone can be scored with
            raise UsageError(f"{path}: index {name} has no choices in columns 'A', 'B' …")
        truth = row.get("answer")
        truth = None if _empty(truth) else _text(truth).strip()
        if truth is not None and (len(truth) != 1 or truth not in LETTERS):
            raise UsageError(f"{path}: index {name} has the answer {truth!r}, which is no choice's letter")
        hint = row.get("hint")
        asked = ([] if _empty(hint) else [_text(hint)]) + [_text(row.get("question", ""))]
        shown = choices[: choices.index("")] if "" in choices else choices
        groups = [_text(row[kind]) for kind in ("category", "l2-category") if not _empty(row.get(kind))]
        if not _empty(row.get("split")):
            groups.append(f"circular_{_text(row['split'])}")
        return Question(
            id=name,
            text="\n".join([*asked, lettered(shown), self.sentence]),
            images=_picture(row.get("image"), pictures),
            truth=truth,
            choices=tuple(choices),
            groups=tuple(dict.fromkeys(groups)),
            metadata={key: value for key, value in row.items() if key not in ("image", "prediction")},
        )


class MMBenchCN(MMBench):
    name = "mmbench-cn"
    title = "MMBench-CN: MMBench in Chinese"
    sentence = "请直接回答选项字母。"
    chinese = True
    where = """\
https://download.openmmlab.com/mmclassification/datasets/mmbench/mmbench_dev_cn_20231003.tsv (LLaVA-1.5's), or
MMBench_DEV_CN.tsv and later ones from https://github.com/open-compass/MMBench. Pictures are in the file.

DIR/mmbench_dev_cn_20231003.tsv   (any .tsv, .xlsx, .csv or .parquet with "mmbench" and "cn" in its name; of
                                  several a dev file is taken, for test files lack the answers)

A file of predictions that has the answers too (index, prediction, answer, A, B, C, D) needs no data."""


@dataclass(frozen=True)
class _Rounds(Answers):
    """With LLaVA's further rounds, which turn the choices of one row.

    Attributes:
        later: of each question the letters that these settle on, as the question itself letters its choices
    """

    later: Mapping[str, Mapping[str, str | None]] = field(default_factory=dict)


def choice(text: str, choices: Sequence[str], late: bool = False) -> str | None:
    """The letter of the choice that a reply names, or None where that is not clear.

    It is the one letter that stands alone as a word, punctuation aside; else the one choice whose text is in
    the reply. "" among `choices` is a letter without a choice; where there are none, letters are A to D.

    Args:
        late: as VLMEvalKit since 2025 has it: the letter counts among the last four words only, and choices'
            texts only in a reply that is not more than twice as long as they
    """
    letters = [letter for letter, meant in zip(LETTERS, choices, strict=False) if meant]
    if not choices:
        letters = list(LETTERS[:_USUAL])
    if "Failed to obtain answer via API" not in text:
        if any(refusal in text for refusal in _REFUSALS):
            return None
        words = text.translate(_MARKS).split()
        named = [letter for letter in letters if letter in words]
        if len(named) == 1 and not (late and words.index(named[0]) <= len(words) - _LATE):
            return named[0]
        if not named and "Z" in words:
            return None
    if late and len(text) > 2 * sum(map(len, choices)):
        return None
    meanings = zip(LETTERS, choices, strict=False)
    told = [letter for letter, meant in meanings if meant and meant.lower() in text.lower()]
    return told[0] if len(told) == 1 else None


def _read(rows: Sequence[Row], path: Path, questions: Sequence[Question]) -> Answers:
    by_id = {question.id: question for question in questions}
    texts: dict[str, str] = {}
    later: dict[str, dict[str, str | None]] = {}
    duplicates = strangers = 0
    last = ""
    # A cell that is empty is no field of its row: the column is what any row has.
    column = next((name for name in _TEXTS if any(name in row for row in rows)), None)
    if column is None:
        raise UsageError(f"{path}: no row has {' or '.join(map(repr, _TEXTS))}")
    for row in rows:
        last = identity(field_of(row, _IDS, path))
        text = row.get(column)
        question = by_id.get(last)
        if question is None:
            strangers += 1
            continue
        if (turn := identity(row.get("round_id") or 0)) != "0":
            rounds = later.setdefault(last, {})
            duplicates += turn in rounds
            rounds[turn] = _turned(row, _text(text), path)
        elif not _empty(text, prediction=True):
            duplicates += last in texts
            texts[last] = _text(text)
    check_some(path, questions, texts, strangers, last)
    return _Rounds(texts, duplicates, strangers, later)


def _turned(row: Row, text: str, path: Path) -> str | None:
    """What one of LLaVA's further rounds chooses: `option_char` has the first letters of its `options`."""
    shown, letters = row.get("options"), row.get("option_char")
    if not isinstance(shown, list) or not isinstance(letters, list) or len(shown) != len(letters):
        raise UsageError(
            f"{path}: round {row.get('round_id')} of {row.get('question_id')} needs lists 'options' and "
            "'option_char' of one length"
        )
    letter = choice(text, [str(option) for option in shown])
    return None if letter is None else str(letters[LETTERS.index(letter)])


def _right(questions: Sequence[Question], answers: Answers, late: bool = False) -> dict[str, bool]:
    """Whether each row is right, in all its rounds where there are any."""
    later = answers.later if isinstance(answers, _Rounds) else {}
    right = {}
    for question in questions:
        text = answers.get(question)
        right[question.id] = text is not None and choice(text, question.choices, late) == question.truth
        if later:
            rounds = later.get(question.id, {})
            right[question.id] &= all(
                rounds.get(str(number)) == question.truth for number in range(1, len(question.choices))
            )
    return right


def _rotations(questions: Sequence[Question]) -> dict[str, list[str]]:
    """By the id of the question as it is: that and its rotations; rotations without it do not count."""
    groups: dict[str, list[str]] = {question.id: [] for question in questions if int(question.id) < _TURN}
    for question in questions:
        base = str(int(question.id) % _TURN)
        if base in groups:
            groups[base].append(question.id)
    return groups


def _notes(
    questions: Sequence[Question], answers: Answers, groups: Mapping[str, Sequence[str]]
) -> tuple[str, ...]:
    notes = []
    later = isinstance(answers, _Rounds) and answers.later
    if len(questions) == len(groups) and not later:
        notes.append("no question has rotations here: circular is the same as vanilla")
    alone = len(questions) - sum(map(len, groups.values()))
    if alone:
        notes.append(f"{alone} rotations of questions that are not there themselves: left out, as officially")
    missing = answers.missing(questions)
    if missing and missing < len(questions):
        notes.append(f"{missing} of {len(questions)} rows, rotations among them, have no prediction: wrong")
    unclear = answers.count(questions, lambda question, text: choice(text, question.choices) is None)
    if unclear:
        notes.append(
            f"{unclear} predictions name no choice that rules can tell: wrong (officially a language model "
            "may be asked what they mean)"
        )
    return tuple(notes)


def _chance(questions: Sequence[Question], groups: Mapping[str, Sequence[str]]) -> float:
    """Of guessing each rotation."""
    share = {question.id: 1 / (sum(map(bool, question.choices)) or _USUAL) for question in questions}
    lucky = []
    for turned in groups.values():
        hit = 1.0
        for name in turned:
            hit *= share[name]
        lucky.append(hit)
    return percent(lucky)


def _index(row: Row, path: Path) -> str:
    number = identity(field_of(row, _IDS, path))
    if not number.isdecimal():
        raise UsageError(f"{path}: the index {number!r} is not a whole number")
    return number


def _lower(row: Row) -> Row:
    """Columns are called differently, but for the choices' letters."""
    row = {name if name in _LETTERS else str(name).lower(): value for name, value in row.items()}
    return {"answer": row["gt"], **row} if "gt" in row else row


def _empty(value: Any, prediction: bool = False) -> bool:
    if value is None or value != value:
        return True
    return str(value).strip().lower() in (("",) if prediction else _EMPTY)


def _text(value: Any) -> str:
    return identity(value) if isinstance(value, float) else str(value)


def _cell(value: Any) -> Any:
    """Text without the control characters that spreadsheets cannot hold."""
    if not isinstance(value, str):
        return value
    return None if _empty(value) else re.sub(r"[\x00-\x08\x0b\x0c\x0e-\x1f]", "", value)


def _picture(image: Any, pictures: Mapping[str, Any]) -> tuple[str, ...]:
    """The picture as a `data:` URI; a short text instead of one names the row that has it."""
    if isinstance(image, bytes):
        image = {"bytes": image}
    if isinstance(image, dict):  # as in the hub's Parquet files
        return tuple(filter(None, [cell_uri(image)]))
    if not isinstance(image, str | int | float) or _empty(image):
        return ()
    if len(str(image)) <= 64:
        named = pictures.get(identity(image))
        return () if named is None or len(str(named)) <= 64 else _picture(named, {})
    kind = "png" if str(image).startswith("iVBOR") else "jpeg"
    return (f"data:image/{kind};base64,{image}",)


TASKS: Mapping[str, Task] = {MMBench.name: MMBench(), MMBenchCN.name: MMBenchCN()}
