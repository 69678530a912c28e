"""What it costs to turn ids into text one by one: counted in ids decoded, not in time."""

from collections.abc import Iterable, Sequence

import pytest

from llavakit.prompt.tokenizer import TextStream, Tokenizer
from prompt.backends import BACKENDS, small


class Counted:
    """A tokenizer that counts the ids it decodes."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self.tokenizer, self.count = tokenizer, 0

    def __getattr__(self, name: str) -> object:
        return getattr(self.tokenizer, name)

    def decode(self, ids: Sequence[int]) -> str:
        self.count += len(ids)
        return self.tokenizer.decode(ids)


def most(kind: str, ids: Iterable[int]) -> int:
    """The most ids that one push decodes."""
    counted = Counted(small(kind))
    stream = TextStream(counted)  # type: ignore[arg-type]
    costs = []
    for token in ids:
        counted.count = 0
        stream.push(token)
        costs.append(counted.count)
    return max(costs)


@pytest.mark.parametrize("kind", BACKENDS)
@pytest.mark.parametrize("text", ["a cat on a mat " * 40, "中文🙂👩‍👩‍👧é " * 40, " " * 200, "\n" * 200])
def test_a_push_decodes_few_ids_however_long_the_text(kind: str, text: str) -> None:
    ids = small(kind).encode_plain(text, first=True).ids
    assert len(ids) > 20
    assert most(kind, ids) <= 24  # twice a window of two stretches of at most six ids


@pytest.mark.parametrize("kind", BACKENDS)
def test_special_tokens_and_unknown_ids_do_not_make_the_window_grow(kind: str) -> None:
    tokenizer = small(kind)
    ids = [
        *tokenizer.encode_plain("first", first=True).ids,
        *[tokenizer.eos_id, tokenizer.vocab_size + 7] * 200,
    ]
    assert most(kind, ids) <= 24
    stream = TextStream(tokenizer)
    more = tokenizer.encode_plain("first second", first=True).ids
    shown = "".join(stream.push(i) for i in [more[0], *ids[-200:], *more[1:]])
    assert shown + stream.flush() == "first second"


@pytest.mark.parametrize("kind", BACKENDS)
def test_bytes_that_are_no_text_cost_a_bounded_window(kind: str) -> None:
    backend = small(kind).backend
    rubbish = backend.token_to_id("<0xFF>" if kind.startswith("llama-") else "ÿ")
    assert rubbish is not None
    assert most(kind, [rubbish] * 300) <= 2 * (32 + 32) + 2
