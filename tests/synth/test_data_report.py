"""What a file of rows is like: numbers that were counted by hand."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from llavakit.errors import LlavaError
from llavakit.synth.report import look

PUBLIC = Path(__file__).resolve().parents[3] / "shared" / "data" / "instruct"


def row(id_: object, *said: str, **more: Any) -> dict[str, Any]:
    """A row in the official format: questions and answers in turn."""
    turns = [
        {"from": "gpt" if place % 2 else "human", "value": text if place else f"<image>\n{text}"}
        for place, text in enumerate(said)
    ]
    return {"id": id_, "image": f"{str(id_).split('_')[0]}.jpg", "conversations": turns} | more


ROWS = [
    row("1_conv", "How many dogs are there?", "Two dogs.", "Is the dog black?", "Yes, it is black."),
    row("1_detail", "Describe the image in detail.", "A black dog lies on a red couch."),
    row("1_complex", "Why might the dog be tired?", "It may have played."),
    row("2_conv", "Is there a cat?", "No, there is no cat.", "Is the car red or blue?", "Red"),
]


def test_rows_turns_and_pictures_are_counted() -> None:
    found = look(ROWS)
    assert (found.rows, found.pictures, found.bare, found.all.turns.total) == (4, 2, 0, 6)
    assert {kind.name: kind.rows for kind in found.kinds} == {"conversation": 2, "detail": 1, "reasoning": 1}
    bare = look([{**ROWS[0], "image": None}, {**ROWS[1], "image": ["a.jpg", "b.jpg"]}])
    assert (bare.pictures, bare.bare) == (2, 1)


def test_words_are_counted_without_signs_and_the_place_of_the_picture() -> None:
    conversation, detail, _ = look(ROWS).kinds
    assert conversation.questions.total == 5 + 4 + 4 + 6
    assert (conversation.questions.low, conversation.questions.median, conversation.questions.high) == (
        4,
        4,
        6,
    )
    assert (detail.answers.median, detail.answers.longest) == (8, 8)
    assert sum(conversation.answers.bins) == 4
    found = look([row(1, "What's a man-made thing, e.g. 3.5 of them?", "这是一只狗。")])
    assert found.all.questions.total == 9  # one of them: 3.5, and man-made
    assert found.all.answers.total == 5  # scripts without spaces count by letter


def test_kinds_are_what_rows_say_or_what_their_ids_end_with() -> None:
    ids = ["7-conversation", "7_detail", "a-b-reasoning", "7-Absent", "7", "", "detail", "7-choices", 12]
    named = [*(row(id_, "Q?", "A.") for id_ in ids), row("7-brief", "Q?", "A.", kind="caption")]
    kinds = {kind.name: kind.rows for kind in look(named).kinds}
    assert kinds == {
        "conversation": 1, "detail": 1, "reasoning": 1, "absent": 1, "caption": 1, "unknown": 5,
    }  # fmt: skip


def test_shares_stand_beside_the_papers_where_all_its_three_kinds_are_there() -> None:
    found = look(ROWS)
    ours, paper = found.paper("detail") or (0, 0)
    assert ours == 1 / 4
    assert paper == pytest.approx(23 / 158)
    assert found.paper("brief") is None
    assert look(ROWS[:2]).paper("detail") is None


def test_what_questions_begin_with_and_ask_of() -> None:
    asked = look(ROWS).asked
    assert dict(asked.first) == {"is": 3, "describe": 1, "how": 1, "why": 1}
    assert dict(asked.openings)["how many"] == 1
    assert dict(asked.roots) == {"is": 3, "describe": 1, "how many": 1, "why": 1}
    assert dict(asked.pairs) == {
        ("how many", "dog"): 1, ("is", "dog"): 1, ("is", "cat"): 1, ("is", "car"): 1, ("why", "dog"): 1,
        ("describe", "image"): 1,
    }  # fmt: skip
    twice = look([row(1, "What is  it?", "A."), row(2, "what is it?", "B."), row(3, "What is that?", "C.")])
    assert (twice.asked.total, twice.asked.different) == (3, 2)


def test_answers_of_yes_and_no_are_balanced_against_each_other() -> None:
    found = look(ROWS)
    assert (found.all.yes, found.all.no, found.all.neither) == (1, 1, 1)
    said = [
        row(1, "What is there?", "No people are there."),  # nobody asked for yes or no
        row(2, "Any dogs?", "No."),
        row(3, "Do you see dogs?", "No dogs are there."),
    ]
    assert look(said).all.no == 2


def test_counts_are_read_from_answers_to_how_many() -> None:
    answers = ["Two dogs.", "There are 2.", "None.", "About fifteen", "300", "Several.", "1"]
    found = look(row(place, "How many dogs are there?", text) for place, text in enumerate(answers))
    told = {name: times for name, times in found.numbers.items() if times}
    assert told == {"0": 1, "1": 1, "2": 2, "11–20": 1, "more": 1, "none named": 1}


def test_letters_of_options_are_compared_with_what_chance_would_give() -> None:
    asked = (
        "What is it?\nA. a dog\nB. a cat{}\nAnswer with the option's letter from the given choices directly."
    )
    four = asked.format("\nC. a cow\nD. a pig")
    texts = [(asked.format(""), "A"), (four, "D"), (four, "(B)"), (four, "a cow."), (four, "E")]
    found = look(row(place, question, answer) for place, (question, answer) in enumerate(texts))
    told = {each.name: (each.offered, each.right, each.expected) for each in found.letters}
    assert told == {"A": (5, 1, 1.25), "B": (5, 1, 1.25), "C": (4, 1, 0.75), "D": (4, 1, 0.75)}
    assert (found.choices, found.unclear) == (5, 1)


def test_things_are_what_answers_name() -> None:
    said = (
        "A black dog lies on a red couch next to two dogs. The picture shows a lot of cars parked in a row."
    )
    assert dict(look([row(1, "Describe it.", said)]).things) == {"dog": 2, "couch": 1, "car": 1}


def test_the_vocabulary_and_its_share_of_all_words() -> None:
    found = look([row(1, "What?", "A dog and a cat"), row(2, "What?", "A Dog!")])
    assert (found.words.total, found.words.different, found.words.exact) == (7, 4, True)
    assert found.words.ratio == 4 / 7
    assert found.words.fresh is None
    long = look([row(1, "What?", "one two " * 1200)])
    assert long.words.fresh == 2 / 1000


def test_near_duplicates_and_unsupported_things_are_told_where_they_are_known() -> None:
    found = look(ROWS)
    assert found.near is None
    assert found.as_json()["unsupported"] is None
    seen: list[str] = []

    def like(id_: str, turns: object) -> str | None:
        seen.append(id_)
        return seen[0] if len(seen) == 3 else None

    checked = look([{**ROWS[0], "named": 4, "unsupported": ["cow"]}, *ROWS[1:]], like=like)
    assert (checked.near, checked.checked) == (1, 1)
    assert checked.as_json()["unsupported"]["share"] == 1 / 4
    assert dict(checked.unsupported) == {"cow": 1}


def rejected(id_: str, why: str, **more: Any) -> dict[str, Any]:
    return {"id": id_, "reason_kind": why, "reason": f"because of {why}", "text": "Question: …"} | more


def test_rejected_replies_are_counted_by_kind_and_reason() -> None:
    replies = [
        rejected("3-conversation", "leak"), rejected("4-conversation", "leak"), rejected("3-detail", "form"),
        rejected("9", "leak", kind="choice"), {"id": "no reason"}, "nothing",
    ]  # fmt: skip
    found = look(ROWS, rejected=replies)
    assert found.refused is not None
    assert (found.refused.rows, found.refused.unreadable) == (4, 2)
    assert found.refused.reasons == (("leak", 3), ("form", 1))
    assert found.refused.kinds["conversation"] == {"leak": 2}
    assert {kind.name: kind.acceptance for kind in found.kinds} == {
        "conversation": 0.5, "detail": 0.5, "reasoning": 1.0, "choice": 0.0,
    }  # fmt: skip
    assert found.all.acceptance == 0.5
    assert look(ROWS).all.acceptance is None


def test_what_is_no_row_is_counted_and_the_first_are_named() -> None:
    broken: list[Any] = [
        "text", {"id": 1}, {"conversations": [{"from": "gpt", "value": "Hello"}]},
        {"conversations": [{"from": "human", "value": "a"}, {"from": "human", "value": "b"}]},
        {"conversations": [{"from": "system", "value": "a"}]}, {"conversations": [7]},
        LlavaError("cut short"),
    ]  # fmt: skip
    found = look([*broken, *ROWS])
    assert (found.rows, found.unreadable, len(found.faults)) == (4, 7, 5)
    assert found.faults[1] == "row 2 has no `conversations`: a list of turns is needed"
    assert found.examples[0].row == 8


@dataclass(frozen=True)
class Read:
    """As `llavakit.data.rows.Row`, which this room does not know."""

    id: str
    images: tuple[str, ...]
    turns: tuple[tuple[str, str], ...]


def test_conversations_that_were_read_already_count_as_rows_do() -> None:
    read = [
        Read(
            each["id"],
            (each["image"],),
            tuple((turn["from"], turn["value"]) for turn in each["conversations"]),
        )
        for each in ROWS
    ]
    assert look(read).as_json() == look(ROWS).as_json()


def test_the_same_seed_shows_the_same_rows_and_rare_kinds_are_among_them() -> None:
    rows = [
        *(row(f"{place}-detail", "Q?", f"A {place}.") for place in range(300)),
        row("x-brief", "Q?", "A."),
    ]
    first, again, other = (look(rows, sample=10, seed=seed).examples for seed in (1, 1, 2))
    assert first == again != other
    assert len(first) == 10
    assert [each.id for each in first if each.kind == "brief"] == ["x-brief"]
    assert [each.row for each in first] == sorted(each.row for each in first)
    assert first[0].turns[0][0] == "Q?"


def test_the_numbers_are_json() -> None:
    told = look(ROWS, rejected=[rejected("3-detail", "form")], name="rows.jsonl").as_json()
    assert json.loads(json.dumps(told, allow_nan=False)) == told
    assert told["kinds"]["conversation"]["turns"]["mean"] == 2.0
    assert sum(told["all"]["answer_words"]["histogram"]) == 6
    assert look([]).as_json()["rows"] == 0


def test_half_a_letter_can_be_written_down_like_any_other() -> None:
    half = "\ud83d"
    found = look(
        [row("1", f"What {half} is it?", f"A {half} dog.", kind=half, teacher=half, unsupported=[half])],
        rejected=[rejected("2", half, kind=half)],
    )
    assert json.dumps(found.as_json(), ensure_ascii=False).encode("utf-8")


def many(count: int) -> Iterator[dict[str, Any]]:
    for place in range(count):
        asked = f"What is the thing{place} near the {'cat' if place % 3 else 'dog'}?"
        yield row(f"{place}-kind{place}", asked, f"A word{place} and a cup.", kind=f"kind {place}")


def test_memory_does_not_grow_with_the_file() -> None:
    """Kinds, words and rows that never repeat: what findings hold stays as large."""
    found = look(many(3000))
    assert len(found.kinds) == 25  # the last of them: all others
    assert len(found.asked.pairs) <= 800
    assert len(found.things) <= 200
    assert len(found.examples) == 120
    assert found.asked.different == 3000
    assert dict(found.things)["cup"] == 3000


@pytest.mark.skipif(not PUBLIC.is_dir(), reason="the official files are not here")
def test_the_official_mix_is_read_whole() -> None:
    rows = json.loads((PUBLIC / "llava_v1_5_mix1k.json").read_text())
    found = look(rows)
    assert (found.rows, found.unreadable, found.pictures) == (1000, 0, 997)
    assert found.all.turns.total == sum(len(each["conversations"]) for each in rows) // 2
    assert (found.choices, found.unclear) == (105, 0)
    assert found.asked.pairs[0] == (("provide", "coordinate"), 893)
    assert 0.5 < found.all.yes / (found.all.yes + found.all.no) < 0.56


@pytest.mark.skipif(not PUBLIC.is_dir(), reason="the official files are not here")
def test_the_official_ninety_rows_are_thirty_of_each_kind_of_the_paper() -> None:
    found = look(json.loads((PUBLIC / "coco2014_val_gpt4_qa_90_llava_style.json").read_text()))
    assert [(kind.name, kind.rows) for kind in found.kinds] == [
        ("conversation", 30), ("detail", 30), ("reasoning", 30),
    ]  # fmt: skip
    assert found.paper("reasoning") == pytest.approx((1 / 3, 77 / 158))
