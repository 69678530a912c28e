"""How fast the offline teacher writes: rows a second of one core, beside a JSON round trip of the same rows.

    python benchmarks/offline_teacher.py [--scenes 3000] [--rounds 3] [--seed 0]

Scenes are drawn: five captions and about seven boxes each, as in COCO, no caption twice. "paper" is the mix
of the paper's three kinds, one row a scene; the other lines are a row of that kind of each scene. Seconds
are of this process alone, so that it may be run beside others. Prints a table and one JSON object.
"""

import argparse
import json
import random
import statistics
import time
from collections.abc import Callable
from typing import Any

from llavakit.synth.offline import OfflineTeacher
from llavakit.synth.scene import Scene, Thing
from llavakit.synth.task import KINDS, Task

PAPER = {"conversation": 58, "detail": 23, "reasoning": 77}  # thousands of rows (LLaVA, section 3)
THINGS = (
    "person", "chair", "car", "cup", "bottle", "book", "dining table", "dog", "cat", "bowl",
    "bench", "backpack", "umbrella", "laptop", "couch", "tv", "clock", "potted plant", "bicycle", "bird",
    "truck", "traffic light", "knife", "fork", "spoon", "pizza", "sandwich", "horse",
)  # fmt: skip
LIKE = ("small", "large", "old", "red", "black", "wooden", "bright", "striped", "empty", "broken", "shiny")
DOING = ("sitting", "standing", "lying", "waiting", "leaning", "resting", "moving")
PLACES = (
    "a brick wall", "an open window", "the side of a road", "a busy street", "some tall trees",
    "a kitchen counter", "a grassy field", "a city park", "a market stall", "the edge of a lake",
    "a wide doorway", "a stone bridge",
)  # fmt: skip


def caption(rng: random.Random, names: list[str]) -> str:
    a, b = rng.choice(names), rng.choice(names)
    like, near = rng.choice(LIKE), rng.choice(("next to", "in front of", "behind", "near", "beside"))
    return rng.choice(
        (
            f"A {like} {a} {rng.choice(DOING)} {near} a {b} by {rng.choice(PLACES)}",
            f"a {a} and a {rng.choice(LIKE)} {b} {near} {rng.choice(PLACES)}.",
            f"There is a {like} {a} {near} {rng.choice(PLACES)} with a {rng.choice(LIKE)} {b}.",
            f"The {like} {a} is {rng.choice(DOING)} {near} {rng.choice(PLACES)}.",
            f"A view of a {a} {near} a {b} at {rng.choice(PLACES)} on a {rng.choice(LIKE)} day",
        )
    )


def scene(rng: random.Random, number: int) -> Scene:
    names = rng.sample(sorted(THINGS), rng.randint(1, 5))
    things = []
    for name in names:
        for _ in range(min(8, 1 + int(rng.expovariate(0.8)))):
            x, y = rng.random() * 0.85, rng.random() * 0.85
            width, height = rng.uniform(0.05, 1 - x), rng.uniform(0.05, 1 - y)
            things.append(Thing(name, (x, y, round(x + width, 3), round(y + height, 3))))
    captions = tuple(caption(rng, names) for _ in range(5))
    return Scene(f"{number:012}", f"{number:012}.jpg", captions, tuple(things), row=number + 1)


def tasks(count: int, seed: int) -> list[Task]:
    """Of kind "", one a scene, with what is absent."""
    rng = random.Random(seed)
    vocabulary = sorted(THINGS)
    found = []
    for number in range(count):
        drawn = scene(rng, number)
        here = {thing.category for thing in drawn.things}
        absent = [name for name in vocabulary if name not in here]
        found.append(Task(drawn, "", seed, tuple(rng.sample(absent, 10))))
    return found


def seconds(work: Callable[[], Any]) -> float:
    started = time.process_time()
    work()
    return time.process_time() - started


def measure(asked: list[Task]) -> tuple[float, list[str]]:
    """Seconds, and the rows as JSON."""
    teacher = OfflineTeacher()
    replies = []
    spent = seconds(lambda: replies.extend(teacher.reply(task) for task in asked))
    rows = [
        json.dumps({"id": task.id, "image": task.scene.image, "kind": task.kind, "text": reply.text})
        for task, reply in zip(asked, replies, strict=True)
        if reply.text
    ]
    return spent, rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--scenes", type=int, default=3000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    scenes = tasks(arguments.scenes, arguments.seed)
    rng = random.Random(arguments.seed)
    mixed = rng.choices(list(PAPER), list(PAPER.values()), k=len(scenes))
    report: dict[str, dict[str, float]] = {}
    print(f"{'':14}{'rows/s':>9}{'written':>9}{'JSON rows/s':>13}{'x JSON time':>13}")
    for name in ("paper", *KINDS):
        kinds = mixed if name == "paper" else [name] * len(scenes)
        asked = [
            Task(each.scene, kind, each.seed, each.absent) for each, kind in zip(scenes, kinds, strict=True)
        ]
        spent, turned, rows = [], [], []
        for _ in range(arguments.rounds):
            once, rows = measure(asked)
            spent.append(once)
            turned.append(seconds(lambda rows=rows: [json.dumps(json.loads(row)) for row in rows]))
        own, plain = len(asked) / statistics.median(spent), len(rows) / statistics.median(turned)
        report[name] = {
            "rows_per_second": own, "written": len(rows) / len(asked), "json_rows_per_second": plain,
            "times_json": plain / own,
        }  # fmt: skip
        print(f"{name:14}{own:9.0f}{report[name]['written']:9.1%}{plain:13.0f}{plain / own:13.1f}")
    print(json.dumps({"scenes": len(scenes), "rounds": arguments.rounds, "medians": report}))


if __name__ == "__main__":
    main()
