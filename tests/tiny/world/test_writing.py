import random

import numpy as np
import pytest
from PIL import Image, ImageDraw

from llavakit.errors import LlavaError, UsageError
from llavakit.tiny.world.fonts import HELD_OUT_FONTS, OWN, available_fonts, can_write, face, spelt
from llavakit.tiny.world.scene import Box, Writing, distance
from llavakit.tiny.world.sign_words import PAIRS, WORDS
from llavakit.tiny.world.writing import letters, make_writing, paint_writing, some_number, some_text

EVERYWHERE = (0.0, 0.0, 1.0, 1.0)


def some(n: int, **options: object) -> list[Writing]:
    return [make_writing(random.Random(f"writing {i}"), EVERYWHERE, 1.0, **options) for i in range(n)]  # type: ignore[arg-type]


def test_words_are_many_and_short() -> None:
    assert len(WORDS) >= 250 and len(set(WORDS)) == len(WORDS)
    assert all(len(word) <= 8 and word.isupper() for word in (*WORDS, *" ".join(PAIRS).split()))


def test_a_third_of_words_are_in_no_vocabulary() -> None:
    texts = [some_text(random.Random(i)) for i in range(2000)]
    words = [text for text in texts if text.isalpha()]
    strange = sum(word.upper() not in WORDS for word in words) / len(words)
    assert 0.27 < strange < 0.4


def test_numbers_come_as_numbers_prices_years_and_times() -> None:
    numbers = [some_number(random.Random(i)) for i in range(500)]
    assert all(any(mark in number for number in numbers) for mark in ".:%$")
    assert any(number.isdigit() and 1900 <= int(number) <= 2030 for number in numbers)


def test_a_sign_stays_inside_its_room_when_the_room_is_large_enough() -> None:
    room = (0.1, 0.2, 0.9, 0.8)
    for i in range(100):
        x0, y0, x1, y1 = make_writing(random.Random(i), room, 4 / 3).box
        assert x0 >= 0.1 - 1e-9 and y0 >= 0.2 - 1e-9 and x1 <= 0.9 + 1e-9 and y1 <= 0.8 + 1e-9


@pytest.mark.parametrize("aspect", [1.0, 16 / 9, 3 / 4])
def test_letters_are_readable_even_where_the_room_is_too_small(aspect: float) -> None:
    size = (224, round(224 / aspect)) if aspect >= 1 else (round(224 * aspect), 224)
    for i in range(100):
        writing = make_writing(random.Random(i), (0.8, 0.8, 0.9, 0.9), aspect)
        assert min(writing.box) >= -1e-9 and max(writing.box) <= 1 + 1e-9
        boxes = [box for character, box in letters(writing, size) if character.isalnum()]
        tallest = max((y1 - y0) * size[1] for _, y0, _, y1 in boxes)
        assert tallest >= (9 if len(writing.text) <= 8 else 7), writing


def test_ink_and_paper_contrast() -> None:
    assert all(distance(writing.ink, writing.paper) >= 200 for writing in some(200))


def test_bare_writing_contrasts_with_what_is_behind_it() -> None:
    grass = (90, 140, 80)
    bare = [writing for writing in some(100, behind=(grass,)) if writing.form == "bare"]
    assert bare and all(distance(writing.ink, grass) > 100 for writing in bare)


def test_held_out_faces_are_for_those_who_ask() -> None:
    assert not {writing.font for writing in some(200)} & set(HELD_OUT_FONTS)
    assert {writing.font for writing in some(20, fonts=(OWN,))} == {OWN}


def test_what_is_asked_for_is_written() -> None:
    writing = make_writing(random.Random(0), EVERYWHERE, 1.0, text="Open", form="label")
    assert (writing.text, writing.form) == ("Open", "label")


def test_a_face_of_capitals_alone_never_writes_small_letters() -> None:
    assert all(writing.font != "BebasNeue-Bold" for writing in some(100, text="open"))


def test_a_face_writes_only_what_it_has_letters_for() -> None:
    assert can_write(OWN, "BUS STOP") and not can_write(OWN, "山")
    for writing in some(300):
        assert can_write(writing.font, writing.text)
    with pytest.raises(UsageError, match="no typeface found has all of '山'"):
        make_writing(random.Random(0), EVERYWHERE, 1.0, text="山", fonts=(OWN,))


def test_the_same_seed_writes_the_same() -> None:
    assert some(20) == some(20)


def all_ink_is_in(found: list[tuple[str, Box]], picture: Image.Image) -> bool:
    """Whether there is some in each of the boxes, and none elsewhere."""
    dark = np.asarray(picture.convert("L")) < 200
    inked = []
    for _, box in found:
        x0, y0, x1, y1 = (round(edge * side) for edge, side in zip(box, picture.size * 2, strict=True))
        inked.append(bool(dark[y0:y1, x0:x1].any()))
        dark[y0 - 2 : y1 + 2, x0 - 2 : x1 + 2] = False
    return all(inked) and not dark.any()


def test_ink_is_where_the_letters_are_said_to_be() -> None:
    writing = make_writing(random.Random(3), EVERYWHERE, 1.0, text="HELLO", form="bare", behind=((255,) * 3,))
    picture = Image.new("RGB", (300, 300), "white")
    paint_writing(picture, writing)
    found = letters(writing, picture.size)
    assert [character for character, _ in found] == list("HELLO")
    assert all_ink_is_in(found, picture)


@pytest.mark.parametrize("anchor", ["ls", "ms", "mt", "mm", "rm"])
@pytest.mark.parametrize("text", ["AVOW 17", "xylo"])
def test_a_line_is_spelt_where_pillow_writes_it_by_any_anchor(anchor: str, text: str) -> None:
    picture = Image.new("RGB", (400, 300), "white")
    pen = face(OWN, 40)
    ImageDraw.Draw(picture).text((200, 150), text, "black", pen, anchor)
    found = spelt(pen, text, (200, 150), anchor, picture.size)
    assert [character for character, _ in found] == list(text.replace(" ", ""))
    assert all_ink_is_in(found, picture)


@pytest.mark.parametrize("form", ["sign", "label", "plate", "poster", "bare"])
def test_a_sign_is_painted_within_its_box(form: str) -> None:
    box = (0.2, 0.4, 0.8, 0.6)
    picture = Image.new("RGB", (200, 200), (1, 2, 3))
    paint_writing(picture, Writing("BUS STOP", box, form, OWN))  # type: ignore[arg-type]
    changed = (np.asarray(picture) != (1, 2, 3)).any(-1)
    assert changed.any()
    changed[79:122, 39:162] = False
    assert not changed.any()


def test_pillows_own_face_is_always_there() -> None:
    assert OWN in available_fonts()
    assert face(OWN, 20).getlength("word") > 0


def test_a_face_that_is_not_installed_is_named_with_its_package(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LLAVAKIT_FONTS", str(tmp_path_factory.mktemp("none")))
    assert available_fonts() == (OWN,)
    with pytest.raises(LlavaError, match="fonts-lato"):
        face("Lato-Bold", 20)
    with pytest.raises(UsageError, match="did you mean 'Lato-Bold'"):
        face("Lato-Bolt", 20)
