"""Many are asked at a time, in turn and in time; whose reply is on its way is waited for."""

import time
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import pytest

from judge_server import Told, judge_server
from llavakit.api import Api, Body, Said
from llavakit.errors import LlavaError, UsageError


def body(text: str, **more: Any) -> Body:
    return {"messages": [{"role": "user", "content": text}], **more}


def api(url: str, **options: Any) -> Api:
    return Api("m", url, "k", **{"pause": 0.01, **options})


def echo(told: Told) -> None:
    told.say(told.text)


def test_bodies_are_taken_when_they_can_be_sent_and_may_end_early() -> None:
    pulled, ahead = 0, 0
    said: list[int] = []

    def bodies() -> Iterator[Body]:
        nonlocal pulled, ahead
        for number in range(1000):
            if len(said) >= 30:
                return
            pulled += 1
            ahead = max(ahead, pulled - len(said))
            yield body(str(number))

    with judge_server(echo) as server:
        api(server.url, concurrency=4).ask(bodies(), lambda number, each: said.append(number))
    assert ahead == 4 and 30 <= len(said) <= 33
    assert sorted(said) == list(range(len(said)))


def test_nothing_to_ask_yet_lets_those_under_way_go_on() -> None:
    said: list[str] = []

    def bodies() -> Iterator[Body | None]:
        yield body("first")
        for _ in range(100):  # longer than the reply may take
            time.sleep(0.01)
            yield None
        assert said == ["first"]
        yield body("second")

    with judge_server(echo) as server:
        api(server.url, concurrency=2, timeout=0.5).ask(bodies(), lambda _, each: said.append(each.text))
    assert server.asked == ["first", "second"]


@pytest.mark.parametrize("limits", [{"rpm": 1200.0}, {"tpm": 1200.0 * 110}])
def test_requests_start_evenly_whatever_the_limit_counts(limits: dict[str, float]) -> None:
    """Of tokens, a reply takes 110, as the server tells it: 50 ms each in both cases."""
    times: list[float] = []

    def note(told: Told) -> None:
        times.append(time.monotonic())
        echo(told)

    with judge_server(note) as server:
        one = api(server.url, concurrency=8, **limits)
        for _ in range(2):  # the limit goes on from one call to the next
            one.ask([body("a" * 400, max_tokens=10) for _ in range(10)], lambda *_: None)
    times.sort()
    assert times[-1] - times[0] >= 19 * 0.05 - 0.15
    assert max(sum(start <= other < start + 0.5 for other in times) for start in times) <= 15
    assert sum(later - sooner > 0.02 for sooner, later in pairwise(times)) >= 10


def test_what_was_thought_too_little_is_made_up_for() -> None:
    """The prompt is counted as some 15 tokens, and takes 1,000: 50 ms of the minute, not 1."""
    times: list[float] = []

    def long(told: Told) -> None:
        times.append(time.monotonic())
        told.say("x", 1000, 0)

    with judge_server(long) as server:
        one = api(server.url, concurrency=1, tpm=1_200_000)
        one.ask([body("a" * 60) for _ in range(11)], lambda *_: None)
    assert times[-1] - times[0] >= 0.4


@pytest.mark.parametrize("limit", [{"rpm": 0}, {"tpm": -1}, {"rpm": float("nan")}])
def test_a_limit_that_lets_nothing_through_is_refused(limit: dict[str, float]) -> None:
    with pytest.raises(UsageError, match="a minute are none; give a number above 0"):
        api("http://127.0.0.1:1/v1", **limit)


def test_replies_on_their_way_are_waited_for_when_the_money_ends() -> None:
    said: dict[int, Said] = {}
    dropped: list[int] = []

    def broke(told: Told) -> None:
        if told.text == "1":
            time.sleep(0.1)
            told.fail(402, "pay first")
        else:
            time.sleep(0.3)
            echo(told)

    with judge_server(broke) as server, pytest.raises(LlavaError, match="wants to be paid"):
        api(server.url, concurrency=3).ask(map(body, "012345"), said.__setitem__, dropped=dropped.append)
    assert sorted(server.asked) == ["0", "1", "2"]
    assert {number: each.text for number, each in said.items()} == {0: "0", 2: "2"}
    assert dropped == [1]


def test_one_that_waits_to_try_again_is_not_waited_for() -> None:
    dropped: list[int] = []

    def broke(told: Told) -> None:
        if told.text == "0":
            told.fail(503, headers={"Retry-After": "60"})
        else:
            time.sleep(0.2)
            told.fail(402)

    with judge_server(broke) as server:
        start = time.monotonic()
        with pytest.raises(LlavaError, match="wants to be paid"):
            api(server.url, concurrency=2).ask(map(body, "01"), lambda *_: None, dropped=dropped.append)
    assert time.monotonic() - start < 5
    assert sorted(dropped) == [0, 1]


def test_tries_that_may_have_been_paid_are_told_and_no_others() -> None:
    lost: list[int] = []
    said: dict[int, Said] = {}

    def bad(told: Told) -> None:
        if told.number:
            return echo(told)
        if told.text == "0":
            return told.send(200, told.completion("cut"), cut=10)
        if told.text == "1":
            return time.sleep(0.7)
        if told.text == "2":
            return told.send(200, "<html>")
        return told.fail(500 if told.text == "3" else 429)

    def again(number: int) -> bool:
        lost.append(number)
        return number != 1

    with judge_server(bad) as server:
        api(server.url, timeout=0.4).ask(map(body, "01234"), said.__setitem__, lost=again)
    assert sorted(lost) == [0, 1, 2]
    assert {number: each.text for number, each in said.items()} == {0: "0", 1: "", 2: "2", 3: "3", 4: "4"}
    assert said[1].reason == "no answer within 0.4 s; to ask again might cost more than there is"
    assert server.asked.count("1") == 1


def test_how_a_reply_ends_is_told() -> None:
    said: dict[int, Said] = {}
    with judge_server(lambda told: told.say("half a", finish="length")) as server:
        api(server.url).ask([body("a")], said.__setitem__)
    assert said[0].finish == "length"


def test_a_fault_of_what_is_asked_ends_it_after_those_under_way() -> None:
    said: list[int] = []

    def bodies() -> Iterator[Body]:
        yield body("0")
        raise LlavaError("the source broke off")

    with judge_server(echo) as server, pytest.raises(LlavaError, match="the source broke off"):
        api(server.url).ask(bodies(), lambda number, _: said.append(number))
    assert said == [0]


def test_what_settling_raises_ends_it() -> None:
    def full(number: int, said: Said) -> None:
        raise LlavaError("the disk is full")

    with judge_server(echo) as server, pytest.raises(LlavaError, match="the disk is full"):
        api(server.url, concurrency=1).ask(map(body, "0123"), full)
    assert server.asked == ["0"]
