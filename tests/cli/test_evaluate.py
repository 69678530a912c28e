"""`llava eval` on benchmarks: a model answers, answers are scored, results are compared."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

SPLITS = {"adversarial": 0, "random": 10_000_000, "popular": 20_000_000}


def llava(*words: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "llavakit", "eval", *map(str, words)],
        capture_output=True,
        text=True,
        timeout=300,
    )


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """POPE in small: two pictures, four questions a split."""
    folder = tmp_path_factory.mktemp("eval")
    pope = folder / "POPE"
    (pope / "val2014").mkdir(parents=True)
    for number in (0, 1):
        Image.new("RGB", (64, 64), (200 * number, 80, 40)).save(pope / "val2014" / f"{number}.png")
    for split in SPLITS:
        rows = [
            {"question_id": i, "image": f"{i % 2}.jpg", "text": f"Is there a {thing}?", "label": label}
            for i, (thing, label) in enumerate(
                zip(("car", "dog", "tree", "sun"), ("yes", "no") * 2, strict=True), 1
            )
        ]
        (pope / f"coco_pope_{split}.json").write_text("\n".join(map(json.dumps, rows)))
    return folder


@pytest.fixture(scope="module")
def asked(
    data: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, subprocess.CompletedProcess[str]]:
    out = tmp_path_factory.mktemp("out")
    return out, llava("pope", "-m", "tiny", "--data", data, "--out", out, "--check-batching", 3, "--json")


def test_a_model_is_asked_and_scored(asked: tuple[Path, subprocess.CompletedProcess[str]]) -> None:
    out, done = asked
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["task"] == "pope" and told["n"] == 12 and told["missing"] == 0
    assert told["score"] == pytest.approx(told["metrics"]["f1"]) and len(told["interval"]) == 2
    assert "of 3 replies differ when asked alone" in done.stderr
    rows = [json.loads(line) for line in (out / "tiny" / "pope" / "answers.jsonl").read_text().splitlines()]
    assert len(rows) == 12 and rows[0]["prompt"].endswith("using a single word or phrase.")


def test_its_file_of_answers_scores_the_same(
    asked: tuple[Path, subprocess.CompletedProcess[str]], data: Path
) -> None:
    out, done = asked
    answers = out / "tiny" / "pope" / "answers.jsonl"
    again = llava("pope", "--predictions", answers, "--data", data / "POPE", "--json")
    assert json.loads(again.stdout) == json.loads(done.stdout)


def test_results_are_compared_and_reported(
    asked: tuple[Path, subprocess.CompletedProcess[str]], tmp_path: Path
) -> None:
    out, _ = asked
    same = llava("diff", out, out / "tiny" / "pope", "--json")
    assert json.loads(same.stdout)["p"] == 1 and json.loads(same.stdout)["n"] == 12
    page = tmp_path / "report.html"
    done = llava("report", out, "--out", page)
    assert done.returncode == 0, done.stderr
    assert "pope" in page.read_text() and "Is there a car?" in page.read_text()


def test_shards_score_when_the_last_is_done(data: Path, tmp_path: Path) -> None:
    words = ("pope", "-m", "tiny", "--data", data, "--out", tmp_path, "--json")
    first = llava(*words, "--shard", "0/2")
    assert first.returncode == 0 and "6 answers are up to the others" in first.stderr
    assert json.loads(first.stdout) == {"tasks": []}
    assert json.loads(llava(*words, "--shard", "1/2").stdout)["n"] == 12


def test_a_first_look_is_spread_over_all(data: Path, tmp_path: Path) -> None:
    done = llava("pope", "-m", "tiny", "--data", data, "--out", tmp_path, "--limit", 6, "--json")
    assert json.loads(done.stdout)["n"] == 6


def test_tasks_are_listed_and_say_what_they_need() -> None:
    listed = llava("--list")
    assert listed.returncode == 0 and listed.stdout.startswith("pope ")
    told = llava("--where", "pope", "scienceqa")
    assert "coco_pope_random.json" in told.stdout and "problems.json" in told.stdout


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("pop",), "no task 'pop' (did you mean 'pope'?)"),
        (("pope",), "name a model that is asked (--model), or a file of answers (--predictions)"),
        (("pope", "-m", "tiny", "--predictions", "a.jsonl"), "name a model that is asked"),
        (("pope", "--predictions", "gone.jsonl"), "gone.jsonl: there is no such file"),
        (("pope", "-m", "tiny", "--data", "gone"), "gone: there is no such folder; llava eval --where pope"),
        (("pope", "-m", "tiny", "--data", "."), "*pope_adversarial.json*"),
        (("pope", "-m", "tiny", "--shard", "3"), "--shard 3: say which of how many, as 0/4"),
        (("pope", "mme", "--predictions", "a.jsonl"), "name one"),
        (("--limit", "3"), "name a task"),
        (("diff", "gone", "gone"), "gone: no result.json here"),
        (("report", "gone"), "gone: no result.json here"),
    ],
)
def test_what_makes_no_sense_is_told_in_a_sentence(
    words: tuple[str, ...], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    done = llava(*words)
    assert done.returncode == 2 and said in done.stderr and "Traceback" not in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


def test_missing_pictures_are_told_before_a_model_is_loaded(data: Path, tmp_path: Path) -> None:
    done = llava("pope", "-m", "no-such-model", "--data", data, "--images", tmp_path)
    assert "no-such-model" in done.stderr  # the pictures are beside the questions
    (tmp_path / "pope").mkdir()
    for split in SPLITS:
        path = tmp_path / "pope" / f"coco_pope_{split}.json"
        path.write_text((data / "POPE" / path.name).read_text())
    done = llava("pope", "-m", "no-such-model", "--data", tmp_path)
    assert done.returncode == 2 and "2 of 2 pictures are missing, the first is 1.jpg" in done.stderr


@pytest.mark.slow
def test_a_ray_cluster_answers_as_one_process_does(
    asked: tuple[Path, subprocess.CompletedProcess[str]], data: Path, tmp_path: Path
) -> None:
    pytest.importorskip("ray")
    out, here = asked
    done = llava("pope", "-m", "tiny", "--data", data, "--out", tmp_path, "--ray", 2, "--batch", 4, "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == json.loads(here.stdout)

    def texts(folder: Path) -> set[str]:
        return set((folder / "tiny" / "pope" / "answers.jsonl").read_text().splitlines())

    assert texts(tmp_path) == texts(out)


def test_what_a_server_scores_is_written_for_it(tmp_path: Path) -> None:
    (tmp_path / "test.json").write_text(json.dumps([{"image": "VizWiz_test_0.jpg", "question": "What?"}]))
    answers = tmp_path / "answers.jsonl"
    answers.write_text('{"question_id": "VizWiz_test_0.jpg", "text": "a cat"}')
    words = ("vizwiz", "--predictions", answers, "--data", tmp_path, "--upload", tmp_path / "up.json")
    done = llava(*words)
    assert done.returncode == 0 and "up.json" in done.stderr, done.stderr
    told = json.loads((tmp_path / "up.json").read_text())
    assert told == [{"image": "VizWiz_test_0.jpg", "answer": "cat"}]  # as its server reads it
    assert llava(*words[:-2]).returncode == 2  # without a file to write, there is nothing that it could do


def test_the_environment_may_say_where_the_files_are(data: Path, tmp_path: Path) -> None:
    answers = tmp_path / "answers.jsonl"
    answers.write_text('{"question_id": 1, "text": "Yes"}')
    done = subprocess.run(
        [sys.executable, "-m", "llavakit", "eval", "pope", "--predictions", str(answers), "--json"],
        env=os.environ | {"LLAVAKIT_EVAL_DATA": str(data)}, capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert json.loads(done.stdout)["missing"] == 11


def test_an_upload_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "test.json").write_text(json.dumps([{"image": "VizWiz_test_0.jpg", "question": "What?"}]))
    answers = tmp_path / "answers.jsonl"
    answers.write_text('{"question_id": "VizWiz_test_0.jpg", "text": "a cat"}')
    up = tmp_path / "gone" / "up.json"
    done = llava("vizwiz", "--predictions", answers, "--data", tmp_path, "--upload", up)
    assert done.returncode == 1 and "up.json cannot be written" in done.stderr
