"""Rules that visual question answering benchmarks share: what an answer is compared as, and what it is worth.

Two normalisers exist, and they differ. VQAv2's and VizWiz's (`normalised`; GT-Vision-Lab/VQA, vqaEval.py),
and EvalAI's for TextVQA (`evalai_normalised`; facebookresearch/mmf, as LLaVA's m4c_evaluator.py has it): that
one first lower-cases, drops all commas and question marks and sets off "'s". LLaVA writes uploads with it.
"""

import functools
import json
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from llavakit.errors import UsageError
from llavakit.evaluate.answers import IDS, Answers, Question, identity, joined, said
from llavakit.evaluate.outcome import percent
from llavakit.evaluate.rows import field, find, read_rows
from llavakit.files import write_whole

_PUNCTUATION = ';/[]"{}()=+\\_-><@`,?!'  # neither the colon nor the apostrophe
_THOUSANDS = re.compile(r"\d,\d")
_PERIOD = re.compile(r"\.(?!\d)")
_PERIODS = 32  # re.UNICODE stands where the official scripts should say how many to drop
_NUMBERS = {
    "none": "0", "zero": "0", "one": "1", "two": "2", "three": "3", "four": "4", "five": "5", "six": "6",
    "seven": "7", "eight": "8", "nine": "9", "ten": "10",
}  # fmt: skip
_ARTICLES = frozenset(("a", "an", "the"))
# The official table has each of these without one of its apostrophes.
_CONTRACTED = """\
ain't aren't can't could've couldn't couldn't've didn't doesn't don't hadn't hadn't've hasn't haven't he'd
he'd've he's how'd how'll how's isn't it'd it'd've it'll ma'am mightn't mightn't've might've mustn't must've
needn't not've o'clock oughtn't 'ow's'at shan't she'd've should've shouldn't shouldn't've somebody'd've
somebody'll somebody's someone'd someone'd've someone'll someone's something'd something'd've something'll
that's there'd there'd've there're there's they'd they'd've they'll they're they've 'twas wasn't we'd've
we've weren't what'll what're what's what've when's where'd where's where've who'd who'd've who'll who's
who've why'll why're why's won't would've wouldn't wouldn't've y'all y'all'll y'all'd've you'd you'd've
you'll you're you've
"""
_CONTRACTIONS = {
    word[:place] + word[place + 1 :]: word
    for word in _CONTRACTED.split()
    for place, letter in enumerate(word)
    if letter == "'"
} | {"somebody'd": "somebodyd"}  # the official table's slip


@functools.lru_cache(1 << 16)  # people answer alike
def normalised(text: str) -> str:
    """As VQAv2's official script compares answers: punctuation, number words, articles, contractions."""
    return _words(_unpunctuated(_one_line(text)))


@functools.lru_cache(1 << 16)
def evalai_normalised(text: str) -> str:
    """As EvalAI compares TextVQA's answers, and as LLaVA writes answers that are uploaded."""
    text = text.lower().replace(",", "").replace("?", "").replace("'s", " 's").strip()
    return normalised(text)


def _unpunctuated(text: str) -> str:
    """A mark goes if a space is beside it somewhere, or a number has a comma; else it becomes a space."""
    commas = _THOUSANDS.search(text) is not None
    kept = text
    for mark in _PUNCTUATION:
        if mark in text:
            goes = commas or f"{mark} " in text or f" {mark}" in text
            kept = kept.replace(mark, "" if goes else " ")
    return _PERIOD.sub("", kept, count=_PERIODS)


def _words(text: str) -> str:
    words = (_NUMBERS.get(word, word) for word in text.lower().split())
    return " ".join(_CONTRACTIONS.get(word, word) for word in words if word not in _ARTICLES)


def consensus(answer: str, humans: Sequence[str]) -> float:
    """min(1, matches / 3) against all people but one, averaged over who that one is; texts as they stand."""
    alike = humans.count(answer)
    apart = len(humans) - alike
    return (alike * min(1.0, (alike - 1) / 3) + apart * min(1.0, alike / 3)) / len(humans)


def vqa_accuracy(answer: str, humans: Sequence[str]) -> float:
    """VQAv2's official accuracy, 0 to 1.

    Its quirk: where all people gave the very same answer, nothing is normalised, not even case.
    """
    answer, *humans = map(_one_line, (answer, *humans))
    if len(set(humans)) > 1:
        answer, *humans = map(normalised, (answer, *humans))
    return consensus(answer, humans)


@functools.lru_cache(1 << 16)
def _one_line(text: str) -> str:
    return text.replace("\n", " ").replace("\t", " ").strip()


def anls(answer: str, truths: Sequence[str], threshold: float = 0.5) -> float:
    """Normalised Levenshtein similarity to the nearest truth, 0 below the threshold.

    As the Robust Reading Competition's script for DocVQA and InfographicVQA has it: texts are compared in
    lower case and with single spaces, but their lengths are taken before that.
    """
    best = max(_similarity(answer, truth, threshold) for truth in truths)
    return best if best >= threshold else 0.0


def _similarity(answer: str, truth: str, threshold: float) -> float:
    longer = max(len(answer), len(truth))
    if not longer:
        return 1.0
    first, second = " ".join(answer.lower().split()), " ".join(truth.lower().split())
    if abs(len(first) - len(second)) > (1 - threshold) * longer:
        return 0.0  # cannot reach the threshold: spare the distance of a long answer
    return 1 - _edits(first, second) / longer


def both_normalised(question: Question, text: str) -> float:
    """EvalAI's accuracy: the answer and those of people pass its normaliser."""
    humans = [evalai_normalised(human) for human in question.truth]
    return consensus(evalai_normalised(text), humans)


def _edits(first: str, second: str) -> int:
    """Levenshtein's distance."""
    row = list(range(len(second) + 1))
    for i, one in enumerate(first, 1):
        before, row = row, [i]
        for j, other in enumerate(second, 1):
            row.append(before[j - 1] if one == other else 1 + min(before[j - 1], before[j], row[j - 1]))
    return row[-1]


def relaxed(answer: str, truth: str, tolerance: float = 0.05) -> bool:
    """ChartQA's relaxed accuracy: within 5 % if both are numbers and the truth is not 0, else the same text.

    "12%" is 0.12. As Pix2Struct's and Qwen-VL's scripts have it.
    """
    given, wanted = _number(answer), _number(truth)
    if given is not None and wanted:
        return abs(given - wanted) / abs(wanted) <= tolerance
    return answer.lower() == truth.lower()


def _number(text: str) -> float | None:
    try:
        return float(text.rstrip("%")) / 100 if text.endswith("%") else float(text)
    except ValueError:
        return None


Box = tuple[float, float, float, float]


def iou(first: Box, second: Box) -> float:
    """Intersection over union of boxes (x1, y1, x2, y2); 0 if either has no area."""
    areas = [max(0.0, x2 - x1) * max(0.0, y2 - y1) for x1, y1, x2, y2 in (first, second)]
    wide = min(first[2], second[2]) - max(first[0], second[0])
    high = min(first[3], second[3]) - max(first[1], second[1])
    shared = max(0.0, wide) * max(0.0, high)
    return shared / (sum(areas) - shared) if all(areas) else 0.0


def check_truths(task: str, questions: Sequence[Question], public: str) -> None:
    """
    Args:
        public: of validation, which files have the truth

    Raises:
        UsageError: the questions are those of a test split.
    """
    if any(question.truth is None for question in questions):
        raise UsageError(
            f"{task}: only the server knows the answers of the test split: write the upload file, or score "
            f"validation, whose {public} are public"
        )


def commonest_scores(questions: Sequence[Question], mark: Callable[[Question, str], float]) -> float:
    """What the answer that people gave most often scores on all questions, in percent."""
    counted = Counter(human for question in questions for human in question.truth)
    if not counted:
        return 0.0
    constant = counted.most_common(1)[0][0]
    return percent(mark(question, constant) for question in questions)


def seek(data: Path, *patterns: str) -> Path | None:
    """As `find`, but None where there is none."""
    try:
        return find(data, *patterns)
    except UsageError:
        return None


class AsUploaded(Answers):
    """Answers out of a benchmark's own upload file, which its scorer takes as they stand."""


def read_upload(path: Path, questions: Sequence[Question], key: str) -> Answers:
    """LLaVA's answers, or `AsUploaded` if all rows have this key, and none LLaVA's "text".

    Raises:
        UsageError: malformed rows, or answers to none of the questions.
    """
    rows = read_rows(path)
    pairs = [
        (identity(field(row, IDS, path, number)), said(row, path, number))
        for number, row in enumerate(rows, 1)
    ]
    answers = joined(path, pairs, questions)
    if all(key in row and "text" not in row for row in rows):
        return AsUploaded(**vars(answers))
    return answers


_PICTURES = ("image_id", "image", "imgname", "img_path", "image_path")
_ASKED = ("prompt", "question", "query", "expression", "sent")
_SHORT_ANSWER = re.compile(r"Question: (.*?) Short answer:", re.DOTALL)


def asked(prompt: str) -> str:
    """The question alone out of a prompt, in lower case: the line that is not of OCR tokens, nor the last.

    Prompts like InstructBLIP's have it between "Question:" and "Short answer:".
    """
    if prompt.startswith("OCR tokens: ") and (found := _SHORT_ANSWER.search(prompt)):
        return found[1].strip().lower()
    lines = prompt.split("\n")
    if lines[0].startswith("Reference OCR token:") and len(lines) > 1:
        return lines[1].strip().lower()
    return lines[0].strip().lower()


def _one_name(question: Question) -> Sequence[str]:
    return (asked(question.text),)


def read_by_picture(
    path: Path,
    questions: Sequence[Question],
    names: Callable[[Question], Sequence[str]] = _one_name,
) -> Answers:
    """Answers to questions whose id in the file may be the picture's alone, which repeats.

    A row is joined by the question's own id, else by picture and question, else by the picture where only one
    question is about it; never by position. Questions that are the same in all take such rows in turn.

    Args:
        names: what a row may call the question, in lower case

    Raises:
        UsageError: malformed rows, or answers to none of the questions.
    """
    return joined(path, _placed(path, questions, names), questions)


def _placed(
    path: Path, questions: Sequence[Question], names: Callable[[Question], Sequence[str]]
) -> Iterator[tuple[str, str]]:
    known = {question.id for question in questions}
    places: dict[tuple[str, str], list[str]] = {}
    about: dict[str, list[str]] = {}
    for question in questions:
        stem = _stem(question.images[0])
        about.setdefault(stem, []).append(question.id)
        for name in names(question):
            places.setdefault((stem, name), []).append(question.id)
    turns: Counter[tuple[str, str]] = Counter()
    for number, row in enumerate(read_rows(path), 1):
        given = identity(field(row, (*IDS, *_PICTURES), path, number))
        text = said(row, path, number)
        if given in known:
            yield given, text
            continue
        stem = _stem(str(next((row[name] for name in _PICTURES if name in row), given)))
        key = stem, asked(str(next((row[name] for name in _ASKED if name in row), "")))
        fitting = places.get(key) or about.get(stem, [])
        if key in places:
            yield fitting[turns[key] % len(fitting)], text
            turns[key] += 1
        else:
            yield fitting[0] if len(fitting) == 1 else given, text


def _stem(name: str) -> str:
    return PurePosixPath(name.replace("\\", "/")).stem


def texts_of(values: Any, path: Path, number: int, what: str = "answers") -> list[str]:
    """People's answers, which are texts, or objects with an "answer" each.

    Raises:
        UsageError: there are none, or something else.
    """
    if isinstance(values, list) and values:
        found = [value.get("answer") if isinstance(value, Mapping) else value for value in values]
        texts = [text for text in found if isinstance(text, str)]
        if len(texts) == len(found):
            return texts
    raise UsageError(f"{path}: row {number} has no list of {what}, which are texts")


def write_json(path: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    """The list that the benchmarks' servers take."""
    write_whole(path, json.dumps(list(rows)).encode())


def numeric(name: str) -> int | str:
    """An id as official files have it: a number where it looks like one."""
    return int(name) if name.isdecimal() else name
