"""Requests go into files as OpenAI takes them; replies come back in any order, and once."""

import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from judge_server import Told, judge_server
from llavakit.errors import LlavaError, UsageError
from llavakit.synth.batch import read_batch, write_batches
from llavakit.synth.kept import Kept
from llavakit.synth.prices import Price
from llavakit.synth.request import Requests
from llavakit.synth.task import Reply
from synth.asking import KINDS, Plain, shout, task, tasks, teacher, usable

Row = dict[str, Any]


@pytest.fixture
def kept(tmp_path: Path) -> Iterator[Kept]:
    with Kept(tmp_path / "kept.sqlite") as opened:
        yield opened


def rows(*paths: Path) -> list[Row]:
    return [json.loads(line) for path in paths for line in path.read_text().splitlines()]


def answer(request: Row, text: str | None = None) -> Row:
    """A line of an output file, as the service writes it."""
    said = request["body"]["messages"][1]["content"].upper() if text is None else text
    body = Told.completion(said)
    response = {"status_code": 200, "request_id": "req_1", "body": body}
    return {
        "id": "batch_req_1", "custom_id": request["custom_id"], "response": response, "error": None,
    }  # fmt: skip


def failure(request: Row, status: int, message: str) -> Row:
    response = {"status_code": status, "request_id": "req_1", "body": {"error": {"message": message}}}
    return {"id": "batch_req_1", "custom_id": request["custom_id"], "response": response, "error": None}


def expired(request: Row) -> Row:
    error = {"code": "batch_expired", "message": "This request could not be executed in time."}
    return {"id": "batch_req_1", "custom_id": request["custom_id"], "response": None, "error": error}


def save(path: Path, *lines: Row | str) -> Path:
    texts = (line if isinstance(line, str) else json.dumps(line) for line in lines)
    path.write_text("".join(text + "\n" for text in texts))
    return path


def written(kept: Kept, folder: Path, count: int = 4, **options: Any) -> list[Row]:
    return rows(*write_batches(tasks(count), "gpt-x", KINDS, kept, folder / "ask", **options))


def replies(kept: Kept, count: int = 4) -> list[Reply | None]:
    requests = Requests("gpt-x", KINDS, kept, usable=usable)
    return [requests.reply(each) for each in tasks(count)]


def test_each_request_is_a_line_as_the_service_takes_it(kept: Kept, tmp_path: Path) -> None:
    paths = write_batches(tasks(3), "gpt-x", KINDS, kept, tmp_path / "deep" / "ask")
    assert paths == [tmp_path / "deep" / "ask-001.jsonl"]
    found = rows(*paths)
    assert found[1] == {
        "custom_id": found[1]["custom_id"], "method": "POST", "url": "/v1/chat/completions",
        "body": {
            "model": "gpt-x", "messages": list(Plain().messages(task(1))), "temperature": 0.0,
            "max_tokens": 50,
        },
    }  # fmt: skip
    assert len({row["custom_id"] for row in found}) == 3
    assert all(len(row["custom_id"]) == 64 for row in found)  # as much as an id may have
    assert [path.name for path in paths[0].parent.iterdir()] == ["ask-001.jsonl"]


def test_what_a_model_does_not_take_is_left_out(kept: Kept, tmp_path: Path) -> None:
    found = written(kept, tmp_path, without=("temperature", "max_tokens"))
    assert set(found[0]["body"]) == {"model", "messages"}


@pytest.mark.parametrize(
    ("limit", "counts"), [({"most_requests": 3}, [3, 3, 1]), ({"most_bytes": 700}, [2, 2, 2, 1])]
)
def test_a_file_is_no_larger_than_the_service_takes(
    limit: dict[str, int], counts: list[int], kept: Kept, tmp_path: Path
) -> None:
    paths = write_batches(tasks(7), "gpt-x", KINDS, kept, tmp_path / "ask", **limit)
    assert [path.name for path in paths] == [f"ask-00{n}.jsonl" for n in range(1, len(counts) + 1)]
    assert [len(rows(path)) for path in paths] == counts
    assert all(path.stat().st_size <= limit.get("most_bytes", 10**9) for path in paths)


def test_what_is_kept_or_under_way_is_not_written_again(kept: Kept, tmp_path: Path) -> None:
    with judge_server(shout) as server:
        teacher(server.url, kept).gather(tasks(2))
    assert len(written(kept, tmp_path)) == 2
    paths = write_batches([*tasks(5), task(4)], "gpt-x", KINDS, kept, tmp_path / "ask")
    assert [path.name for path in paths] == ["ask-002.jsonl"]  # the first may be on its way
    assert [row["body"]["messages"][1]["content"] for row in rows(*paths)] == ["dog 4"]
    assert write_batches(tasks(5), "gpt-x", KINDS, kept, tmp_path / "ask") == []
    assert kept.forget_batches() == 3
    assert len(rows(*write_batches(tasks(5), "gpt-x", KINDS, kept, tmp_path / "ask"))) == 3


def test_replies_are_read_in_any_order_and_reading_again_changes_nothing(kept: Kept, tmp_path: Path) -> None:
    lines = [answer(row) for row in written(kept, tmp_path, 30)]
    random.Random(1).shuffle(lines)
    out = save(tmp_path / "output.jsonl", *lines)
    first = read_batch(out, kept)
    assert (first.replies, first.before, first.unknown, first.broken) == (30, 0, 0, 0)
    assert replies(kept, 30) == [Reply(f"DOG {n}") for n in range(30)]
    second = read_batch(out, kept)
    assert (second.replies, second.before) == (0, 30)
    one = teacher("http://127.0.0.1:1/v1", kept, price=Price(input=1000, output=10000, batch=0.5))
    assert one.spent == pytest.approx(30 * 0.10)
    one.gather(tasks(30))  # asks nobody


@pytest.mark.parametrize("errors_first", [True, False])
def test_failures_are_counted_and_wanted_again(errors_first: bool, kept: Kept, tmp_path: Path) -> None:
    asked = written(kept, tmp_path)
    out = save(tmp_path / "output.jsonl", answer(asked[0]), failure(asked[1], 400, "too long"))
    errors = save(tmp_path / "errors.jsonl", expired(asked[2]), failure(asked[3], 500, "oh"))
    files = [errors, out] if errors_first else [out, errors]
    found = {path.name: read_batch(path, kept) for path in files}
    assert found["output.jsonl"].failed == {"the server answered 400: too long": 1}
    assert found["errors.jsonl"].failed == {
        "batch_expired: This request could not be executed in time.": 1, "the server answered 500: oh": 1,
    }  # fmt: skip
    assert replies(kept)[:2] == [Reply("DOG 0"), Reply("", "the server answered 400: too long")]

    retried = written(kept, tmp_path)
    assert {row["custom_id"] for row in retried} == {row["custom_id"] for row in asked[1:]}
    read_batch(save(tmp_path / "output2.jsonl", *map(answer, retried)), kept)
    assert read_batch(errors, kept).before == 2  # an old file takes nothing away
    assert replies(kept) == [Reply(f"DOG {n}") for n in range(4)]


def test_what_cannot_be_used_goes_into_the_next_file_with_its_fault(kept: Kept, tmp_path: Path) -> None:
    asked = written(kept, tmp_path, usable=usable)
    read_batch(save(tmp_path / "out.jsonl", *(answer(row, "well") for row in asked)), kept)
    again = written(kept, tmp_path, usable=usable)
    assert len(again) == 4 and {row["custom_id"] for row in again}.isdisjoint(
        row["custom_id"] for row in asked
    )
    assert [message["role"] for message in again[0]["body"]["messages"]][2:] == ["assistant", "user"]
    read_batch(save(tmp_path / "out2.jsonl", *map(answer, again)), kept)
    assert replies(kept) == [Reply(f"DOG {n}", "", 1) for n in range(4)]
    assert written(kept, tmp_path, usable=usable) == []


def test_foreign_and_broken_lines_are_counted_and_named(kept: Kept, tmp_path: Path) -> None:
    asked = written(kept, tmp_path)
    foreign = answer(asked[0]) | {"custom_id": "request-1"}
    nonsense = answer(asked[1])
    nonsense["response"]["body"] = {"choices": []}
    cut = json.dumps(answer(asked[3]))[:80]
    out = save(
        tmp_path / "out.jsonl", foreign, "", "[1]", '{"custom_id": "x"}', answer(asked[0]), nonsense, cut
    )  # fmt: skip
    found = read_batch(out, kept)
    assert (found.replies, found.unknown, found.broken) == (1, 1, 3)
    assert found.failed == {"the server's answer is not one of a chat model": 1}
    assert found.faults[0] == (
        f"{out}, line 3: no `custom_id`, so it is no line of a batch's output or error file"
    )
    assert found.faults[1].startswith(f"{out}, line 4: neither `response` nor `error`")
    assert found.faults[2].startswith(f"{out}, line 7: not JSON (")
    assert replies(kept)[3] is None  # it still waits


def test_the_file_of_requests_itself_is_no_file_of_replies(kept: Kept, tmp_path: Path) -> None:
    found = read_batch(write_batches(tasks(30), "gpt-x", KINDS, kept, tmp_path / "ask")[0], kept)
    assert (found.replies, found.broken, len(found.faults)) == (0, 30, 20)


def test_a_file_that_is_not_there_is_named(kept: Kept, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"none\.jsonl cannot be read: No such file"):
        read_batch(tmp_path / "none.jsonl", kept)


def test_requests_that_cannot_be_written_are_not_waited_for(kept: Kept, tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("")
    with pytest.raises(LlavaError, match="cannot be written"):
        write_batches(tasks(3), "gpt-x", KINDS, kept, tmp_path / "taken" / "ask")
    assert len(written(kept, tmp_path, 3)) == 3


def test_a_source_that_breaks_off_leaves_no_half_file(kept: Kept, tmp_path: Path) -> None:
    def source() -> Iterator[Any]:
        yield from tasks(5)
        raise LlavaError("the source broke off")

    with pytest.raises(LlavaError, match="broke off"):
        write_batches(source(), "gpt-x", KINDS, kept, tmp_path / "ask", most_requests=2)
    assert sorted(path.name for path in tmp_path.glob("*ask*")) == ["ask-001.jsonl", "ask-002.jsonl"]
    assert len(written(kept, tmp_path, 5)) == 1
