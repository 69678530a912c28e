"""Nothing that the offline teacher says is false: over real scenes, and over drawn ones, however odd."""

import json
import random
import re
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llavakit.synth.offline import OfflineTeacher
from llavakit.synth.scene import Region, Scene, Thing
from llavakit.synth.task import KINDS, Task
from synth.test_offline_claims import COCO, World
from synth.test_offline_options import right_options
from synth.test_offline_verdicts import agrees, faults, is_told

REAL = Path(__file__).resolve().parents[3] / "shared/data/captions/caps_boxes_coco2014_val_80.jsonl"
BLOCK = re.compile(r"Question: ([^\n]+)\nAnswer: ([^\n]+)")
CHOICE = re.compile(r"Question: ([^\n]+)\n((?:[A-F]\. [^\n]+\n){2,6})Answer: ([A-F])")


def real_scenes() -> list[Scene]:
    rows = [json.loads(line) for line in REAL.read_text().splitlines()]
    return [
        Scene(row["id"], row["image"], tuple(row["captions"]),
              tuple(Thing(each["category"], tuple(each["bbox"])) for each in row["instances"]), row=number)
        for number, row in enumerate(rows, 1)
    ]  # fmt: skip


def asked(scene: Scene, kind: str, seed: int) -> Task:
    here = {thing.category for thing in scene.things} | scene.crowds
    missing = [name for name in COCO if name not in here]
    absent = random.Random(f"{scene.id} {seed}").sample(missing, 10) if scene.complete else []
    return Task(scene, kind, seed, tuple(absent))


def pairs(kind: str, text: str) -> list[tuple[str, str]]:
    """A reply, read strictly in the form of its kind."""
    if kind in ("detail", "brief"):
        assert "\n" not in text and text == text.strip()
        return [("", text)]
    blocks = text.split("\n\n")
    found = [BLOCK.fullmatch(block) for block in blocks]
    assert all(found), text
    turns = [(block[1], block[2]) for block in found if block]
    least, most = {"conversation": (3, 6), "reasoning": (1, 1), "absent": (1, 6)}[kind]
    assert least <= len(turns) <= most
    assert len({question for question, _ in turns}) == len(turns), text
    return turns


def wrong(task: Task, text: str) -> list[str]:
    if not text:
        return []
    if task.kind == "choice":
        found = CHOICE.fullmatch(text)
        assert found, text
        options = [line[3:] for line in found[2].splitlines()]
        right = right_options(task, found[1], options)
        return [] if right == [options["ABCDEF".index(found[3])]] else [f"{text}: {right}"]
    if task.kind == "brief":
        return [] if is_told(World(task), text) and agrees(World(task), text) else [text]
    return [fault for question, answer in pairs(task.kind, text) for fault in faults(task, question, answer)]


@pytest.mark.skipif(not REAL.exists(), reason="the real scenes are not here")
@pytest.mark.parametrize("kind", KINDS)
def test_nothing_false_is_said_of_real_scenes(kind: str) -> None:
    teacher, written = OfflineTeacher(), 0
    for scene in real_scenes():
        for seed in range(5):
            task = asked(scene, kind, seed)
            reply = teacher.reply(task)
            assert bool(reply.text) is not bool(reply.reason)
            assert wrong(task, reply.text) == []
            written += bool(reply.text)
    assert written > {"reasoning": 300, "choice": 380, "detail": 330}.get(kind, 370)


_CAPTIONED = (
    "A {a} next to a {b}.", "Two {a}s and a {b} near a wall", "a {b} behind the {a}", "several {a}s in a row",
    "There is no {a} here, only a {b}.", "A small {a} standing beside a big {b}", "one {a} and three {b}s",
    "A man and a woman with a {a} at a table.", "Another {a} is lying on top of a {b}.",
    "a pair of {a}s by the {b}",
    "The {a} is on the left of the {b}.", "a group of people around a {a}", "A LONE {a} ON A STREET",
)  # fmt: skip


@st.composite
def scenes(draw: st.DrawFn) -> Scene:
    categories = draw(st.lists(st.sampled_from(COCO), max_size=6, unique=True))
    grid = st.integers(0, 20)
    things = []
    for category in categories:
        for _ in range(draw(st.integers(1, 4))):
            x1, y1, width, height = draw(grid), draw(grid), draw(st.integers(1, 20)), draw(st.integers(1, 20))
            box = x1 / 20.5, y1 / 20.5, min(1.0, (x1 + width) / 20.5), min(1.0, (y1 + height) / 20.5)
            things.append(Thing(category, box))
    names = [*categories, "person", "dog", "car"]
    captions = [
        draw(st.sampled_from(_CAPTIONED)).format(
            a=draw(st.sampled_from(names)), b=draw(st.sampled_from(names))
        )
        for _ in range(draw(st.integers(0, 4)))
    ]
    crowds = (
        draw(st.frozensets(st.sampled_from(COCO), max_size=1))
        if draw(st.integers(0, 3)) == 0
        else frozenset()
    )
    return Scene(
        str(draw(st.integers(0, 999))), "a.jpg", tuple(captions), tuple(things),
        complete=draw(st.integers(0, 4)) > 0, crowds=crowds,
    )  # fmt: skip


@settings(max_examples=300, deadline=None)
@given(scene=scenes(), seed=st.integers(0, 2**32))
def test_nothing_false_is_said_of_drawn_scenes(scene: Scene, seed: int) -> None:
    teacher = OfflineTeacher()
    for kind in KINDS:
        task = asked(scene, kind, seed)
        assert wrong(task, teacher.reply(task).text) == []


_TEXT = st.one_of(st.text(max_size=60), st.from_regex(r"[A-Za-z' ,.\n-]{3,80}", fullmatch=True))
_BOX = st.tuples(*[st.integers(0, 10)] * 4).map(
    lambda at: (at[0] / 20, at[1] / 20, (at[0] + at[2] + 1) / 21, (at[1] + at[3] + 1) / 21)
)


@settings(max_examples=150, deadline=None)
@given(
    captions=st.lists(_TEXT, max_size=4), things=st.lists(st.builds(Thing, _TEXT, _BOX), max_size=6),
    regions=st.lists(st.builds(Region, _TEXT, _BOX), max_size=4), absent=st.lists(_TEXT, max_size=3),
)  # fmt: skip
def test_whatever_a_scene_holds_the_form_is_kept(
    captions: list[str], things: list[Thing], regions: list[Region], absent: list[str]
) -> None:
    scene = Scene("1", "1.jpg", tuple(captions), tuple(things), tuple(regions), tuple(captions))
    teacher = OfflineTeacher()
    for kind in KINDS:
        reply = teacher.reply(Task(scene, kind, 0, tuple(absent)))
        if kind == "choice":
            assert not reply.text or CHOICE.fullmatch(reply.text)
        elif reply.text:
            pairs(kind, reply.text)


def test_a_false_sentence_would_be_found() -> None:
    """The proof proves something: each of these differs from the truth in one word."""
    things = (
        Thing("dog", (0.0, 0.4, 0.2, 0.6)), Thing("cat", (0.7, 0.4, 0.9, 0.7)),
        Thing("cup", (0.8, 0.0, 0.9, 0.1)), Thing("cup", (0.8, 0.2, 0.9, 0.3)),
    )  # fmt: skip
    task = Task(Scene("1", "a.jpg", ("A dog lying near a cat.",), things), "conversation", absent=("horse",))
    for question, true, false in (
        ("", "There are two cups in the picture.", "There are three cups in the picture."),
        ("", "The dog is on the left side of the picture.", "The dog is on the right side of the picture."),
        ("", "The dog is to the left of the cat.", "The dog is to the right of the cat."),
        ("", "Both cups are above the cat.", "Both cups are below the cat."),
        ("Is there a horse in the picture?", "No, there is no horse in the picture.",
         "Yes, there is a horse in the picture."),
        ("Is there a dog in the picture?", "Yes, there is a dog in the picture.",
         "No, there is no dog in the picture."),
        ("Are there more cups than dogs in the picture?",
         "Yes, there are more cups than dogs: two cups and one dog.",
         "No, there are fewer cups than dogs: two cups and one dog."),
        ("", "The dog is lying near a cat.", "The cat is lying near a dog."),
        ("", "The picture shows a dog lying near a cat.", "The picture shows a dog sitting near a cat."),
        ("", "The cat takes up more of the picture than the dog.",
         "The dog takes up more of the picture than the cat."),
    ):  # fmt: skip
        assert faults(task, question, true) == []
        assert faults(task, question, false) != []


@pytest.mark.skipif(not REAL.exists(), reason="the real scenes are not here")
def test_replies_vary() -> None:
    """Yes and no are both common, and so are many forms of questions."""
    teacher = OfflineTeacher()
    signs, kinds_of_question = Counter(), Counter()
    for scene in real_scenes():
        for kind in ("conversation", "absent", "reasoning"):
            for seed in range(3):
                for question, answer in BLOCK.findall(teacher.reply(asked(scene, kind, seed)).text):
                    signs[re.match(r"Yes|No|", answer)[0]] += 1
                    kinds_of_question[kind, " ".join(question.split()[:2])] += 1
    assert 0.5 < signs["Yes"] / signs["No"] < 2
    for kind in ("conversation", "reasoning"):
        counts = [n for (of, _), n in kinds_of_question.items() if of == kind]
        assert len(counts) > 15 and max(counts) < 0.3 * sum(counts)
