"""A teacher behind a real server, which misbehaves: nothing is paid twice, and no more than was allowed."""

import asyncio
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from judge_server import Told, judge_server
from llavakit.api import Api
from llavakit.errors import LlavaError, UsageError
from llavakit.synth.asked import ApiTeacher
from llavakit.synth.kept import Kept
from llavakit.synth.prices import FREE, Price
from llavakit.synth.task import Reply, Task
from synth.asking import Plain, caption, shout, task, tasks, teacher

CHEAP = Price(input=1000, output=10000, batch=0.5)  # a reply of 100 + 10 tokens costs $0.20


@pytest.fixture
def kept(tmp_path: Path) -> Iterator[Kept]:
    with Kept(tmp_path / "kept.sqlite") as opened:
        yield opened


def test_replies_are_kept_and_another_run_asks_nobody(kept: Kept) -> None:
    with judge_server(shout) as server:
        one = teacher(server.url, kept)
        one.gather(tasks(5))
        assert [one.reply(each) for each in tasks(6)] == [*(Reply(f"DOG {n}") for n in range(5)), None]
        assert (one.name, one.replies, one.again, one.stopped) == ("gpt-x", 5, 0, "")
        assert server.bodies[0] == {
            "model": "gpt-x", "messages": list(Plain().messages(task(int(server.asked[0][4:])))),
            "temperature": 0.0, "max_tokens": 50,
        }  # fmt: skip
        kept.close()
        again = teacher(server.url, kept)
        again.gather(tasks(5))
        assert [again.reply(each) for each in tasks(5)] == [Reply(f"DOG {n}") for n in range(5)]
        assert len(server.asked) == 5
    again.gather(tasks(5))  # and needs no server


def test_another_model_version_or_kind_is_another_request(kept: Kept) -> None:
    with judge_server(shout) as server:
        teacher(server.url, kept).gather([task(1)])
        teacher(server.url, kept).gather([task(1, "detail")])
        for kinds, model in (({"brief": Plain("2")}, "gpt-x"), ({"brief": Plain("1")}, "gpt-y")):
            ApiTeacher(Api(model, server.url, "k"), kinds, kept).gather([task(1)])
    assert len(server.asked) == 4


def test_what_cannot_be_used_is_asked_again_with_its_fault(kept: Kept) -> None:
    def unwilling(told: Told) -> None:
        if len(told.body["messages"]) == 2:
            told.say("well, a dog")
        else:
            shout(told)

    with judge_server(unwilling) as server:
        one = teacher(server.url, kept)
        one.gather(tasks(20))
        assert [one.reply(each) for each in tasks(20)] == [Reply(f"DOG {n}", "", 1) for n in range(20)]
    assert (one.replies, one.again, len(server.asked)) == (40, 20, 40)
    assert server.bodies[-1]["messages"][2:] == [
        {"role": "assistant", "content": "well, a dog"},
        {
            "role": "user",
            "content": "This cannot be used: it is not the caption in capitals. "
            "Reply again, in the form asked for.",
        },
    ]


def test_a_task_is_asked_so_often_and_no_more_in_later_runs_either(kept: Kept) -> None:
    with judge_server(lambda told: told.say(f"no {len(told.body['messages'])}")) as server:
        for _ in range(2):
            one = teacher(server.url, kept, tries=3)
            one.gather([task(1)])
        assert one.reply(task(1)) == Reply("no 4", "", 2)  # told the fault of the one before
    assert len(server.asked) == 3


def test_the_last_reply_that_can_be_used_is_given_when_the_rules_change(kept: Kept) -> None:
    with judge_server(lambda told: told.say(f"said {len(told.body['messages'])}")) as server:
        teacher(server.url, kept).gather([task(1)])
        mild = teacher(server.url, kept, usable=lambda task, text: "" if text == "said 2" else "no")
        mild.gather([task(1)])
        assert mild.reply(task(1)) == Reply("said 2")
    assert len(server.asked) == 2


def test_nothing_said_and_half_replies_are_no_replies(kept: Kept) -> None:
    def short(told: Told) -> None:
        if "1" in caption(told):
            told.say(None)
        elif "2" in caption(told):
            told.say("DOG", finish="length")
        else:
            told.say("DOG 3", finish="content_filter")

    with judge_server(short) as server:
        for _ in range(2):
            one = teacher(server.url, kept)
            one.gather(tasks(3, 1))
        assert [one.reply(each) for each in tasks(3, 1)] == [
            Reply("", "nothing was said", 1),
            Reply("", "it is cut off after 10 tokens", 1),
            Reply("", "the provider's filter stopped it", 1),
        ]
    assert len(server.asked) == 6
    assert all(len(body["messages"]) == 2 for body in server.bodies if "1" in body["messages"][1]["content"])


def test_what_fails_is_counted_and_asked_again_by_the_next_run(kept: Kept) -> None:
    def broken(told: Told) -> None:
        if told.text == "dog 1":
            told.fail(400, "too long")
        elif told.text == "dog 2":
            told.fail(500, "out of order")
        else:
            shout(told)

    with judge_server(broken) as server:
        one = teacher(server.url, kept, tries_each=2)
        one.gather(tasks(3))
        assert one.failed == {
            "the server answered 400: too long": 1,
            "the server answered 500: out of order, in 2 tries": 1,
        }
        assert one.reply(task(1)) == Reply("", "the server answered 400: too long")
        server.answer = shout
        server.asked.clear()
        again = teacher(server.url, kept)
        again.gather(tasks(3))
        assert sorted(server.asked) == ["dog 1", "dog 2"]
        assert [again.reply(each) for each in tasks(3)] == [Reply(f"DOG {n}") for n in range(3)]


def test_of_endless_reasons_the_first_are_counted_apart(kept: Kept) -> None:
    with judge_server(lambda told: told.fail(400, f"about {told.text}")) as server:
        one = teacher(server.url, kept)
        one.gather(tasks(60))
    assert len(one.failed) == 51 and one.failed.total() == 60
    assert one.failed["for other reasons"] == 10


def test_whatever_the_server_does_each_reply_is_paid_once(kept: Kept) -> None:
    """Of each kind of fault some, in any order; what came whole is never asked for again."""
    chance = random.Random(7)
    whole: Counter[str] = Counter()
    lock = threading.Lock()

    def wild(told: Told) -> None:
        with lock:
            way = chance.choice(["429", "500", "slow", "cut", "nonsense", *["whole"] * 5])
        if way == "429":
            told.fail(429, headers={"Retry-After": "0.01"})
        elif way == "500":
            told.fail(500)
        elif way == "slow":
            time.sleep(1.2)
        elif way == "cut":
            told.send(200, told.completion("DOG"), cut=20)
        elif way == "nonsense":
            told.send(200, "{]")
        else:
            whole[told.text] += 1
            shout(told)

    with judge_server(wild) as server:
        one = teacher(server.url, kept, timeout=1.0, tries_each=20, concurrency=12)
        one.gather(tasks(30))
        assert [one.reply(each) for each in tasks(30)] == [Reply(f"DOG {n}") for n in range(30)]
    assert whole == {f"dog {number}": 1 for number in range(30)}
    assert server.most <= 12 + 8  # those that were given up are still there


@pytest.mark.parametrize(
    ("status", "told"), [(401, "refuses the key"), (404, "no model 'gpt-x'"), (402, "wants to be paid")]
)
def test_what_ends_a_run_loses_no_reply(status: int, told: str, kept: Kept) -> None:
    def ending(request: Told) -> None:
        if request.text == "dog 9":
            return request.fail(status)
        time.sleep(0.05)
        return shout(request)

    with judge_server(ending) as server:
        one = teacher(server.url, kept, concurrency=4, price=CHEAP)
        with pytest.raises(LlavaError, match=told):
            one.gather(tasks(1000))
        asked = {int(text[4:]) for text in server.asked}
        assert len(asked) <= 14
        assert {n for n in range(20) if one.reply(task(n)) == Reply(f"DOG {n}")} == asked - {9}
        server.answer = shout
        one.gather(tasks(20))
        assert one.replies == 20 and one.spent == pytest.approx(20 * 0.20)


def test_requests_are_bounded_and_tasks_are_pulled_as_they_are_needed(kept: Kept) -> None:
    done = pulled = ahead = 0

    def source() -> Iterator[Task]:
        nonlocal pulled, ahead
        for each in tasks(100):
            pulled += 1
            ahead = max(ahead, pulled - done)
            yield each

    def progress(count: int) -> None:
        nonlocal done
        done = count

    def slow(told: Told) -> None:
        time.sleep(0.02)
        shout(told)

    with judge_server(slow) as server:
        teacher(server.url, kept, concurrency=5, progress=progress).gather(source())
    assert (server.most, ahead, done) == (5, 5, 100)


def test_equal_tasks_are_asked_once(kept: Kept) -> None:
    def slow(told: Told) -> None:
        time.sleep(0.05)
        shout(told)

    with judge_server(slow) as server:
        teacher(server.url, kept).gather([task(1)] * 5)
    assert server.asked == ["dog 1"]


def test_the_requests_a_minute_are_kept(kept: Kept) -> None:
    times: list[float] = []

    def note(told: Told) -> None:
        times.append(time.monotonic())
        shout(told)

    with judge_server(note) as server:
        teacher(server.url, kept, rpm=1200).gather(tasks(20))
    assert max(times) - min(times) >= 19 * 0.05 - 0.15


def test_many_that_are_kept_hold_up_no_reply(kept: Kept) -> None:
    """They take 1.3 s to pass over, and one under way has 0.5 s."""

    def slowly(task: Task, text: str) -> str:
        time.sleep(0.008)
        return ""

    with judge_server(shout) as server:
        teacher(server.url, kept).gather(tasks(160))
        one = teacher(server.url, kept, usable=slowly, timeout=0.5, concurrency=2)
        one.gather([task(1000), *tasks(160), task(1001)])
    assert len(server.asked) == 162 and one.replies == 2


def test_a_budget_needs_a_price(kept: Kept) -> None:
    with pytest.raises(UsageError, match="a budget needs to know what gpt-x costs"):
        teacher("http://127.0.0.1:1/v1", kept, budget=1.0)


@pytest.mark.parametrize("concurrency", [1, 8])
def test_a_budget_is_kept_and_a_larger_one_goes_on(concurrency: int, kept: Kept) -> None:
    """Each reply costs $0.20, and may cost $0.50 for its 50 tokens and some cents for its prompt."""
    with judge_server(shout) as server:
        one = teacher(server.url, kept, budget=3.0, price=CHEAP, concurrency=concurrency)
        one.gather(tasks(40))
        first = len(server.asked)
        assert 3.0 - 0.7 <= first * 0.20 <= 3.0
        assert one.spent == pytest.approx(first * 0.20)
        assert one.stopped.startswith(f"the budget of $3 reaches no further: ${one.spent:.4f} are spent")
        assert sum(one.reply(each) is not None for each in tasks(40)) == first

        more = teacher(server.url, kept, budget=5.0, price=CHEAP, concurrency=concurrency)
        more.gather(tasks(40))
        assert 5.0 - 0.7 <= len(server.asked) * 0.20 <= 5.0
        assert len(set(server.asked)) == len(server.asked)

        rest = teacher(server.url, kept, budget=100.0, price=CHEAP)
        rest.gather(tasks(40))
        assert (len(server.asked), rest.stopped) == (40, "")


def test_replies_that_are_asked_for_again_are_in_the_budget(kept: Kept) -> None:
    with judge_server(lambda told: told.say("no")) as server:
        one = teacher(server.url, kept, budget=3.0, price=CHEAP)
        one.gather(tasks(100))
    assert 2.0 <= len(server.asked) * 0.20 <= 3.0
    assert one.stopped


@pytest.mark.parametrize("way", ["cut", "slow", "nonsense"])
def test_tries_that_may_have_been_paid_are_in_the_budget(way: str, kept: Kept) -> None:
    """Every second try is lost after the model has worked: the server counts all of them."""
    numbers = iter(range(1000))

    def lossy(told: Told) -> None:
        if next(numbers) % 2:
            return shout(told)
        if way == "cut":
            return told.send(200, told.completion("DOG"), cut=10)
        if way == "nonsense":
            return told.send(200, {"id": 7})
        return time.sleep(0.6)

    with judge_server(lossy) as server:
        one = teacher(server.url, kept, budget=4.0, price=CHEAP, timeout=0.4, concurrency=6)
        one.gather(tasks(100))
    assert 0.8 <= len(server.asked) * 0.20 <= 4.0
    assert one.spent <= 4.0 + 1e-9


def test_a_budget_outlasts_prompts_and_replies_that_are_longer_than_thought(kept: Kept) -> None:
    """The server counts twelve times our tokens, and takes no limit to the reply's, as new models do."""

    def grand(told: Told) -> None:
        if "max_tokens" in told.body:
            told.fail(400, "unsupported", param="max_tokens")
        else:
            told.say(caption(told).upper(), 300, 90)

    with judge_server(grand) as server:
        one = teacher(server.url, kept, budget=10.0, price=CHEAP, concurrency=2)
        one.gather(tasks(100))
    paid = sum("max_tokens" not in body for body in server.bodies) * 1.2
    assert 10.0 - 1.3 <= paid <= 10.0


def test_free_replies_need_no_end(kept: Kept) -> None:
    with judge_server(shout) as server:
        one = teacher(server.url, kept, budget=0.0, price=FREE)
        one.gather(tasks(10))
    assert (one.replies, one.spent, one.stopped) == (10, 0.0, "")


def test_tokens_are_counted_here_where_a_server_tells_none(kept: Kept) -> None:
    def silent(told: Told) -> None:
        told.send(200, {"choices": [{"message": {"content": caption(told).upper()}}]})

    with judge_server(silent) as server:
        one = teacher(server.url, kept, price=CHEAP)
        one.gather([task(1)])
    [paid] = kept.paid("gpt-x")
    assert (paid.prompt_tokens, paid.completion_tokens) == (3 + 2 * 4 + 6 + 3, 3)
    assert one.spent == pytest.approx(0.05)


def test_what_waits_in_a_batch_is_left_to_it(kept: Kept) -> None:
    with judge_server(shout) as server:
        one = teacher(server.url, kept)
        request = one._requests.wanted(task(1))
        assert request is not None
        kept.open([request.opened(batch=True)])
        one.gather(tasks(3))
        assert (sorted(server.asked), one.waiting, one.reply(task(1))) == (["dog 0", "dog 2"], 1, None)


def test_it_can_be_asked_inside_a_running_loop(kept: Kept) -> None:
    async def notebook(url: str) -> Reply | None:
        one = teacher(url, kept)
        one.gather([task(1)])
        return one.reply(task(1))

    with judge_server(shout) as server:
        assert asyncio.run(notebook(server.url)) == Reply("DOG 1")


_RUN = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[3])
from llavakit.synth.prices import Price
from synth.asking import tasks, teacher
price = Price(input=1000, output=10000)
teacher(sys.argv[1], Path(sys.argv[2]), concurrency=3, price=price, budget=100.0).gather(tasks(30))
"""


def run(url: str, path: Path) -> "subprocess.Popen[bytes]":
    return subprocess.Popen([sys.executable, "-c", _RUN, url, path, Path(__file__).parents[1]])


def test_after_a_kill_the_next_run_asks_for_what_is_missing_and_knows_what_was_spent(tmp_path: Path) -> None:
    path = tmp_path / "kept.sqlite"
    enough = threading.Event()

    def until_enough(told: Told) -> None:
        if len(server.asked) > 10:
            enough.set()
            time.sleep(60)
        shout(told)

    with judge_server(until_enough) as server:
        process = run(server.url, path)
        assert enough.wait(60)
        time.sleep(0.2)
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        sent = len(server.asked)
        server.asked.clear()
        server.answer = shout
        with Kept(path) as kept:
            one = teacher(server.url, kept, price=CHEAP, budget=100.0)
            had = {n for n in range(30) if one.reply(task(n)) is not None}
            assert 8 <= len(had) <= 10
            kept.claim()
            # Those that were under way may have been paid, at most as the last ones that came.
            assert sent * 0.20 <= one.spent <= len(had) * 0.20 + 3 * 0.60
            one.gather(tasks(30))
            assert [one.reply(each) for each in tasks(30)] == [Reply(f"DOG {n}") for n in range(30)]
        assert sorted(server.asked) == sorted(f"dog {n}" for n in set(range(30)) - had)


def test_a_run_that_is_broken_off_can_go_on_in_the_same_process(kept: Kept) -> None:
    """Those under way were given up: they may have been paid, and are asked again."""

    left = [LlavaError("broken off")]

    def interrupt(count: int) -> None:
        if count == 5 and left:
            raise left.pop()

    def slow(told: Told) -> None:
        time.sleep(0.02)
        shout(told)

    with judge_server(slow) as server:
        one = teacher(server.url, kept, progress=interrupt, price=CHEAP)
        with pytest.raises(LlavaError, match="broken off"):
            one.gather(tasks(20))
        one.gather(tasks(20))
        assert [one.reply(each) for each in tasks(20)] == [Reply(f"DOG {n}") for n in range(20)]
        assert 20 * 0.20 < one.spent <= 20 * 0.20 + 8 * 0.60


def test_two_runs_do_not_pay_for_the_same(tmp_path: Path) -> None:
    path = tmp_path / "kept.sqlite"

    def slow(told: Told) -> None:
        time.sleep(0.3)
        shout(told)

    with judge_server(slow) as server:
        process = run(server.url, path)
        while not server.asked:
            time.sleep(0.01)
        with pytest.raises(LlavaError, match="is being written by another run"):
            teacher(server.url, path).gather(tasks(30))
        assert process.wait() == 0
        assert len(server.asked) == 30
