"""Near repeats: found in a picture, and between pictures only where a long text is the same."""

from llavakit.synth.near import Near, _Table

LONG = (
    "A woman throws a frisbee for her dog on a wide lawn. The dog leaps into the air to catch it, and there"
    " is a bench behind them on the right with a bicycle next to it. Some trees stand in the background."
)
REWORDED = LONG.replace("wide lawn", "wide meadow").replace("Some trees stand", "A few trees stand").upper()
TOPIC = (
    "On the grass of a park, a brown dog jumps high for a red disc that a woman in a blue jacket has just"
    " thrown. She watches it from the left, while on the other side a bicycle leans near a bench."
)


def row(answer: str, question: str = "What is to be seen?") -> tuple[tuple[str, str], ...]:
    return ((question, answer),)


def test_an_exact_repeat_is_found_whatever_its_marks_and_letters() -> None:
    near = Near()
    assert near.like("1-detail", row(LONG)) is None
    assert near.like("2-detail", row(LONG.lower().replace(".", " !"))) == "1-detail"
    assert near.like("3-detail", row(LONG, "Describe it.")) == "1-detail"


def test_a_reworded_repeat_is_found_in_the_same_picture_only() -> None:
    near = Near()
    assert near.like("1-detail", row(LONG)) is None
    assert near.like("2-detail", row(REWORDED)) is None
    assert near.like("1-brief", row(REWORDED)) == "1-detail"
    assert near.like("9-detail", row(REWORDED + " Yes."), picture="a.jpg") is None
    assert near.like("8-detail", row(LONG + " Yes indeed."), picture="a.jpg") == "9-detail"


def test_rows_on_the_same_topic_are_no_repeats() -> None:
    near = Near()
    assert near.like("1-detail", row(LONG)) is None
    assert near.like("1-brief", row(TOPIC)) is None
    assert len(near) == 2


def test_short_answers_recur_between_pictures() -> None:
    near = Near()
    answer = "No, there is no dog in the picture."
    assert near.like("1-absent", row(answer)) is None
    assert near.like("2-absent", row(answer)) is None
    assert near.like("2-absent", row(answer)) == "2-absent"


def test_answers_that_say_little_count_with_their_questions() -> None:
    near = Near()
    assert near.like("1-choice", row("B", "What is it?\nA. a dog\nB. a cat")) is None
    assert near.like("1-conversation", row("B", "Where is it?\nA. left\nB. right")) is None


def test_a_number_that_differs_makes_another_row_between_pictures() -> None:
    near = Near()
    assert near.like("1-detail", row(LONG)) is None
    assert near.like("2-detail", row(LONG.replace("a bench", "two benches"))) is None


def test_a_repeat_is_not_remembered_in_place_of_the_first() -> None:
    near = Near()
    for id_ in ("ä-detail", "b-detail", "c-detail"):
        near.like(id_, row(LONG))
    assert len(near) == 1
    assert near.like("d-detail", row(LONG)) == "ä-detail"


def test_words_of_no_text_and_odd_characters_do_no_harm() -> None:
    near = Near()
    assert near.like("1-brief", row("…", "?")) is None
    assert near.like("1-detail", row("!", "…")) == "1-brief"
    assert near.like("\ud800-brief", row("half \ud800 a character")) is None
    assert near.like("\ud800-detail", row("half \ud800 a character")) == "\ud800-brief"


def test_a_row_takes_at_most_two_hundred_bytes() -> None:
    near = Near()
    for number in range(3000):
        near.like(f"{number:012}-conversation", row(f"{LONG} {number}"))
    held = [near._ends, near._sketches, near._same_picture]
    held += [part for table in (near._texts, near._pictures) for part in (table._keys, table._values)]
    size = len(near._ids) + sum(len(part) * part.itemsize for part in held)
    assert len(near) == 3000 and size / len(near) <= 200


def test_a_table_grows_and_keeps_all() -> None:
    table = _Table(4)
    for key in range(1, 1000):
        table.put(key * 2**40 + 1, key)
    assert all(table.get(key * 2**40 + 1) == key for key in range(1, 1000))
    assert table.get(5) == 0
    table.put(2**40 + 1, 77)
    assert table.get(2**40 + 1) == 77
