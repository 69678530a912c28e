"""Whatever the pieces, a stream shows what the whole text would: cut at stop strings, no half characters."""

from hypothesis import given, settings
from hypothesis import strategies as st

from assemble import byte_tokenizer
from llavakit.engine.stopping import StopStream
from llavakit.prompt.tokenizer import TextStream

LETTERS = st.text(alphabet="ab \n", max_size=14)
STOPS = st.lists(st.text(alphabet="ab \n", min_size=1, max_size=4), max_size=3)


def cut(text: str, stops: list[str]) -> tuple[str, bool]:
    """The definition: read letter by letter; the first stop string to be complete ends the text."""
    for end in range(1, len(text) + 1):
        if ending := [stop for stop in stops if text[:end].endswith(stop)]:
            return text[: end - max(map(len, ending))].strip(), True
    return text.strip(), False


@given(st.lists(LETTERS, max_size=8), STOPS)
@settings(max_examples=500)
def test_any_split_of_a_text_shows_the_same(pieces, stops):
    stream = StopStream(stops)
    shown = "".join([stream.push(piece) for piece in pieces] + [stream.flush()])
    assert (shown, stream.stopped) == cut("".join(pieces), stops)


@given(st.lists(LETTERS, max_size=8), STOPS)
def test_what_is_shown_is_never_taken_back(pieces, stops):
    """At every moment, the shown text begins the final one."""
    stream, shown = StopStream(stops), ""
    for piece in pieces:
        shown += stream.push(piece)
        assert cut("".join(pieces), stops)[0].startswith(shown)
        assert not shown.endswith((" ", "\n"))


def test_text_is_held_back_no_longer_than_needed():
    stream = StopStream(["###"])
    assert [stream.push(piece) for piece in ("a#", "#", "b ", "c")] == ["a", "", "##b", " c"]


@given(st.text(max_size=20), STOPS)
@settings(deadline=None)
def test_bytes_that_stream_in_show_whole_characters_only(text, stops):
    tokenizer = byte_tokenizer()
    characters, stream = TextStream(tokenizer), StopStream(stops)
    pieces = [stream.push(characters.push(token)) for token in tokenizer.encode_plain(text, first=True).ids]
    pieces += [stream.push(characters.flush()), stream.flush()]
    assert "".join(pieces) == cut(text, stops)[0]
    assert all("\ufffd" not in piece for piece in pieces) or "\ufffd" in text
