"""What asking will cost is known before anything is sent, and better once there are replies."""

import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import pytest

from judge_server import Told, judge_server
from llavakit.synth.estimate import TYPICAL, estimate
from llavakit.synth.kept import Kept
from llavakit.synth.prices import Price
from llavakit.synth.task import KINDS as ALL_KINDS
from llavakit.synth.task import Task
from llavakit.synth.tokens import prompt_tokens, tokens
from synth.asking import KINDS, caption, shout, task, tasks, teacher, usable

PRICE = Price(input=2, output=8, batch=0.5)
PROMPT = prompt_tokens(KINDS["brief"].messages(task(1)))


@pytest.fixture
def kept(tmp_path: Path) -> Iterator[Kept]:
    with Kept(tmp_path / "kept.sqlite") as opened:
        yield opened


# What GPT-4's tokenizer makes of them, by its published pattern where that leaves nothing to merge; the first
# two are examples in OpenAI's cookbook.
@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("2 + 2 = 4", 7),
        ("お誕生日おめでとう", 9),
        ("dog: [0.123, 0.456, 0.789, 0.012]\n", 22),
        ("A dog sits on a red sofa.", 8),
        ("", 0),
    ],
)
def test_tokens_are_counted_without_a_tokenizer(text: str, count: int) -> None:
    assert tokens(text) == count


def test_every_letter_is_in_some_token() -> None:
    text = "Ünïcödé_names, ½ числа\t١٢٣ 👍🏽\n\n\n x" * 3
    assert 20 < tokens(text) < len(text)


def test_every_kind_has_a_typical_length() -> None:
    assert set(TYPICAL) == set(ALL_KINDS)


def test_requests_tokens_and_money_are_told_before_anything_is_sent(kept: Kept) -> None:
    found = estimate([*tasks(9), task(9, "detail")], "gpt-x", KINDS, kept, PRICE)
    brief, detail = found.kinds["brief"], found.kinds["detail"]
    assert (brief.requests, detail.requests, found.requests) == (9, 1, 10)
    assert brief.prompt_tokens == 9 * PROMPT
    assert (brief.completion_tokens, brief.most) == (9 * 20, 9 * 50)
    assert (detail.completion_tokens, detail.most) == (
        100,
        100,
    )  # 130 are usual, and no more than 100 allowed
    assert found.usd == pytest.approx((10 * PROMPT * 2 + 280 * 8) / 1e6)
    assert found.usd_batch == pytest.approx((10 * PROMPT * 2 + 280 * 8) / 2e6)
    assert found.usd_most == pytest.approx((10 * PROMPT * 2 + 550 * 8) / 1e6)
    assert found.measured == ()
    assert not kept.path.exists()


def test_without_a_price_there_is_no_money_and_without_a_discount_no_batch(kept: Kept) -> None:
    unknown = estimate(tasks(3), "gpt-x", KINDS, kept)
    assert (unknown.requests, unknown.usd, unknown.usd_batch, unknown.usd_most) == (3, None, None, None)
    assert estimate(tasks(3), "gpt-x", KINDS, kept, Price(input=1, output=1)).usd_batch is None


def test_what_is_kept_or_waits_in_a_batch_is_not_counted(kept: Kept) -> None:
    with judge_server(shout) as server:
        one = teacher(server.url, kept)
        one.gather(tasks(4))
    request = one._requests.wanted(task(7))
    assert request is not None
    kept.open([request.opened(batch=True)])
    need = estimate(tasks(10), "gpt-x", KINDS, kept, PRICE).kinds["brief"]
    assert (need.requests, need.kept, need.waiting) == (5, 4, 1)
    assert estimate(tasks(10), "gpt-y", KINDS, kept, PRICE).requests == 10


def test_what_cannot_be_used_or_failed_is_counted(kept: Kept) -> None:
    def some(told: Told) -> None:
        if caption(told) == "dog 1":
            told.fail(400)
        else:
            told.say("no" if caption(told) == "dog 2" else caption(told).upper())

    with judge_server(some) as server:
        teacher(server.url, kept, tries=1).gather(tasks(4))
    found = estimate(tasks(4), "gpt-x", KINDS, kept, usable=usable)
    assert (found.requests, found.kinds["brief"].kept) == (2, 2)
    assert found.prompt_tokens > 2 * PROMPT * 4  # the second time with what was said; tokens as measured


def test_replies_that_are_kept_correct_the_tokens(kept: Kept) -> None:
    with judge_server(lambda told: told.say("DOG", 3 * PROMPT, 33)) as server:
        teacher(server.url, kept, usable=lambda task, text: "").gather(tasks(5))
    found = estimate([*tasks(10, 100), task(1, "detail")], "gpt-x", KINDS, kept, PRICE)
    assert found.kinds["brief"].completion_tokens == pytest.approx(330)
    assert found.kinds["brief"].prompt_tokens == pytest.approx(30 * PROMPT, rel=0.1)
    assert found.kinds["detail"].prompt_tokens == pytest.approx(3 * PROMPT, rel=0.1)
    assert found.kinds["detail"].completion_tokens == 100
    assert found.measured == ("brief",)


def test_the_narrowest_limit_tells_the_hours(kept: Kept) -> None:
    found = estimate(tasks(3600), "gpt-x", KINDS, kept)
    asked, replied = found.prompt_tokens, found.completion_tokens
    assert found.hours(concurrency=1, first=1, speed=20) == pytest.approx(2.0)
    assert found.hours(concurrency=4, first=1, speed=20) == pytest.approx(0.5)
    assert found.hours(concurrency=4, rpm=20) == pytest.approx(3.0)
    assert found.hours(concurrency=4, tpm=100) == pytest.approx((asked + replied) / 6000)


def test_memory_does_not_grow_with_the_tasks(kept: Kept) -> None:
    def peak(count: int) -> int:
        tracemalloc.start()
        estimate((Task(each.scene, "brief") for each in tasks(count)), "gpt-x", KINDS, kept)
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return most

    peak(600)  # the counts of the last 512 texts are remembered
    assert peak(3000) < 1.2 * peak(600) + 100_000
