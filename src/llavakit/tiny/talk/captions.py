"""What is said of a whole picture: captions, inventories, descriptions."""

import random

from llavakit.tiny.talk.asking import question, spots
from llavakit.tiny.talk.question import Asked, Language, Maker
from llavakit.tiny.talk.surroundings import also, bays_told, extras, where_we_are, written
from llavakit.tiny.talk.words import (
    article,
    at,
    groups,
    join,
    named,
    phrase,
    sentence,
    summary,
)
from llavakit.tiny.world.clocks import spoken as time_of
from llavakit.tiny.world.clocks import spoken_zh as time_of_zh
from llavakit.tiny.world.scene import PLACES, Chart, Scene, cell, in_reading_order, place, size_of


def caption(scene: Scene, rng: random.Random) -> str:
    """One line that tells this picture from others: the place, what is there, how many, what is written."""
    parts = [*summary(scene), *also(scene)]
    theme = where_we_are(scene)
    times = [f"showing {time_of(clock)}" for clock in scene.clocks[:1]]
    if not parts:
        return theme or rng.choice(("an empty picture", "a picture of nothing", "nothing but a background"))
    if rng.random() < 0.25 and 0 < len(scene.things) < 6:
        listed = _placed(scene, rng)
    else:
        listed = join(rng.sample(parts, len(parts)))
    opening = rng.choice(("", "", "", "a picture of ", "a drawing of ", "an image with "))
    told = f"{theme} with {listed}" if theme else opening + listed
    details = [*times, *(_pairs(chart) for chart in scene.charts if rng.random() < 0.7)]
    return ", ".join([told, *details, *([bays_told(scene).rstrip(".").lower()] if scene.bays else [])])


def _pairs(chart: Chart) -> str:
    """As in "Fruit: apples 7 and pears 3"."""
    pairs = join([f"{label} {value}" for label, value in zip(chart.labels, chart.values, strict=True)])
    return f"{chart.title}: {pairs}" if chart.title else pairs


def _placed(scene: Scene, rng: random.Random) -> str:
    """Each thing by itself with its place, then the rest: "a red car at the top left and a banana …"."""
    things = list(in_reading_order(scene.things))
    if rng.random() < 1 / 3:
        rng.shuffle(things)
    told = [f"{article(phrase(thing))} {at(place(thing))}" for thing in things]
    return join([*told, *(f"{text} {at(PLACES[cell(box)])}" for box, text in extras(scene))])


def inventory(scene: Scene, rng: random.Random) -> str:
    """All that answers may need, in words that stand where the picture will stand: each thing with its place
    and size (the root of its area, in hundredths), the theme, the light, writing, times, values, bays."""
    things = list(in_reading_order(scene.things))
    if rng.random() < 1 / 3:
        rng.shuffle(things)
    told = [
        f"{article(phrase(thing))} {at(place(thing))} of size {size_of(thing, scene.aspect)}"
        for thing in things
    ]
    told += [f"{written(writing)} {at(PLACES[cell(writing.box)])}" for writing in scene.writings]
    told += [f"a clock {at(PLACES[cell(clock.box)])} showing {time_of(clock)}" for clock in scene.clocks]
    told += [
        f"a {chart.form} chart of {_pairs(chart)} in {join(list(dict.fromkeys(chart.colours)))}"
        for chart in scene.charts
    ]
    told += [f"bay {bay.number} {'taken' if bay.taken else 'free'}" for bay in scene.bays]
    theme = where_we_are(scene)
    if scene.theme and scene.night is False:
        theme = f"{theme} by day"
    elif scene.night is not None and not scene.theme:
        told.append("it is night" if scene.night else "it is day")
    listed = ", ".join(told)
    if theme:
        return f"{theme}: {listed}" if told else f"{theme} with nothing on it"
    return listed or "an empty picture"


# ---------------------------------------------------------------- descriptions


def brief(scene: Scene, language: Language = "en") -> str:
    """One sentence: the place and everything in it."""
    listed = join([*summary(scene, language), *also(scene, language)], language)
    theme = where_we_are(scene, language)
    if language == "zh":
        if theme:
            return f"这是{theme}，图里有{listed}。" if listed else f"这是{theme}。"
        return f"图里有{listed}。" if listed else "图里什么都没有。"
    if theme:
        return f"The picture shows {theme} with {listed}." if listed else f"The picture shows {theme}."
    return f"The picture shows {listed}." if listed else "The picture is empty: there is only a background."


def detailed(scene: Scene, language: Language = "en") -> str:
    """What is there, where it is, then what is to be read."""
    told = [brief(scene, language), _where_everything_is(scene, language)]
    if language == "zh":
        told += [f"钟上是{time_of_zh(clock)}。" for clock in scene.clocks]
        return "".join(told)
    told += [f"The clock shows {time_of(clock)}." for clock in scene.clocks]
    told += [f"The chart shows {_pairs(chart)}." for chart in scene.charts]
    return " ".join(filter(None, [*told, bays_told(scene)]))


def _where_everything_is(scene: Scene, language: Language) -> str:
    """As in "The red cars are on the left and at the bottom, and the banana is in the middle."."""
    parts = []
    for (kind, colour), things in groups(scene).items():
        several = len(things) > 1
        name = named(kind, colour, language, plural=several)
        where = spots(things, language)[0]
        parts.append(name + where if language == "zh" else f"the {name} {'are' if several else 'is'} {where}")
    for box, text in extras(scene):
        if language == "en":
            parts.append(
                f"{text.replace('a ', 'the ', 1).partition(' that says')[0]} is {at(PLACES[cell(box)])}"
            )
    if not parts:
        return ""
    if language == "zh":
        return "，".join(parts) + "。"
    return sentence(", and ".join([", ".join(parts[:-1]), parts[-1]] if len(parts) > 1 else parts)) + "."


def _kinds_in(scene: Scene) -> str:
    return ", ".join(dict.fromkeys(thing.kind for thing in in_reading_order(scene.things))) or "nothing"


def _brief(scene: Scene, rng: random.Random, language: Language) -> Asked | None:
    asked = question("brief", "brief", brief(scene, language), _kinds_in(scene), rng, language)
    return Asked(asked, scene.things)


def _describe(scene: Scene, rng: random.Random, language: Language) -> Asked | None:
    asked = question("describe", "describe", detailed(scene, language), _kinds_in(scene), rng, language)
    return Asked(asked, scene.things)


MAKERS: dict[str, Maker] = {"brief": _brief, "describe": _describe}
