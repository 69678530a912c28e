"""The examination asks what it says, marks as it says, and is not fooled by constant answers."""

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from llavakit.errors import UsageError
from llavakit.prompt.messages import Message
from llavakit.tiny.exam import (
    LINES,
    Item,
    Marked,
    Result,
    chosen,
    examine,
    making,
    newcomers,
    notes,
    retrieval,
)
from llavakit.tiny.exam.ask import Generate, greyed, items
from llavakit.tiny.exam.item import Bar
from llavakit.tiny.world import fonts
from llavakit.tiny.world.styles import HELD_OUT, font_path
from llavakit.tiny.world.things import held_out

pytestmark = pytest.mark.skipif(not font_path().exists(), reason="fonts-noto-color-emoji is not installed")

Talks = Sequence[Sequence[Message]]
FEW = 4
HERE = [line.key for line in chosen() if not line.missing()]


@pytest.fixture(autouse=True, scope="module")
def noto_only() -> Iterator[None]:
    """So that the same is asked on every machine, and quickly."""
    patch = pytest.MonkeyPatch()
    patch.setattr(making, "TRAINED", ("noto", "noto-2"))
    yield
    patch.undo()


def some(key: str, n: int = FEW, seed: int = 0) -> list[Item]:
    return list(items(LINES[key], n, seed))


class Pupil:
    """Knows the right answer to every item it was told of, and nothing else."""

    def __init__(self, asked: Sequence[Item]) -> None:
        self.known = {self._key(item.turns[-1], item.turns[0], item.images): item.answer for item in asked}

    @staticmethod
    def _key(last: str, first: str, images: Sequence[Image.Image]) -> tuple[Any, ...]:
        return last, first, tuple(image.tobytes() for image in images)

    def __call__(self, talks: Talks) -> list[str]:
        return [
            self.known.get(self._key(talk[-1].text, talk[0].text, talk[0].images), "I see.") for talk in talks
        ]


def always(reply: str) -> Generate:
    return lambda talks: [reply] * len(talks)


def scored(generate: Generate, *keys: str) -> dict[str, Result]:
    return {result.score.name: result for result in examine(generate, 12, 0, keys, blind=False)}


@pytest.mark.parametrize("key", [key for key in HERE if key != "newcomers"])
def test_a_perfect_pupil_scores_everything_and_a_blind_one_less(key: str) -> None:
    results = examine(Pupil(some(key)), FEW, keys=[key])
    best = 0.0 if key == "false-alarms" else 1.0
    assert [result.score.value for result in results] == [best] * len(results)
    assert all(result.met in (True, None) for result in results)
    if key not in ("false-alarms", "not-denied"):  # "I see." is no refusal, and denies nothing
        assert all(result.blind is not None and result.blind < 1 for result in results)


def test_newcomers_are_all_asked_and_scored_by_family() -> None:
    (result,) = examine(always("There is a red car."), 3, keys=["newcomers"], blind=False)
    book = list(newcomers.cases())
    assert result.score.n == len(book)
    assert {group.name: group.n for group in result.groups} == Counter(case.family for case in book)


def test_newcomers_replies_that_are_right_by_the_book_are_right() -> None:
    assert all(item.mark(item.answer) for item in some("newcomers") if item.answer)


def test_a_pupil_who_denies_everything_is_found_out() -> None:
    denier = always("No, there is no such thing.")
    results = scored(denier, "presence", "colour", "not-denied", "absent")
    assert results["presence (F1)"].score.value == 0
    assert results["present things not denied"].score.value == 0
    assert results["colour"].score.value == 0
    assert results["absent things said to be absent"].score.value == 1


def test_a_pupil_who_always_refuses_is_honest_and_raises_false_alarms() -> None:
    refuser = always("I only know drawn scenes, and this does not look like one, so I cannot tell.")
    results = scored(refuser, "outside", "false-alarms")
    assert results["out-of-world honesty"].met is True
    assert (results["false alarms"].score.value, results["false alarms"].met) == (1.0, False)


def test_a_constant_answer_scores_about_chance() -> None:
    (result,) = examine(always("two"), 35, keys=["count"], blind=False)
    assert result.score.chance == 1 / 7  # every number is asked for as often
    assert result.score.value == result.score.chance


def test_numbers_are_asked_for_equally_often() -> None:
    assert Counter(item.truth for item in some("count-many", 12)) == dict.fromkeys(("7", "8", "9", "10"), 3)


def test_descriptions_are_scored_by_what_they_name_and_what_they_invent() -> None:
    asked = some("describe")
    recall, precision = LINES["describe"].figures
    there = [len({thing.kind for scene in item.scenes for thing in scene.things}) for item in asked]
    silent = [Marked(item, "A picture.", False) for item in asked]
    told = [Marked(item, item.answer, True) for item in asked]
    inventing = [Marked(item, item.answer + " There is a dinosaur.", False) for item in asked]
    assert recall.measure("", silent).value == 0
    assert (recall.measure("", told).value, precision.measure("", told).value) == (1, 1)
    assert precision.measure("", inventing).value == sum(there) / (sum(there) + len(asked))


def test_the_models_own_first_answer_stands_when_the_follow_up_is_asked() -> None:
    seen: list[Sequence[Message]] = []

    def generate(talks: Talks) -> list[str]:
        seen.extend(talk[:] for talk in talks)
        return [f"Reply {len(talk)}" for talk in talks]

    examine(generate, 2, keys=["follow-up"], blind=False)
    first, second = seen[0], seen[2]
    assert [message.role for message in first] == ["user"]
    assert [message.role for message in second] == ["user", "assistant", "user"]
    assert second[1].content == ("Reply 1",)
    assert (len(second[0].images), len(second[2].images)) == (1, 0)


def test_blind_pictures_are_grey_and_of_the_same_size() -> None:
    for item in some("any-size"):
        for image, grey in zip(item.images, greyed(item).images, strict=True):
            assert grey.size == image.size
            assert grey.getcolors() == [(image.width * image.height, (128, 128, 128))]


def test_other_sizes_are_of_many_sizes_and_none_is_square() -> None:
    sizes = {image.size for item in some("any-size", 8) for image in item.images}
    assert len(sizes) > 5
    assert all(width != height and 160 <= max(width, height) <= 640 for width, height in sizes)


def test_the_same_seed_asks_the_same_and_another_asks_something_else() -> None:
    def asked(n: int, seed: int) -> list[tuple[str, ...]]:
        return [item.turns for item in some("colour", n, seed)]

    assert asked(6, 0) == asked(6, 0)
    assert asked(6, 0)[:3] == asked(3, 0)
    assert asked(6, 0) != asked(6, 1)


def test_only_words_of_at_most_eight_letters_are_read() -> None:
    assert all(item.truth.isalpha() and len(item.truth) <= 8 for item in some("words"))


def test_unseen_pairs_are_pairs_held_out() -> None:
    for item in some("unseen-pairs"):
        assert any(t.colour and held_out(t.kind, t.colour) for scene in item.scenes for t in scene.things)


@pytest.mark.skipif("unseen-style" not in HERE, reason="the held-out style is not here")
def test_the_unseen_style_is_the_only_one_shown() -> None:
    for key in ("unseen-style", "unseen-style-colour"):
        assert {t.style for item in some(key) for scene in item.scenes for t in scene.things} == {HELD_OUT}


@pytest.mark.skipif("unseen-fonts" not in HERE, reason="no held-out font is here")
def test_unseen_fonts_are_held_out() -> None:
    used = {w.font for item in some("unseen-fonts") for scene in item.scenes for w in scene.writings}
    assert used
    assert used <= set(fonts.HELD_OUT_FONTS)


def test_what_is_missing_is_left_out_and_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("llavakit.tiny.exam.lines.available", lambda: ("noto", "noto-2"))
    monkeypatch.setattr("llavakit.tiny.exam.special.available_fonts", lambda: ())
    keys = ["unseen-style", "unseen-fonts"]
    assert examine(always(""), 1, keys=keys) == []
    left_out, font, fewer = notes(keys)
    assert "'unseen-style'" in left_out
    assert "python -m llavakit.tiny.world.styles" in left_out
    assert "fonts-freefont-ttf" in font
    assert "twemoji" in fewer


def test_marked_replies_are_told_with_their_items() -> None:
    told: list[tuple[str, Marked]] = []
    examine(always("mauve"), 2, keys=["colour"], on_marked=lambda line, m: told.append((line.key, m)))
    assert [(key, m.reply, m.right) for key, m in told] == [("colour", "mauve", False)] * 2
    assert [m.item.turns for _, m in told] == [item.turns for item in some("colour", 2)]


def test_an_unknown_line_and_no_questions_are_refused() -> None:
    with pytest.raises(UsageError, match="did you mean 'presence'"):
        examine(always(""), 1, keys=["presense"])
    with pytest.raises(UsageError, match="at least one"):
        examine(always(""), 0)


def test_a_bar_is_met_from_above_or_from_below() -> None:
    assert Bar(0.9).met(0.9)
    assert not Bar(0.9).met(0.89)
    assert Bar(0.01, at_most=True).met(0.0)
    assert not Bar(0.01, at_most=True).met(0.02)


def test_retrieval_finds_the_pairs_that_match_and_no_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retrieval, "GALLERY", 6)
    galleries: list[Sequence[str]] = []

    def match(images: Sequence[Image.Image], captions: Sequence[str]) -> NDArray[np.float32]:
        galleries.append(captions)
        return np.eye(len(images), dtype=np.float32) if len(galleries) % 2 else np.zeros((6, 6), np.float32)

    there, back = retrieval.examine_retrieval(match, n=12)
    assert (there.score.value, back.score.value, there.score.n) == (1, 1, 12)
    assert there.score.chance == there.blind == 1 / 6  # the grey ones
    assert len({caption for captions in galleries[::2] for caption in captions}) == 12
