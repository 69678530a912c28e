"""What is said about several pictures: what changed, in which picture, which way something moves.

Makers here take a pair or frames instead of a scene; questions about one named picture reuse those of things.
"""

import random
import re
from collections.abc import Sequence

from llavakit.tiny.talk import things
from llavakit.tiny.talk.question import Asked, Language, Maker, Question
from llavakit.tiny.talk.rules_several import NTH, RULES, ZH_NTH
from llavakit.tiny.talk.wording import worded
from llavakit.tiny.talk.wordings_several import TABLES, ZH_TABLES
from llavakit.tiny.talk.words import (
    ZH_PLACES,
    article,
    at,
    colour_name,
    counted,
    having,
    named,
    number,
    said_colour,
    sentence,
    spoken,
)
from llavakit.tiny.world.changes import Change, Frames, Motion, Pair, make_frames, make_pair
from llavakit.tiny.world.scene import Scene, place
from llavakit.tiny.world.styles import TRAINED
from llavakit.tiny.world.things import KINDS, colour_of

_FRAME = ("frame", "frame", "picture", "image")
_ONE_PICTURE = ("presence", "count", "colour", "where", "list")  # makers of `talk.things` that need but one


def _worded(table: str, rng: random.Random, language: Language, **words: str) -> str:
    tables = ZH_TABLES if language == "zh" else TABLES
    return worded(tables[table], rng, frame=rng.choice(_FRAME), **words)


# ---------------------------------------------------------------- what changed


def told(change: Change, language: Language = "en") -> str:
    """As in "a red car was added at the top left", "the banana is gone"."""
    before, after = change.before, change.after
    chinese = language == "zh"
    if before is None:
        assert after is not None
        new, spot = counted(after.kind, said_colour(after), 1, language), place(after)
        return f"{ZH_PLACES[spot]}多了{new}" if chinese else f"{new} was added {at(spot)}"
    it = named(before.kind, None, language)
    if after is None:
        return f"{it}不见了" if chinese else f"the {it} is gone"
    if change.what == "replaced":
        other = named(after.kind, None, language)
        return f"{it}换成了{other}" if chinese else f"the {it} was replaced by {article(other)}"
    if change.what == "moved":
        start, end = place(before), place(after)
        if chinese:
            return f"{it}从{ZH_PLACES[start]}移到了{ZH_PLACES[end]}"
        return f"the {it} moved from the {start} to the {end}"
    old, new = (colour_name(colour_of(thing) or "", language) for thing in (before, after))
    return f"{it}从{old}变成了{new}" if chinese else f"the {it} turned from {old} to {new}"


def _sentences(changes: Sequence[Change], language: Language) -> str:
    parts = [told(change, language) for change in changes]
    if language == "zh":
        return "，".join(parts) + "。" if parts else "没有变化。"
    return sentence(" and ".join(parts)) + "." if parts else "Nothing changed."


def _truth(changes: Sequence[Change]) -> str:
    """As in "moved|cat|left|top right; removed|banana"; "nothing" where nothing changed."""
    facts = []
    for change in changes:
        before, after = change.before, change.after
        fact: list[str] = [change.what, *dict.fromkeys(t.kind for t in (before, after) if t)]
        if change.what in ("added", "moved"):
            fact += [place(thing) for thing in (before, after) if thing]
        if change.what == "recoloured":
            fact += [colour_of(thing) or "" for thing in (before, after) if thing]
        facts.append("|".join(fact))
    return "; ".join(facts) or "nothing"


def ask_changed(pair: Pair, rng: random.Random, language: Language = "en") -> Question:
    """What changed from the first to the second picture."""
    text = _worded("changed", rng, language)
    return Question("changed", text, _sentences(pair.changes, language), _truth(pair.changes), language)


def ask_missing(pair: Pair, rng: random.Random, language: Language = "en") -> Question:
    """What the second picture lacks, of what the first has."""
    gone = [change for change in pair.changes if change.what == "removed"]
    text = _worded("missing", rng, language)
    nothing = "什么都没有少。" if language == "zh" else "Nothing is missing."
    answer = _sentences(gone, language) if gone else nothing
    return Question("changed", text, answer, _truth(gone), language)


# ---------------------------------------------------------------- in which picture


def ask_which(scenes: Sequence[Scene], rng: random.Random, language: Language = "en") -> Question:
    """In which of the pictures a thing is; rather one that is not in all."""
    kinds = list(dict.fromkeys(thing.kind for scene in scenes for thing in scene.things))
    telling = [kind for kind in kinds if 0 < sum(bool(having(s, kind)) for s in scenes) < len(scenes)]
    if telling and rng.random() < 0.7:
        kind = rng.choice(telling)
    elif kinds and rng.random() < 0.6:
        kind = rng.choice(kinds)
    else:
        kind = rng.choice([kind for kind in KINDS if kind not in kinds])
    found = [i for i, scene in enumerate(scenes) if having(scene, kind)]
    noun = named(kind, None, language) if language == "zh" else spoken(kind, rng)[0]
    text = _worded("which", rng, language, n=noun, a=article(noun))
    return Question("which_picture", text, *_in_pictures(found, len(scenes), language), language)


def _in_pictures(found: Sequence[int], total: int, language: Language) -> tuple[str, str]:
    """Answer and truth."""
    numbers = ",".join(str(i + 1) for i in found) or "none"
    if len(found) == 1:
        if language == "zh":
            return f"在第{ZH_NTH[found[0]]}张图里。", numbers
        return f"In the {NTH[found[0]]} picture.", numbers
    if language == "zh":
        if found and len(found) < total:
            return f"在第{'、'.join(ZH_NTH[i] for i in found)}张图里。", numbers
        everywhere = "两张图里都有。" if total == 2 else "每张图里都有。"
        return everywhere if found else "哪张图里都没有。", numbers
    if not found:
        return ("In neither picture." if total == 2 else "In none of the pictures."), numbers
    if len(found) == total:
        return ("In both pictures." if total == 2 else "In all the pictures."), numbers
    return f"In the {' and the '.join(NTH[i] for i in found)} picture.", numbers


def ask_more(scenes: Sequence[Scene], rng: random.Random, language: Language = "en") -> Question | None:
    """In which of two pictures there is more, or less, of a kind; English only."""
    kinds = list(dict.fromkeys(thing.kind for scene in scenes for thing in scene.things))
    if language == "zh" or len(scenes) != 2 or not kinds:
        return None
    uneven = [kind for kind in kinds if len(having(scenes[0], kind)) != len(having(scenes[1], kind))]
    kind = rng.choice(uneven if uneven and rng.random() < 0.8 else kinds)
    less = rng.random() < 0.3
    first, second = (len(having(scene, kind)) for scene in scenes)
    text = _worded("fewer" if less else "more", rng, language, s=spoken(kind, rng)[1])
    if first == second:
        return Question("which_picture", text, "Both pictures have the same number.", "1,2", language)
    winner = int((first < second) != less)
    return Question("which_picture", text, *_in_pictures([winner], 2, language), language)


def ask_how_many(scenes: Sequence[Scene], rng: random.Random, language: Language = "en") -> Question:
    """How many pictures there are."""
    count, text = len(scenes), _worded("how many", rng, language)
    if language == "zh":
        amount = "两" if count == 2 else number(count, "zh")
        return Question("how_many_pictures", text, f"有{amount}张图。", str(count), language)
    amount = "is one picture" if count == 1 else f"are {number(count)} pictures"
    return Question("how_many_pictures", text, f"There {amount}.", str(count), language)


_ONE = re.compile(r"\b(?:the|this) (picture|image|photo|drawing|scene|pic)\b", re.IGNORECASE)
_ZH_ONE = re.compile(r"这张图片里?|这张图里?|图片里|图片上|图片的|画面里|图里的?|图中的?|图的")


def ask_of_one(scenes: Sequence[Scene], rng: random.Random, language: Language = "en") -> Question | None:
    """A plain question about one of the pictures, named by its number."""
    i = rng.randrange(len(scenes))
    asked = things.MAKERS[rng.choice(_ONE_PICTURE)](scenes[i], rng, language)
    return of_picture(asked.question, i) if asked else None


def of_picture(question: Question, i: int) -> Question:
    """The question as one asks it of the picture of this number (from 0) among several."""
    text, answer = question.text, question.answer
    if question.language == "zh":
        nth = f"第{ZH_NTH[i]}张图里"
        text = _ZH_ONE.sub(nth, text, count=1) if _ZH_ONE.search(text) else f"{nth}，{text}"
    else:
        nth = NTH[i]
        if _ONE.search(text):
            text = _ONE.sub(rf"the {nth} \1", text)
        else:
            text = f"In the {nth} picture, {text[:1].lower()}{text[1:]}"
        answer = _ONE.sub(rf"the {nth} \1", answer).replace("The picture", f"The {nth} picture")
        answer = sentence(answer)
    return Question(question.kind, text, answer, question.truth, question.language)


def ask_changed_of_one(scene: Scene, rng: random.Random, language: Language = "en") -> Asked | None:
    """What changed, or which way something moves, asked where there is a single picture."""
    if scene.things and rng.random() < 0.4:
        kind = rng.choice(scene.things).kind
        text = _worded("moves", rng, language, n=named(kind, None, language))
    else:
        text = _worded("changed", rng, language)
    answer = "只有一张图。" if language == "zh" else "There is only one picture."
    return Asked(Question("one_picture", text, answer, "1", language))


# ---------------------------------------------------------------- which way something moves

_MOVES: dict[Motion, str] = {
    "left": "moves to the left", "right": "moves to the right", "up": "moves up", "down": "moves down",
    "still": "does not move", "grows": "gets bigger", "shrinks": "gets smaller",
}  # fmt: skip
_ZH_MOVES: dict[Motion, str] = {
    "left": "向左移动", "right": "向右移动", "up": "向上移动", "down": "向下移动", "still": "没有动",
    "grows": "变大了", "shrinks": "变小了",
}  # fmt: skip
_WAYS: tuple[Motion, ...] = ("left", "right", "up", "down")
_TOWARDS = {"left": ("left", "to the left"), "right": ("right", "to the right"), "up": ("up", "upwards"),
            "down": ("down", "downwards")}  # fmt: skip


def _motion(frames: Frames, language: Language) -> str:
    it = named(frames.mover.kind, None, language)
    return f"{it}{_ZH_MOVES[frames.motion]}。" if language == "zh" else f"the {it} {_MOVES[frames.motion]}."


def ask_moves(
    frames: Frames, rng: random.Random, language: Language = "en", *, pronoun: bool = False
) -> Question:
    """Which way the moving thing goes; `pronoun` calls it "it"."""
    kind = frames.mover.kind
    noun = named(kind, None, "zh") if language == "zh" else spoken(kind, rng)[0]
    text = _worded("moves it" if pronoun else "moves", rng, language, n=noun)
    return Question("moves", text, sentence(_motion(frames, language)), frames.motion, language)


def ask_what_moves(frames: Frames, rng: random.Random, language: Language = "en") -> Question:
    """Which thing moves, and how."""
    text = _worded("what moves", rng, language)
    if frames.motion == "still":
        answer = "没有东西在动。" if language == "zh" else "Nothing moves."
        return Question("moves", text, answer, "still", language)
    return Question("moves", text, sentence(_motion(frames, language)), frames.motion, language)


def ask_whether_moves(frames: Frames, rng: random.Random, language: Language = "en") -> Question | None:
    """Whether it moves, or moves one way; English only, and not of what grows."""
    if language == "zh" or frames.motion in ("grows", "shrinks"):
        return None
    noun = spoken(frames.mover.kind, rng)[0]
    if rng.random() < 0.5:
        text = _worded("does it move", rng, language, n=noun)
        resting = "still" in text.lower() or "stay" in text.lower()
        yes = (frames.motion != "still") != resting
    else:
        way = rng.choice((frames.motion if frames.motion in _WAYS else "left", *_WAYS))
        text = _worded("does it move so", rng, language, n=noun, dir=rng.choice(_TOWARDS[way]))
        yes = way == frames.motion
    answer = f"{'Yes' if yes else 'No'}, {_motion(frames, language)}"
    return Question("whether_moves", text, answer, f"{'yes' if yes else 'no'}|{frames.motion}", language)


# ---------------------------------------------------------------- conversations


def pair_conversation(
    seed: int,
    rng: random.Random,
    language: Language = "en",
    styles: Sequence[str] = TRAINED,
    *,
    held_out: bool = False,
) -> tuple[list[Scene], list[Question]]:
    """Two pictures and three to six questions, one of which is what changed."""
    pair = make_pair(seed, styles, held_out=held_out)
    scenes = [pair.first, pair.second]
    questions = [ask_changed(pair, rng, language)]
    gone = any(change.what == "removed" for change in pair.changes)
    for _ in range(rng.randint(2, 5)):
        choice = rng.random()
        asked: Question | None
        if choice < (0.3 if gone else 0.08):
            asked = ask_missing(pair, rng, language)
        elif choice < 0.36:
            asked = ask_which(scenes, rng, language)
        elif choice < 0.5:
            asked = ask_more(scenes, rng, language)
        elif choice < 0.56:
            asked = ask_how_many(scenes, rng, language)
        elif choice < 0.72:
            asked = ask_changed(pair, rng, language)
        else:
            asked = ask_of_one(scenes, rng, language)
        questions += [asked] if asked else [ask_changed(pair, rng, language)]
    rng.shuffle(questions)
    return scenes, questions


def frames_conversation(
    seed: int,
    rng: random.Random,
    language: Language = "en",
    styles: Sequence[str] = TRAINED,
    *,
    held_out: bool = False,
) -> tuple[list[Scene], list[Question]]:
    """Three or four frames and three to six questions, the first of them about the motion."""
    frames = make_frames(seed, styles, held_out=held_out)
    scenes = list(frames.scenes)
    opening = ask_what_moves if rng.random() < 0.35 else ask_moves
    questions = [opening(frames, rng, language)]
    if frames.motion != "still" and rng.random() < 0.35:
        questions.append(ask_moves(frames, rng, language, pronoun=True))
    while len(questions) < 3 or (len(questions) < 6 and rng.random() < 0.5):
        choice = rng.random()
        asked: Question | None
        if choice < 0.35:
            asked = ask_whether_moves(frames, rng, language)
        elif choice < 0.6:
            asked = ask_moves(frames, rng, language)
        elif choice < 0.7:
            asked = ask_what_moves(frames, rng, language)
        elif choice < 0.77:
            asked = ask_how_many(scenes, rng, language)
        elif choice < 0.85:
            asked = ask_which(scenes, rng, language)
        else:
            asked = ask_of_one(scenes, rng, language)
        questions += [asked] if asked else [ask_moves(frames, rng, language)]
    return scenes, questions


# For scenes alone; those above are asked of pairs and frames.
MAKERS: dict[str, Maker] = {"one_picture": ask_changed_of_one}

__all__ = ["MAKERS", "RULES", "frames_conversation", "pair_conversation"]
