"""The lines of the examination: what is asked of which scenes, and the bars that the figures should reach."""

import itertools
from collections.abc import Iterator, Sequence

from llavakit.errors import UsageError, nearest
from llavakit.tiny.exam import measures, special
from llavakit.tiny.exam.item import Bar, Figure, Item, Items, Line
from llavakit.tiny.exam.making import about, balanced, drawn, questions
from llavakit.tiny.talk.question import Asked, Question
from llavakit.tiny.world import compose, themes
from llavakit.tiny.world.fonts import FONTS, HELD_OUT_FONTS
from llavakit.tiny.world.scene import Scene
from llavakit.tiny.world.styles import FETCH, HELD_OUT, TRAINED, available

_CHARTS = (
    "chart_highest", "chart_lowest", "chart_value", "chart_compare", "chart_difference", "chart_count",
    "chart_read", "chart_kind", "chart_title", "chart_colour",
)  # fmt: skip
_CHINESE = ("presence", "colour", "count", "where", "list", "which", "absent", "relation", "brief")
_LONGEST_WORD = 8


def _bar(value: float | None) -> Bar | None:
    return None if value is None else Bar(value)


def _line(key: str, name: str, items: Items, bar: float | None = None) -> Line:
    """With one figure: the share of right replies, and what the commonest truth would score."""
    return Line(key, items, (Figure(name, measures.share, _bar(bar)),))


def _plain(key: str, name: str, items: Items, bar: float | None = None) -> Line:
    """As above, where a constant answer is no yardstick."""
    return Line(key, items, (Figure(name, measures.plain_share, _bar(bar)),))


def _presence(key: str, name: str, items: Items, bar: float | None = None) -> Line:
    return Line(key, items, (Figure(name, measures.yes_f1, _bar(bar)),))


# ---------------------------------------------------------------- what is accepted


def _always(scene: Scene, asked: Asked) -> bool:
    return True


def _has_answer(scene: Scene, asked: Asked) -> bool:
    return asked.question.truth != "nothing"


def _word(scene: Scene, asked: Asked) -> bool:
    truth = asked.question.truth
    return truth != "nothing" and truth.isalpha() and len(truth) <= _LONGEST_WORD


def _word_or_number(scene: Scene, asked: Asked) -> bool:
    return _word(scene, asked) or any(letter.isdecimal() for letter in asked.question.truth)


def _light_shows(scene: Scene, asked: Asked) -> bool:
    return scene.night is not None


def _things_only(scene: Scene, asked: Asked) -> bool:
    """Nothing is written that a description would quote: a sign may say APPLES."""
    return bool(scene.things) and not (scene.writings or scene.charts)


def _not_square(scene: Scene, asked: Asked) -> bool:
    return scene.aspect != 1


def _truth(question: Question) -> str:
    return question.truth


def _nothing_odd(question: Question) -> bool:
    return question.truth == "nothing"


def _numbers(lowest: int, highest: int) -> tuple[str, ...]:
    return tuple(map(str, range(lowest, highest + 1)))


def _in_turn(*several: Items) -> Items:
    def make(numbers: Iterator[int]) -> Iterator[Item]:
        # They share the numbers, so no scene is asked about twice.
        for one in itertools.cycle([each(numbers) for each in several]):
            yield next(one)

    return make


# ---------------------------------------------------------------- what this machine may lack


def _no_held_out_style() -> str | None:
    if HELD_OUT in available():
        return None
    return f"the pictures of the drawing style {HELD_OUT!r} are not on this machine: run `{FETCH}`"


def _no_held_out_fonts() -> str | None:
    if special.fonts_here():
        return None
    packages = " or ".join(dict.fromkeys(FONTS[font] for font in HELD_OUT_FONTS))
    return f"no typeface kept for it is on this machine: install the Debian package {packages}"


def notes(keys: Sequence[str] | None = None) -> list[str]:
    """What is left out or asked otherwise on this machine, a sentence each."""
    told = [f"the line {line.key!r} is left out: {why}" for line in chosen(keys) if (why := line.missing())]
    away = [style for style in TRAINED if style not in available() and not style.endswith("-2")]
    if away and len(away) < sum(not style.endswith("-2") for style in TRAINED):
        told.append(f"no picture is drawn in the style of {', '.join(away)}: run `{FETCH}`")
    return told


# ---------------------------------------------------------------- the lines


def _unseen_style(number: int) -> Scene:
    return compose.make_scene(number, (HELD_OUT,))


_ALL = (
    _presence("presence", "presence (F1)", about("presence"), 0.97),
    _line("colour", "colour", about("colour"), 0.97),
    _line("relation", "relation", about("relation"), 0.93),
    _line(
        "count", "count 0–6",
        balanced(questions("count", drawn(), _always), _truth, _numbers(0, 6)), 0.93,
    ),
    _line(
        "count-many", "count 7–10",
        balanced(questions("count", drawn(compose.crowd), _always), _truth, _numbers(7, 10)), 0.75,
    ),
    _line("words", "reading words", about("read", drawn(compose.written), _word), 0.90),
    _line("numbers", "reading numbers", about("read_number", drawn(compose.written), _has_answer), 0.92),
    _line("chart", "chart reading", about(_CHARTS, drawn(compose.charted)), 0.85),
    _line("clock", "clock", about("clock", drawn(compose.clocked), _has_answer)),
    _plain("absent", "absent things said to be absent", about("absent"), 0.97),
    _plain("not-denied", "present things not denied", special.denied),
    _line(
        "category", "category, theme",
        _in_turn(about("category"), about("theme", special.theme_or_none)), 0.95,
    ),
    _line("follow-up", "follow-up", special.following, 0.93),
    _line("where", "where", about("where")),
    _line("which", "what is at a place", about("which")),
    _line("more-fewer", "more or fewer", about("more_fewer")),
    _line("largest", "largest, bigger", about("largest")),
    _line("changed", "what changed", special.changed, 0.85),
    _line("moves", "which way it moves", special.moving),
    Line("describe", about(("describe", "brief"), None, _things_only), (
        Figure("description: recall", measures.recall, Bar(0.93)),
        Figure("description: precision", measures.precision, Bar(0.97)),
    )),
    _line("day-night", "day or night", about("day_night", None, _light_shows)),
    _line(
        "unusual", "what is unusual",
        balanced(questions("unusual", drawn(themes.themed), _always), _nothing_odd, (False, True)),
    ),
    _line("bays", "occupied bays", about("bays", special.car_park)),
    _plain("outside", "out-of-world honesty", special.from_outside, 0.90),
    Line("false-alarms", special.known, (
        Figure("false alarms", measures.wrong_share, Bar(0.01, at_most=True)),
    )),
    Line("unseen-style", about("presence", _unseen_style), (
        Figure("unseen style: presence (F1)", measures.yes_f1, Bar(0.80)),
    ), _no_held_out_style),
    Line("unseen-style-colour", about("colour", _unseen_style), (
        Figure("unseen style: colour", measures.share),
    ), _no_held_out_style),
    _line(
        "unseen-pairs", "unseen pairs: colour",
        about("colour", special.of_held_out_pairs, special.is_held_out),
    ),
    Line("unseen-fonts", about(("read", "read_number"), special.in_a_held_out_font, _word_or_number), (
        Figure("unseen fonts: reading", measures.share),
    ), _no_held_out_fonts),
    _presence(
        "any-size", "other sizes: presence (F1)",
        about("presence", None, _not_square, sizes=(160, 640)),
    ),
    _line("chinese", "Chinese", about(_CHINESE, language="zh")),
    Line("newcomers", special.newcomers_ask, (
        Figure("newcomers", measures.plain_share, Bar(0.90)),
    ), size=special.newcomers_count),
)  # fmt: skip
LINES: dict[str, Line] = {line.key: line for line in _ALL}


def chosen(keys: Sequence[str] | None = None) -> list[Line]:
    """The lines of these keys; all of them if none are given.

    Raises:
        UsageError: there is no such line.
    """
    for key in keys or ():
        if key not in LINES:
            raise UsageError(f"the examination has no line {key!r} ({nearest(key, LINES)})")
    return [LINES[key] for key in (LINES if keys is None else keys)]
