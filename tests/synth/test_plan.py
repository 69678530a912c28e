"""Which rows are asked for of which scene."""

from collections import Counter

import pytest

from llavakit.errors import UsageError
from llavakit.synth.plan import PAPER, Plan
from llavakit.synth.scene import Scene
from llavakit.synth.task import KINDS


def scenes(count: int) -> list[Scene]:
    return [Scene(str(i), f"{i}.jpg", ("A dog.",)) for i in range(count)]


def anything(scene: Scene, kind: str) -> str:
    return ""


def test_kinds_by_name_give_every_scene_a_row_of_each() -> None:
    plan = Plan.parse("absent, conversation")
    tasks, why = plan.of(scenes(1)[0], 0, anything)
    assert [task.id for task in tasks] == ["0-conversation", "0-absent"]
    assert why == {}


def test_all_is_every_kind() -> None:
    tasks, _ = Plan.parse("all").of(scenes(1)[0], 0, anything)
    assert [task.kind for task in tasks] == list(KINDS)


def test_the_papers_shares_give_every_scene_one_row() -> None:
    plan = Plan.parse("paper")
    tasks = [task for scene in scenes(3000) for task in plan.of(scene, 0, anything)[0]]
    assert len(tasks) == 3000
    for kind, found in Counter(task.kind for task in tasks).items():
        expected = 3000 * PAPER[kind] / sum(PAPER.values())
        assert abs(found - expected) < 4 * expected**0.5


def test_the_choice_follows_from_seed_and_scene_alone() -> None:
    plan = Plan.parse("detail=1,brief=1")
    first, again = ([plan.of(scene, 3, anything)[0][0].kind for scene in scenes(64)] for _ in range(2))
    other = [plan.of(scene, 4, anything)[0][0].kind for scene in scenes(64)]
    assert first == again != other


def test_what_cannot_be_asked_of_a_scene_is_told_or_something_else_is_drawn() -> None:
    def no_brief(scene: Scene, kind: str) -> str:
        return "it has no captions" if kind == "brief" else ""

    tasks, why = Plan.parse("detail,brief").of(scenes(1)[0], 0, no_brief)
    assert [task.kind for task in tasks] == ["detail"]
    assert why == {"brief": "it has no captions"}
    drawn = [Plan.parse("detail=1,brief=9").of(scene, 0, no_brief) for scene in scenes(20)]
    assert all([task.kind for task in tasks] == ["detail"] and not why for tasks, why in drawn)
    assert Plan.parse("brief=1").of(scenes(1)[0], 0, no_brief) == ([], {"brief": "it has no captions"})


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("conversatoin", "did you mean 'conversation'"),
        ("detail,detail", "named twice"),
        ("detail=1,brief", "brief has no share"),
        ("detail=none", "give a number above 0"),
        ("detail=0", "give a number above 0"),
        ("detail=inf", "give a number above 0"),
        ("", "no kind of row ''"),
    ],
)
def test_a_plan_that_makes_no_sense_is_told(text: str, told: str) -> None:
    with pytest.raises(UsageError, match=told):
        Plan.parse(text)
