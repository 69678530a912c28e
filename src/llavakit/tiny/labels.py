"""What each part of a picture is, in the labels that the tower learns to answer patch by patch."""

from collections import Counter
from string import ascii_letters, ascii_uppercase, digits

from llavakit.data.contrast import Label, Labels, Region
from llavakit.tiny.world import bays
from llavakit.tiny.world.charts import bars
from llavakit.tiny.world.charts import letters as letters_of_chart
from llavakit.tiny.world.scene import PLACES, Chart, Scene, place, size_of
from llavakit.tiny.world.themes import TAGS
from llavakit.tiny.world.things import COLOURS, KINDS, colour_of
from llavakit.tiny.world.writing import letters

OUTSIDE = "nothing drawn"  # the kind of everything in a picture from outside the world
_LONGER = 224  # pixels of the longer side at which letters and bars are laid out
_MOST = 12  # of a kind that are told apart
_STEP = 3  # sizes nearer than this, in hundredths, need not be
_SIZES = 34
_HIGHEST = 110  # value and bay number


def _up_to(last: int) -> tuple[str, ...]:
    return tuple(map(str, range(last + 1)))


LABELS: Labels = {
    # of a thing
    "kind": Label((*KINDS, OUTSIDE)),
    "colour": Label(tuple(COLOURS), 0.5),
    "place": Label(tuple(PLACES.values()), 0.2),
    "size": Label(_up_to(_SIZES), 0.2),
    "kin": Label(_up_to(_MOST), 0.5),  # how many of its kind there are
    "twins": Label(_up_to(_MOST), 0.3),  # … and of its colour too
    "odd": Label(("belongs", "is out of place"), 0.2),
    "thing": Label(("nothing", "a thing"), cells=1),
    # of what can be read
    "letter": Label(("nothing", *ascii_letters, *digits, *".,:%$£€&'!?-+/"), 1.5, cells=2),
    "value": Label(_up_to(_HIGHEST), 0.5),  # of a bar or point
    "rank": Label(_up_to(6), 0.2),  # 1: the highest
    "initial": Label((*ascii_uppercase, *digits), 0.3),  # of its label
    "hour": Label(_up_to(12), 0.3),
    "minute": Label(_up_to(59), 0.3),
    "bay": Label(_up_to(_HIGHEST), 0.3),
    "taken": Label(("free", "taken"), 0.2),
    # of what is behind
    "theme": Label(("a pattern", *TAGS), 0.1),
    "light": Label(("any", "day", "night"), 0.1),
}


def regions(scene: Scene) -> tuple[Region, ...]:
    """Every part of the scene that a label has an answer for, in the order in which they are painted."""
    size = (round(_LONGER * min(1.0, scene.aspect)), round(_LONGER * min(1.0, 1 / scene.aspect)))
    found = [
        Region(bay.box, {"bay": str(bay.number), "taken": "taken" if bay.taken else "free"})
        for bay in scene.bays
    ]
    found += _of_things(scene)
    found += [Region(writing.box, {}) for writing in scene.writings]
    for chart in scene.charts:
        found += [Region(chart.box, {}), *_of_chart(chart, size)]
    found += [
        Region(clock.box, {"hour": str(clock.hour), "minute": str(clock.minute)}) for clock in scene.clocks
    ]
    written = [each for writing in scene.writings for each in letters(writing, size)]
    written += [each for chart in scene.charts for each in letters_of_chart(chart, size)]
    written += bays.digits(scene.bays, size, scene.seed)
    known = set(LABELS["letter"].classes)
    found += [Region(box, {"letter": letter}) for letter, box in written if letter in known]
    light = {None: "any", False: "day", True: "night"}[scene.night]
    return (*found, Region(None, {"theme": scene.theme or "a pattern", "light": light}))


def _of_things(scene: Scene) -> list[Region]:
    kin = Counter(thing.kind for thing in scene.things)
    twins = Counter((thing.kind, colour_of(thing)) for thing in scene.things)
    found = []
    for number, thing in enumerate(scene.things):
        colour = colour_of(thing)
        told = {
            "thing": "a thing",
            "kind": thing.kind,
            "place": place(thing),
            "size": str(min(_SIZES, size_of(thing, scene.aspect) // _STEP)),
            "kin": str(min(_MOST, kin[thing.kind])),
            "twins": str(min(_MOST, twins[thing.kind, colour])),
        }
        if colour in COLOURS:
            told["colour"] = colour
        if scene.theme:
            told["odd"] = "is out of place" if scene.odd == number else "belongs"
        found.append(Region(thing.box, told))
    return found


def _of_chart(chart: Chart, size: tuple[int, int]) -> list[Region]:
    falling = sorted(chart.values, reverse=True)
    colours = chart.colours * len(chart.labels) if chart.form == "line" else chart.colours
    return [
        Region(
            box,
            {
                "value": str(value),
                "rank": str(falling.index(value) + 1),
                "initial": label[0].upper(),
                "colour": colour,
            },
        )
        for (label, value, box), colour in zip(bars(chart, size), colours, strict=True)
    ]
