"""Questions about bar and line charts: the highest, a value, two compared, all of it."""

import random
import re

from llavakit.tiny.talk.question import Asked, Language, Maker, Question, Rule
from llavakit.tiny.talk.wording import worded
from llavakit.tiny.talk.wordings_read import WORDINGS, WORDINGS_ZH
from llavakit.tiny.talk.words import NUMBERS, colour_name, join, number
from llavakit.tiny.world.scene import Chart, Scene

_ABSENT = 0.06  # share of pictures without a chart that are asked about one all the same, by each kind
_MISSING = 0.1  # share of questions about a value that ask for a label that is not there
_OTHERS = ("Kiwis", "Rabbits", "Zoe", "Melons", "Horses", "Oscar", "2031", "Cheese")


# ---------------------------------------------------------------- makers


def _worded(kind: str, chart: Chart, rng: random.Random, language: Language, x: str = "", y: str = "") -> str:
    table = (WORDINGS_ZH if language == "zh" else WORDINGS)[kind]
    unit = "bar" if chart.form == "bar" else "point"
    if len(x) > 1 and language == "en" and rng.random() < 0.4:
        x, y = x.lower(), y.lower()
    return worded(table, rng, x=x, y=y, bar=unit)


def _chart(scene: Scene) -> Chart | None:
    return scene.charts[0] if len(scene.charts) == 1 else None


def _absent(kind: str, scene: Scene, rng: random.Random, language: Language) -> Asked | None:
    """That there is no chart, now and then; only for questions that name one, or bars."""
    table = WORDINGS[kind]
    named = tuple(wording for wording in table if re.search(r"\b(chart|graph|plot|diagram)\b", wording))
    if scene.charts or language != "en" or not named or rng.random() >= _ABSENT:
        return None
    a, b = rng.sample(_OTHERS, 2)
    text = worded(named, rng, x=a, y=b, bar="bar")
    return Asked(Question(kind, text, "There is no chart in the picture.", "nothing"))


def _extreme(highest: bool) -> Maker:
    kind = "chart_highest" if highest else "chart_lowest"
    word, zh = ("highest", "最高") if highest else ("lowest", "最低")

    def make(scene: Scene, rng: random.Random, language: Language) -> Asked | None:
        if (chart := _chart(scene)) is None:
            return _absent(kind, scene, rng, language)
        value = max(chart.values) if highest else min(chart.values)
        if chart.values.count(value) > 1:
            return None
        label = chart.labels[chart.values.index(value)]
        text = _worded(kind, chart, rng, language)
        answer = f"The {word} is {label}, at {value}."
        if language == "zh":
            answer = f"{zh}的是{label}，值为{value}。"
        return Asked(Question(kind, text, answer, f"{label}={value}", language))

    return make


def _value(scene: Scene, rng: random.Random, language: Language) -> Asked | None:
    if (chart := _chart(scene)) is None:
        return _absent("chart_value", scene, rng, language)
    known = {label.lower().rstrip("s") for label in chart.labels}
    if language == "en" and rng.random() < _MISSING:
        label = rng.choice([label for label in _OTHERS if label.lower().rstrip("s") not in known])
        text = _worded("chart_value", chart, rng, language, label)
        return Asked(Question("chart_value", text, f"The chart does not show {label}.", "nothing"))
    label, value = rng.choice(list(zip(chart.labels, chart.values, strict=True)))
    text = _worded("chart_value", chart, rng, language, label)
    answer = f"{label}是{value}。" if language == "zh" else f"The value of {label} is {value}."
    return Asked(Question("chart_value", text, answer, f"{label}={value}", language))


def _two(chart: Chart, rng: random.Random) -> tuple[tuple[str, int], tuple[str, int]]:
    first, second = rng.sample(list(zip(chart.labels, chart.values, strict=True)), 2)
    return first, second


def _compare(scene: Scene, rng: random.Random, language: Language) -> Asked | None:
    chart = _chart(scene)
    if chart is None or language != "en":
        return None
    (a, first), (b, second) = _two(chart, rng)
    text = _worded("chart_compare", chart, rng, language, a, b)
    if first == second:
        answer, truth = f"They are equal, at {first}.", "equal"
    else:
        (more, high), (less, low) = sorted(((a, first), (b, second)), key=lambda pair: -pair[1])
        answer, truth = f"The higher is {more}, at {high} against {low}.", f"{more}>{less}"
    return Asked(Question("chart_compare", text, answer, truth))


def _difference(scene: Scene, rng: random.Random, language: Language) -> Asked | None:
    chart = _chart(scene)
    if chart is None or language != "en":
        return None
    (more, high), (less, low) = sorted(_two(chart, rng), key=lambda pair: -pair[1])
    text = _worded("chart_difference", chart, rng, language, more, less)
    return Asked(Question("chart_difference", text, f"The difference is {high - low}.", str(high - low)))


def _count(scene: Scene, rng: random.Random, language: Language) -> Asked | None:
    if language != "en":
        return None
    if (chart := _chart(scene)) is None:
        return _absent("chart_count", scene, rng, language)
    n, unit = len(chart.labels), "bars" if chart.form == "bar" else "points"
    text = _worded("chart_count", chart, rng, language)
    return Asked(Question("chart_count", text, f"There are {number(n)} {unit}.", str(n)))


def _read(scene: Scene, rng: random.Random, language: Language) -> Asked | None:
    if language != "en":
        return None
    if (chart := _chart(scene)) is None:
        return _absent("chart_read", scene, rng, language)
    pairs = list(zip(chart.labels, chart.values, strict=True))
    answer = f"The chart shows {join([f'{label} {value}' for label, value in pairs])}."
    truth = "\n".join(f"{label}={value}" for label, value in pairs)
    return Asked(Question("chart_read", _worded("chart_read", chart, rng, language), answer, truth))


def _kind(scene: Scene, rng: random.Random, language: Language) -> Asked | None:
    if language != "en":
        return None
    if (chart := _chart(scene)) is None:
        return _absent("chart_kind", scene, rng, language)
    text = _worded("chart_kind", chart, rng, language)
    return Asked(Question("chart_kind", text, f"It is a {chart.form} chart.", chart.form))


def _title(scene: Scene, rng: random.Random, language: Language) -> Asked | None:
    chart = _chart(scene)
    if chart is None or language != "en":
        return None
    text = _worded("chart_title", chart, rng, language)
    answer = f'The title is "{chart.title}".' if chart.title else "The chart has no title."
    return Asked(Question("chart_title", text, answer, chart.title or "nothing"))


def _colour(scene: Scene, rng: random.Random, language: Language) -> Asked | None:
    chart = _chart(scene)
    if chart is None or chart.form != "bar" or language != "en":
        return None
    label, colour = rng.choice(list(zip(chart.labels, chart.colours, strict=True)))
    text = _worded("chart_colour", chart, rng, language, label)
    return Asked(Question("chart_colour", text, f"The {label} bar is {colour_name(colour)}.", colour))


MAKERS: dict[str, Maker] = {
    "chart_highest": _extreme(True),
    "chart_lowest": _extreme(False),
    "chart_value": _value,
    "chart_compare": _compare,
    "chart_difference": _difference,
    "chart_count": _count,
    "chart_read": _read,
    "chart_kind": _kind,
    "chart_title": _title,
    "chart_colour": _colour,
}


# ---------------------------------------------------------------- rules

_NONE = re.compile(r"\b(no|not|nothing|none|doesn't|isn't|don't)\b|没有", re.IGNORECASE)


def _places(label: str, reply: str) -> list[int]:
    """Where a reply names the label, in the singular or the plural; a single letter only as a capital."""
    flags = re.IGNORECASE if len(label) > 1 else 0
    stem = label[:-1] if len(label) > 2 and label[-1] in "sS" else label
    plural = "s?" if len(label) > 1 and not label.isdigit() else ""
    pattern = rf"(?<![A-Za-z0-9]){re.escape(stem)}{plural}(?![A-Za-z0-9])"
    return [match.start() for match in re.finditer(pattern, reply, flags)]


def _numbers(reply: str, *besides: str) -> list[int]:
    """The numbers a reply names, in figures or words, in their order; less the labels `besides`."""
    for label in besides:
        reply = re.sub(rf"(?<![A-Za-z0-9]){re.escape(label)}(?![A-Za-z0-9])", " ", reply)
    found = re.findall(r"\d+|[a-z]+", reply.lower())
    return [
        int(word) if word.isdigit() else NUMBERS.index(word)
        for word in found
        if word.isdigit() or word in NUMBERS
    ]


def _nothing(reply: str) -> bool:
    return bool(_NONE.search(reply)) and not _numbers(reply, *_OTHERS)


def _right_extreme(question: Question, reply: str) -> bool:
    """The label, with its value or without; a value alone only where the question asked for a value."""
    if question.truth == "nothing":
        return _nothing(reply)
    label, value = question.truth.split("=")
    said = _numbers(reply, label)
    if not _places(label, reply):
        return bool(re.search(r"value|maximum|minimum|值", question.text.lower())) and said == [int(value)]
    return not said or said == [int(value)]


def _right_value(question: Question, reply: str) -> bool:
    if question.truth == "nothing":
        return _nothing(reply)
    label, value = question.truth.split("=")
    return set(_numbers(reply, label)) == {int(value)}


def _right_comparison(question: Question, reply: str) -> bool:
    if question.truth == "equal":
        return bool(re.search(r"\b(equal|same|both|neither)\b", reply.lower()))
    more, less = question.truth.split(">")
    higher, lower = _places(more, reply), _places(less, reply)
    turned = re.search(r"\b(less|fewer|lower|smaller|shorter)\b", reply.lower()) and lower
    if turned:
        return not higher or min(lower) < min(higher)
    return bool(higher) and (not lower or min(higher) < min(lower))


def _right_difference(question: Question, reply: str) -> bool:
    said = _numbers(reply)
    return bool(said) and said[-1] == int(question.truth)


def _right_count(question: Question, reply: str) -> bool:
    if question.truth == "nothing":
        return bool(_NONE.search(reply)) and not _numbers(reply)
    return _numbers(reply)[:1] == [int(question.truth)]


def _right_list(question: Question, reply: str) -> bool:
    """Every label, each followed by its value before any other label comes."""
    if question.truth == "nothing":
        return _nothing(reply)
    pairs = [pair.split("=") for pair in question.truth.split("\n")]
    starts = sorted((start, label) for label, _ in pairs for start in _places(label, reply))
    ends = [start for start, _ in starts[1:]] + [len(reply)]
    said: dict[str, list[int]] = {}
    for (start, label), end in zip(starts, ends, strict=False):
        said.setdefault(label, []).extend(_numbers(reply[start:end], label))
    return all(said.get(label) == [int(value)] for label, value in pairs)


def _right_kind(question: Question, reply: str) -> bool:
    if question.truth == "nothing":
        return _nothing(reply)
    forms = {form for form in ("bar", "line") if re.search(rf"\b{form}\b", reply.lower())}
    return forms == {question.truth}


def _right_title(question: Question, reply: str) -> bool:
    if question.truth == "nothing":
        return bool(_NONE.search(reply))
    return bool(_places(question.truth, reply))


def _right_colour(question: Question, reply: str) -> bool:
    return bool(re.search(rf"\b{question.truth}\b", reply.lower()))


RULES: dict[str, Rule] = {
    "chart_highest": _right_extreme,
    "chart_lowest": _right_extreme,
    "chart_value": _right_value,
    "chart_compare": _right_comparison,
    "chart_difference": _right_difference,
    "chart_count": _right_count,
    "chart_read": _right_list,
    "chart_kind": _right_kind,
    "chart_title": _right_title,
    "chart_colour": _right_colour,
}
