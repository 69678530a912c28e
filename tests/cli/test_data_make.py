"""`llava data make`, `report` and `prompts`: what they say, where, and with which exit code."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cli.inside import Said, inside
from judge_server import Told, judge_server

Llava = Callable[..., Said]
DOG = {"category": "dog", "bbox": [0.05, 0.4, 0.3, 0.8]}
CAT = {"category": "cat", "bbox": [0.6, 0.4, 0.9, 0.8]}


@pytest.fixture
def llava(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Llava:
    monkeypatch.setenv("OPENAI_API_KEY", "k")
    monkeypatch.chdir(tmp_path)

    def run(*words: str | Path) -> Said:
        return inside(monkeypatch, capsys, "data", *words)

    return run


@pytest.fixture
def source(tmp_path: Path) -> Path:
    rows: list[Any] = [
        {"id": str(i), "image": f"{i}.jpg", "captions": [f"A dog and a cat near {i + 2} trees."],
         "instances": [DOG, CAT]}
        for i in range(6)
    ]  # fmt: skip
    rows.append(
        {"id": "x", "image": "x.jpg", "captions": ["A dog."], "instances": [{**DOG, "bbox": [0.5, 0.1]}]}
    )
    path = tmp_path / "scenes.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)))
    return path


def describe(told: Told) -> None:
    """A teacher that says what is true of every scene here, and remembers the number of trees."""
    told.say(f"A dog and a cat are resting near {trees(told.body)} trees.")


def trees(body: dict[str, Any]) -> str:
    """How many there are in the scene that is asked about."""
    said = " ".join(message["content"] for message in body["messages"] if message["role"] == "user")
    return re.findall(r"near (\d+) trees", said)[-1]


def test_the_offline_teacher_makes_rows_and_tells_what_came_of_the_rest(llava: Llava, source: Path) -> None:
    said = llava("make", source, "--out", "data.jsonl", "--types", "conversation,brief")
    assert said.code == 0
    assert "data.jsonl: 12 rows of 6 scenes" in said.out
    assert "row 7 (id x)" in said.out  # the box that is none
    assert len(Path("data.jsonl").read_text().splitlines()) == 12
    record = json.loads(Path("data.made.json").read_text())
    assert record["settings"]["teacher"] == "offline" and record["result"]["rows"] == 12


def test_programs_read_one_object(llava: Llava, source: Path) -> None:
    told = json.loads(llava("make", source, "--out", "data.json", "--types", "brief", "--json").out)
    assert (told["rows"], told["scenes"], told["faulty"]) == (6, 6, {"box": 1})
    assert told["kinds"]["brief"] == {"asked": 6, "made": 6, "accepted": 1.0, "rejected": {}}
    assert len(json.loads(Path("data.json").read_text())) == 6


def test_a_file_is_replaced_by_its_own_run_only(llava: Llava, source: Path) -> None:
    words = ("make", source, "--out", "data.jsonl", "--types", "brief")
    assert llava(*words).code == llava(*words).code == 0
    other = llava(*words, "--seed", "1")
    assert other.code == 2 and "data.jsonl was made with other settings (seed)" in other.err
    assert llava(*words, "--seed", "1", "--overwrite").code == 0
    Path("mine.jsonl").write_text("precious\n")
    strange = llava("make", source, "--out", "mine.jsonl")
    assert strange.code == 2 and "was not made by llava data make" in strange.err
    assert Path("mine.jsonl").read_text() == "precious\n"


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ((), "say where the rows go"),
        (("--out", "data.txt"), "rows go to .jsonl, or to .json"),
        (("--out", "d.jsonl", "--types", "brieff"), "did you mean 'brief'"),
        (("--out", "d.jsonl", "--format", "coko"), "no such form of data"),
        (("--out", "d.jsonl", "--boxes", "xywz"), "xywz"),
        (("--out", "d.jsonl", "--estimate"), "the offline teacher costs nothing"),
        (("--out", "d.jsonl", "--batch-out", "b"), "the offline teacher needs no batch"),
        (("--out", "d.jsonl", "--teacher", "gpt-q", "--budget", "1"), "what gpt-q costs is not known"),
        (("--out", "d.jsonl", "--teacher", "gpt-q", "--price", "cheap"), "--price cheap"),
        (("--out", "d.jsonl", "--categories", "no.txt"), "no.txt cannot be read"),
        (("--out", "d.jsonl", "--prompts", "nowhere"), "nowhere"),
        (("--teacher", "gpt-4o", "--estimate"), "say where replies are kept"),
    ],
)
def test_words_that_make_no_sense_are_one_sentence(
    llava: Llava, source: Path, words: tuple[str, ...], told: str
) -> None:
    said = llava("make", source, *words)
    assert said.code == 2
    assert told in said.err and "Traceback" not in said.err


def test_a_source_that_is_not_there_is_told(llava: Llava) -> None:
    said = llava("make", "gone.jsonl", "--out", "data.jsonl")
    assert said.code == 2 and "gone.jsonl" in said.err


def test_categories_that_are_not_on_the_list_are_faults(llava: Llava, source: Path, tmp_path: Path) -> None:
    (tmp_path / "names.txt").write_text("dog\nbird\n")
    words = ("make", source, "--out", "data.jsonl", "--types", "brief", "--categories", "names.txt", "--json")
    assert json.loads(llava(*words).out)["faulty"] == {"category": 6, "box": 1}
    without = llava(*words[:6])
    assert without.code == 2 and "made with other settings (categories)" in without.err


def test_an_api_is_asked_once_for_each_row_whatever_happens_in_between(llava: Llava, source: Path) -> None:
    def moody(told: Told) -> None:
        number = trees(told.body)
        if number == "3" and not told.number:
            told.fail(500, "busy")
        elif number == "4" and not told.text.startswith("This cannot be used"):
            told.say("The caption says that a dog and a cat are near 4 trees.")
        else:
            describe(told)

    words = ("make", source, "--teacher", "gpt-4o", "--types", "brief", "--out", "data.jsonl", "--json")
    with judge_server(moody) as server:
        said = llava(*words, "--teacher-url", server.url)
        assert said.code == 0, said.err
        told = json.loads(said.out)
        asked = len(server.asked)
        said = llava(*words, "--teacher-url", server.url)
        assert said.code == 0, said.err
        again = json.loads(said.out)
        assert len(server.asked) == asked == 8  # six rows, one fault of the server, one reply of no use
    assert told["rows"] == again["rows"] == 6
    assert (told["replies"], told["asked_again"]) == (7, 1) and again["replies"] == 0
    assert told["usd_spent"] == again["usd_spent"] > 0
    first = json.loads(Path("data.jsonl").read_text().splitlines()[0])
    assert first["teacher"] == "gpt-4o"


def test_a_budget_stops_in_time_and_what_was_paid_makes_rows(llava: Llava, source: Path) -> None:
    words = (
        "make",
        source,
        "--teacher",
        "gpt-q",
        "--price",
        "100,100",
        "--types",
        "brief",
        "--out",
        "d.jsonl",
    )
    with judge_server(describe) as server:
        said = llava(*words, "--teacher-url", server.url, "--budget", "0.12", "--concurrency", "1", "--json")
        told = json.loads(said.out)
    assert said.code == 0 and "the budget of $0.12 reaches no further" in said.err
    assert 0 < told["rows"] == 6 - told["open"] < 6
    assert told["usd_spent"] <= 0.12


def test_an_estimate_asks_nobody(llava: Llava, source: Path) -> None:
    words = ("make", source, "--teacher", "gpt-4o", "--out", "d.jsonl", "--estimate")
    told = json.loads(llava(*words, "--json").out)
    assert told["requests"] == 18 and told["usd"] > told["usd_batch"] > 0
    said = llava(*words)
    assert "nothing was sent" in said.out and "$" in said.out
    assert not Path("d.jsonl").exists()


def test_a_batch_goes_out_as_a_file_and_comes_back_as_rows(llava: Llava, source: Path) -> None:
    words = ("make", source, "--teacher", "gpt-4o", "--types", "brief", "--out", "data.jsonl")
    said = llava(*words, "--batch-out", "batches")
    (path,) = map(Path, said.out.split())
    replies = []
    for line in path.read_text().splitlines():
        request = json.loads(line)
        text = f"A dog and a cat are resting near {trees(request['body'])} trees."
        body = {
            "choices": [{"message": {"content": text}}],
            "usage": {"prompt_tokens": 9, "completion_tokens": 9},
        }
        replies.append({"custom_id": request["custom_id"], "response": {"status_code": 200, "body": body}})
    Path("output.jsonl").write_text("\n".join(map(json.dumps, replies)))
    assert "there is nothing to ask for" in llava(*words, "--batch-out", "batches").err
    back = llava(*words, "--batch-in", "output.jsonl")
    assert "output.jsonl: 6 replies" in back.err
    assert "data.jsonl: 6 rows of 6 scenes" in back.out


def test_a_batch_that_was_never_sent_can_be_forgotten(llava: Llava, source: Path) -> None:
    words = ("make", source, "--teacher", "gpt-4o", "--types", "brief", "--out", "data.jsonl")
    llava(*words, "--batch-out", "batches")
    said = llava(*words, "--estimate", "--forget-batches", "--json")
    assert "6 requests wait for no batch any longer" in said.err
    assert json.loads(said.out)["requests"] == 6


def test_a_server_that_is_not_there_is_one_sentence(llava: Llava, source: Path) -> None:
    said = llava(
        "make", source, "--teacher", "m", "--teacher-url", "http://127.0.0.1:9/v1", "--out", "d.jsonl",
        "--timeout", "1",
    )  # fmt: skip
    assert said.code == 1
    assert "the teacher at http://127.0.0.1:9/v1 gave no answer in 4 tries" in said.err


def test_a_key_that_is_missing_is_told_before_anything_is_asked(
    llava: Llava, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OPENAI_API_KEY")
    said = llava("make", source, "--teacher", "gpt-4o", "--out", "data.jsonl")
    assert said.code == 2 and "set OPENAI_API_KEY in the environment" in said.err


def test_prompts_can_be_written_changed_and_used(llava: Llava, source: Path) -> None:
    said = llava("prompts", "mine")
    assert len(said.out.split()) == 6
    words = ("make", source, "--out", "data.jsonl", "--types", "detail", "--prompts", "mine")
    assert llava(*words).code == 0
    detail = Path("mine/detail.toml")
    detail.write_text(detail.read_text().replace("\nwordings", "\nwordins"))
    broken = llava(*words, "--overwrite")
    assert broken.code == 2 and "detail.toml" in broken.err and "wording" in broken.err


def test_a_report_is_a_page_and_numbers(llava: Llava, source: Path) -> None:
    llava("make", source, "--out", "data.jsonl")
    told = json.loads(llava("report", "data.jsonl", "--out", "report.html", "--json").out)
    assert told["rows"] == len(Path("data.jsonl").read_text().splitlines())
    assert Path("report.html").read_text().startswith("<!doctype html>")
    assert "conversation" in llava("report", "data.jsonl").out
    gone = llava("report", "gone.jsonl")
    assert gone.code == 2 and "gone.jsonl: there is no such file" in gone.err


@pytest.mark.slow
def test_a_ray_cluster_makes_the_same_file(llava: Llava, source: Path) -> None:
    pytest.importorskip("ray")
    llava("make", source, "--out", "here.jsonl", "--types", "all")
    llava("make", source, "--out", "there.jsonl", "--types", "all", "--ray", "2")
    assert Path("here.jsonl").read_bytes() == Path("there.jsonl").read_bytes()
