"""CHAIR (Rohrbach et al. 2018): how many objects that a description mentions are not in the picture.

By the rules of the authors' chair.py (LisaAnne/Hallucination): an object is there if COCO's instances or any
of the five captions say so. Words are split as NLTK's word_tokenize splits them, and made singular by the
rules of pattern.en, with what these get wrong: they make "bu" of "bus", so that a bus is only seen in the
plural. Recall is that of the common Python 3 ports (Maxlinn/CHAIR-metric-standalone).
"""

import functools
import re
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

import numpy as np

from llavakit.errors import UsageError
from llavakit.evaluate import vqa
from llavakit.evaluate.answers import IDS, Answers, Question, identity, joined, said
from llavakit.evaluate.outcome import Array, Outcome, bootstrap, interval, percent
from llavakit.evaluate.rows import Row, field, find, listed, lists, read_rows
from llavakit.evaluate.task import Task

_ASKED = "Please describe this image in detail."
_TEXTS = ("caption", "text", "answer", "prediction", "response", "output")


class Chair(Task):
    name = "chair"
    title = "CHAIR: objects in descriptions that are not in the picture; lower is better"
    images = "val2014"
    max_new_tokens = 512
    where = """\
http://images.cocodataset.org/annotations/annotations_trainval2014.zip and zips/val2014.zip; the synonyms of
https://github.com/LisaAnne/Hallucination (data/synonyms.txt: a line for each object, its name first).

DIR/synonyms.txt
DIR/annotations/instances_val2014.json  captions_val2014.json   (and train2014's, if asked)
DIR/val2014/COCO_val2014_000000000042.jpg …
DIR/chair_images.jsonl   optional: the pictures to describe, a row {"image_id": 42} each; else all

Predictions: LLaVA's answers.jsonl with the picture's id or name as question_id, rows of "image_id" and
"caption", or the authors' {"imgToEval": {…}}. Only pictures that have a description count."""

    def questions(self, data: Path) -> list[Question]:
        chosen = vqa.seek(data, "chair_images.json*")
        if chosen is None:
            return _questions(data, None)
        rows = enumerate(read_rows(chosen), 1)
        return _questions(data, [_image(row, chosen, number) for number, row in rows])

    def read(self, path: Path, questions: Sequence[Question]) -> Answers:
        rows = enumerate(_described(path), 1)
        pairs = [(_image(row, path, number), said(row, path, number, _TEXTS)) for number, row in rows]
        return joined(path, pairs, questions)

    def score_file(self, path: Path, data: Path) -> Outcome:
        """Of the pictures that are described there; reading all others' captions would take a while."""
        if vqa.seek(data, "chair_images.json*") is not None:
            return super().score_file(path, data)
        described = [_image(row, path, number) for number, row in enumerate(_described(path), 1)]
        questions = _questions(data, described)
        return self.score(questions, self.read(path, questions))

    def score(self, questions: Sequence[Question], answers: Answers) -> Outcome:
        counts, clean, lengths = [], {}, []
        tables = {table: synonyms(Path(table)) for table in {each.truth["synonyms"] for each in questions}}
        for question in questions:
            text = answers.get(question)
            if text is not None:
                here = set(question.truth["objects"])
                named = mentioned(text, tables[question.truth["synonyms"]])
                absent = sum(name not in here for name in named)
                counts.append((absent, len(named), len(here & set(named)), len(here)))
                clean[question.id] = float(absent == 0)
                lengths.append(len(text.split()))
        wrong = [1 - mark for mark in clean.values()]
        table = np.array(counts, float).reshape(-1, 4)
        metrics = {
            "chair_s": percent(wrong),
            "chair_i": float(_share(table[:, :2].sum(axis=0))),
            "recall": float(_share(table[:, 2:].sum(axis=0))),
            "length": sum(lengths) / max(1, len(lengths)),
            "objects": float(table[:, 1].sum()) / max(1, len(table)),
        }
        notes = ["chair_s and chair_i: lower is better; chair_s is the score"]
        if counts and metrics["objects"]:
            low, high = bootstrap([table[:, :2]], lambda means: _share(means[0]))
            notes.append(f"95 % interval of chair_i: {low:.2f} to {high:.2f}")
        return Outcome(
            self.name, metrics["chair_s"], len(clean), answers.missing(questions), interval(wrong), metrics,
            None, answers.duplicates, answers.strangers, clean, tuple(notes),
        )  # fmt: skip


def _share(counts: Array) -> Array:
    """Of so many (the last axis: part, whole), in percent."""
    share: Array = 100 * counts[..., 0] / np.maximum(counts[..., 1], 1e-12)
    return share


# What is in a picture -----------------------------------------------------------------------------------


def _questions(data: Path, chosen: Collection[str] | None) -> list[Question]:
    """Of these pictures, in their order; of all of the validation split, if none are named.

    Raises:
        UsageError: files are missing or malformed, or know nothing of a picture.
    """
    table = find(data, "synonyms.txt")
    names = synonyms(table)
    wanted = None if chosen is None else set(chosen)
    files: dict[str, str] = {}
    objects: dict[str, set[str]] = {}
    find(data, "instances_*.json")
    # The training split's file has 450 MB: it is only read if a picture is not in the validation split.
    for path in sorted(data.rglob("instances_*.json"), key=lambda each: ("val" not in each.name, each)):
        if files and (wanted is None or wanted <= files.keys()):
            break
        files |= _instances(path, wanted, names, table, objects)
        captions = find(data, path.name.replace("instances", "captions"))
        for number, row in enumerate(listed(captions, "annotations"), 1):
            name = identity(field(row, ("image_id",), captions, number))
            if name in objects:
                objects[name].update(mentioned(str(field(row, ("caption",), captions, number)), names))
    order = files if chosen is None else dict.fromkeys(chosen)
    if unknown := [name for name in order if name not in files]:
        raise UsageError(f"{data}: no instances_*.json knows {len(unknown)} of the pictures ({unknown[0]} …)")
    return [
        Question(name, _ASKED, (files[name],), {"objects": sorted(objects[name]), "synonyms": str(table)})
        for name in order
    ]


def _instances(
    path: Path, wanted: Collection[str] | None, names: Mapping[str, str], table: Path,
    objects: dict[str, set[str]],
) -> dict[str, str]:  # fmt: skip
    """Files of pictures; what is in them is added to `objects`."""
    pictures, instances, categories = lists(path, "images", "annotations", "categories")
    called = {row.get("id"): _known(row, names, path, table) for row in categories}
    files = {}
    for number, row in enumerate(pictures, 1):
        name = identity(field(row, ("id",), path, number))
        if wanted is None or name in wanted:
            files[name] = str(field(row, ("file_name",), path, number))
            objects.setdefault(name, set())
    for number, row in enumerate(instances, 1):
        name = identity(field(row, ("image_id",), path, number))
        kind = field(row, ("category_id",), path, number)
        if kind not in called:
            raise UsageError(f"{path}: annotation {number} is of a category {kind!r} that there is not")
        if name in objects:
            objects[name].add(called[kind])
    return files


def _known(row: Row, names: Mapping[str, str], path: Path, table: Path) -> str:
    if row.get("name") not in names:
        raise UsageError(f"{path}: the category {row.get('name')!r} is not in {table}")
    return names[row["name"]]


def _described(path: Path) -> list[Row]:
    """Rows with a description each."""
    rows = read_rows(path)
    for row in rows:
        if row.get("question_id") == "imgToEval":  # the authors' format
            return [each for each in row.values() if isinstance(each, dict)]
    return rows


_LAST_NUMBER = re.compile(r"(\d+)(?:\.\w+)?$")


def _image(row: Row, path: Path, number: int) -> str:
    """COCO's number of a picture, which may be given by name: COCO_val2014_000000000042.jpg is 42."""
    given = identity(field(row, ("image_id", *IDS, "image"), path, number))
    found = _LAST_NUMBER.search(given)
    if found is None:
        raise UsageError(f"{path}: row {number} has {given!r} for a picture, which has no number")
    return str(int(found[1]))


# What is said -------------------------------------------------------------------------------------------

_PAIRS = (
    "motor bike", "motor cycle", "air plane", "traffic light", "street light", "traffic signal", "stop light",
    "fire hydrant", "stop sign", "parking meter", "suit case", "sports ball", "baseball bat",
    "baseball glove", "tennis racket", "wine glass", "hot dog", "cell phone", "mobile phone", "teddy bear",
    "hair drier", "potted plant", "laptop computer", "home plate", "train track",
)  # fmt: skip
_YOUNG = (
    "bird", "cat", "dog", "horse", "sheep", "cow", "elephant", "bear", "zebra", "giraffe", "animal", "cub",
)  # fmt: skip
# Two words that are one, by what they are taken as: a baby bird is no person.
_ONE = (
    {pair: pair for pair in _PAIRS}
    | {f"{age} {animal}": animal for animal in _YOUNG for age in ("baby", "adult")}
    | {"passenger jet": "jet", "passenger train": "train", "bow tie": "tie", "toilet seat": "toilet"}
    | {"wine glas": "wine glass"}  # what "glass" becomes
)


def synonyms(path: Path) -> Mapping[str, str]:
    """Objects by the words for them.

    Raises:
        UsageError: the file cannot be read, or is none of synonyms.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{path} cannot be read: {error}") from None
    found: dict[str, str] = {}
    for number, line in enumerate(lines, 1):
        words = line.strip().split(", ")
        if line.strip() and not words[0]:
            raise UsageError(f"{path}, line {number}: an object's name and its synonyms are expected")
        found |= {word: words[0] for word in words if word}
    if not found:
        raise UsageError(f"{path}: holds no synonyms")
    return found


def mentioned(text: str, names: Mapping[str, str]) -> list[str]:
    """The objects that a text mentions, each as often as it does."""
    words = [singular(word) for word in tokens(text.lower())]
    merged = []
    place = 0
    while place < len(words):
        pair = _ONE.get(" ".join(words[place : place + 2]))
        merged.append(pair or words[place])
        place += 2 if pair else 1
    if "toilet" in merged and "seat" in merged:  # it is not a chair's
        merged = [word for word in merged if word != "seat"]
    return [names[word] for word in merged if word in names]


_APART = re.compile(r"""[;@#$%&*?!"“”„«»‘’‒–—―()\[\]{}<>`]|''|--|\.{2,}|[:,](?!\d)|(?<!\w)'(?=\w)""")
_FULL_STOP = re.compile(r"\.(?='*(?:\s|$))")
_CLITIC = re.compile(r"(?<=[^\s'])('(?:s|m|d|ll|re|ve)?|n't)(?=\s|$)")


def tokens(text: str) -> list[str]:
    """Words and marks; what these marks do not part stays together: "salt/pepper" is one."""
    text = _FULL_STOP.sub(r" \g<0> ", _APART.sub(r" \g<0> ", text))
    return _CLITIC.sub(r" \1", text).split()


_IRREGULAR = {"men": "man", "people": "person", "children": "child", "geese": "goose", "oxen": "ox"}
# Ending and what takes its place; the first that fits counts.
_ENDINGS = tuple(
    (re.compile(f"{ending}$"), singular)
    for ending, singular in (
        ("(?<=[ml])ice", "ouse"), ("(?<=[ox])es", ""), ("(?<=bus)es", ""), ("(?<=ch|ss|sh)es", ""),
        ("(?<=[^aeiouy])ies", "y"), ("(?<=[lr])ves", "f"), ("(?<=[nlw]i)ves", "fe"), ("s", ""),
    )
)  # fmt: skip


@functools.lru_cache(1 << 16)
def singular(word: str) -> str:
    """By the rules of pattern.en, those of them that any of COCO's objects is subject to."""
    if word == "scissors":
        return word
    if word.endswith(("collies", "doggies")):
        return word[:-1]
    for plural, one in _IRREGULAR.items():
        if word.endswith(plural):
            return word.removesuffix(plural) + one
    for ending, one in _ENDINGS:
        if ending.search(word):
            return ending.sub(one, word)
    return word


TASKS: Mapping[str, Task] = {Chair.name: Chair()}
