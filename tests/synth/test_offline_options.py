"""Which options of a question of the offline teacher are true, computed from the boxes."""

import re

import pytest

from llavakit.synth.scene import Scene, Thing
from llavakit.synth.task import Task
from synth.test_offline_claims import NUMBERS, World, area, is_related, to_edge
from synth.test_offline_verdicts import USES, clearly, nouns, things, truth_of


def right_options(task: Task, question: str, options: list[str]) -> list[str]:
    """Which of the options are true."""
    world = World(task)
    asked = question.lower()

    def is_right(option: str) -> bool | None:
        words = option.rstrip(".")
        if "how many" in asked or "what is the number" in asked:
            return world.count(nouns(asked)[0]) == (int(words) if words.isdigit() else NUMBERS[words.lower()])
        if "not in the picture" in asked or "cannot be seen" in asked or "not show" in asked:
            return world.category(words) in task.absent and not world.here(world.category(words))
        if re.match(r"which (?:one )?of these (?:is in|can be seen in|does the picture show)", asked):
            return world.here(world.category(words))
        if re.match(r"which of these things in the picture is", asked):
            group = {"animal": "move about", "vehicle": "another place", "eat": "eaten", "furniture": "",
                     "sport": "sport", "appliance": ""}  # fmt: skip
            key = next(each for each in group if each in asked)
            fit = USES[group[key]] if group[key] else {
                "furniture": "chair couch bed dining_table bench",
                "appliance": "microwave oven toaster refrigerator",
            }[key]  # fmt: skip
            return world.category(words) in {name.replace("_", " ") for name in fit.split()}
        if re.match("(?:where|in which part)", asked) and "seen from" not in asked:
            return clearly(world.one(f"the {nouns(asked)[0]}"), words)
        if "in relation to" in asked or "seen from" in asked:
            a, b = things(asked)
            return is_related(world.one(a), words.lower().removesuffix(f" {b}"), world.one(b))
        if "true" in asked or "right" in asked.split("?")[0].split()[-1]:
            return truth_of(
                world,
                words.replace("There are", "Are there")
                + ("" if "as many" not in words else " in the picture")
                + "?",
            )
        things_ = [option.lower() for option in options]
        others = [world.one(each) for each in things_ if each != words.lower()]
        box = world.one(words)
        edge = re.search(r"nearest to the (\w+) edge", asked)
        if edge:
            return all(to_edge(box, edge[1]) < to_edge(other, edge[1]) for other in others)
        assert "the most" in asked or "fills" in asked, question
        return all(area(box) > area(other) for other in others)

    return [option for option in options if is_right(option)]


THINGS = (
    Thing("dog", (0.0, 0.4, 0.2, 0.6)), Thing("cat", (0.7, 0.4, 0.9, 0.7)),
    Thing("cup", (0.8, 0.0, 0.9, 0.1)), Thing("cup", (0.8, 0.2, 0.9, 0.3)),
)  # fmt: skip


@pytest.mark.parametrize(
    ("question", "options", "right"),
    [
        ("How many cups are there in the picture?", ["One", "Two", "Three"], ["Two"]),
        ("Which of these is in the picture?", ["Dog", "Horse"], ["Dog"]),
        ("Which of these is not in the picture?", ["Dog", "Horse"], ["Horse"]),
        ("Where is the dog?", ["On the left", "On the right", "In the middle"], ["On the left"]),
        ("Where is the dog, seen from the cat?", ["To the left of the cat", "To the right of the cat"],
         ["To the left of the cat"]),
        ("Which of these takes up the most of the picture?", ["The dog", "The cat"], ["The cat"]),
    ],
)  # fmt: skip
def test_the_true_option_is_found(question: str, options: list[str], right: list[str]) -> None:
    task = Task(Scene("1", "1.jpg", things=THINGS), "choice", absent=("horse",))
    assert right_options(task, question, options) == right
