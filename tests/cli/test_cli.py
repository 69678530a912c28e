"""The command as a user meets it: a real process, its exit code, what it prints and where."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pexpect
import pytest
from PIL import Image

from cli.inside import inside
from llavakit.checkpoint.locate import embedded_folder
from llavakit.tiny.world.styles import font_path

EXAMPLES = Path(__file__).parents[2] / "examples"
TOYS = EXAMPLES / "toys.png"
QUESTION = "How many cars are there?"

pytestmark = pytest.mark.skipif(
    not (embedded_folder() / "config.json").is_file(), reason="the embedded weights are not here"
)


def llava(
    *words: str | Path, stdin: str | None = None, **environment: str
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "llavakit", *map(str, words)],
        input=stdin,
        stdin=subprocess.DEVNULL if stdin is None else None,
        capture_output=True,
        text=True,
        timeout=120,
        env=os.environ | environment,
    )


@pytest.fixture(scope="module")
def answer() -> str:
    """What the embedded model says, right or wrong: these tests are about the command."""
    from llavakit import LLaVA

    said = LLaVA.from_pretrained("tiny").generate(QUESTION, [TOYS]).text
    assert len(said.split()) > 3
    return said


def test_help_answers_without_importing_torch() -> None:
    code = (
        "import sys; sys.argv = ['llava', '--help']\n"
        "from llavakit.cli import main\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        "assert 'torch' not in sys.modules and 'PIL' not in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    for verb in ("chat", "train", "eval", "export", "models", "doctor"):
        assert verb in done.stdout


@pytest.mark.parametrize("verb", ["chat", "train", "eval", "export", "models", "doctor"])
def test_every_verb_explains_itself(verb: str) -> None:
    done = llava(verb, "--help")
    assert done.returncode == 0
    assert "Usage: " in done.stdout


def test_one_answer_goes_to_stdout_and_nothing_else_does(answer: str) -> None:
    done = llava("chat", TOYS, "-p", QUESTION)
    assert (done.returncode, done.stdout) == (0, answer + "\n"), done.stderr


def test_a_prompt_is_read_from_stdin(answer: str) -> None:
    done = llava("chat", TOYS, stdin=QUESTION + "\n")
    assert (done.returncode, done.stdout) == (0, answer + "\n"), done.stderr


def test_json_tells_the_answer_and_what_it_took(answer: str) -> None:
    done = llava("chat", TOYS, "-p", QUESTION, "--json")
    told = json.loads(done.stdout)
    assert told["text"] == answer
    assert told["finish_reason"] == "stop"
    assert told["usage"]["image_tokens"] == 196
    assert told["usage"]["completion_tokens"] > 5


def test_a_stop_string_ends_the_answer_and_is_not_shown(answer: str) -> None:
    before, third, _ = answer.partition(answer.split()[2])
    assert llava("chat", TOYS, "-p", QUESTION, "--stop", third).stdout == before.strip() + "\n"


def test_the_same_seed_draws_the_same_answer() -> None:
    asked = ("-p", "Describe the picture.", "--temperature", "1.5", "--seed", "5", "--max-new-tokens", "32")
    draws = [llava("chat", TOYS, *asked).stdout for _ in range(2)]
    assert draws[0] == draws[1]
    assert draws[0].strip()


@pytest.fixture
def half_downloaded(tmp_path: Path) -> Path:
    folder = tmp_path / "half"
    folder.mkdir()
    for path in embedded_folder().iterdir():
        content = path.read_bytes()
        (folder / path.name).write_bytes(content[:100_000] if path.suffix == ".safetensors" else content)
    return folder


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        ((TOYS, "-p", "x", "--model", "no-such-model"), 2, "no model 'no-such-model'"),
        ((TOYS, "-p", "x", "--model", "{half}"), 1, "not a whole safetensors file"),
        ((TOYS, "-p", "x", "--model", "{empty}"), 1, "has no config.json"),
        (("missing.png", "-p", "x"), 1, "missing.png"),
        (("{text}", "-p", "x"), 1, "note.png"),
        ((TOYS, "-p", ""), 2, "the prompt is empty"),
        ((TOYS, "-p", "x", "--template", "vicuna"), 2, "did you mean 'vicuna_v1'"),
        ((TOYS, "-p", "x", "--quantize", "int3"), 2, "unknown quantisation 'int3'"),
        ((TOYS, "-p", "x", "--dtype", "float"), 2, "unknown dtype 'float'"),
        ((TOYS, "-p", "x", "--device", "tpu9"), 2, "device 'tpu9'"),
        ((TOYS, "-p", "x", "--temperature", "-1"), 2, "temperature is -1.0"),
        ((TOYS, "-p", "x", "--max-new-tokens", "0"), 2, "max_new_tokens is 0"),
        ((TOYS, "-p", "x", "--no-such-flag"), 2, "No such option"),
        ((TOYS, "-p", "why? " * 3000), 2, "the model's context holds 2048"),
    ],
)
def test_a_mistake_gets_one_sentence_and_the_right_exit_code(
    words: tuple[str | Path, ...], code: int, message: str, tmp_path: Path, half_downloaded: Path,
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    (tmp_path / "empty").mkdir()
    (tmp_path / "note.png").write_text("not a picture")
    places = {"{half}": half_downloaded, "{empty}": tmp_path / "empty", "{text}": tmp_path / "note.png"}
    said = inside(monkeypatch, capsys, "chat", *(places.get(str(word), word) for word in words))
    assert said.code == code, said.err
    assert message in said.err
    assert "Traceback" not in said.err
    assert said.out == ""


def test_an_unknown_recipe_field_names_the_nearest(tmp_path: Path) -> None:
    recipe = tmp_path / "r.toml"
    recipe.write_text('nmae = "x"\nstages = []\n')
    done = llava("train", recipe)
    assert done.returncode == 2
    assert "did you mean 'name'" in done.stderr


def test_an_unknown_task_is_named() -> None:
    done = llava("eval", "tny")
    assert done.returncode == 2
    assert "did you mean 'tiny'" in done.stderr


def test_models_lists_the_embedded_one(tmp_path: Path) -> None:
    rows = json.loads(llava("models", "--json", HF_HOME=str(tmp_path)).stdout)
    assert rows[0]["name"] == "tiny"
    assert 1e6 < rows[0]["bytes"] < 40e6
    assert any(row["name"] == "llava-hf/llava-1.5-7b-hf" for row in rows)


def test_the_doctor_lets_the_embedded_model_answer() -> None:
    done = llava("doctor", "--json")
    report = json.loads(done.stdout)
    assert done.returncode == 0
    assert report["self-test"]["passed"] is True
    assert report["versions"]["torch"]


@pytest.mark.skipif(not font_path().exists(), reason="fonts-noto-color-emoji is not installed")
def test_eval_prints_scores_with_their_uncertainty() -> None:
    done = llava("eval", "tiny", "-n", "10", "--lines", "colour,presence", "--json")
    told = json.loads(done.stdout)
    scores = told["scores"]
    assert (told["task"], told["n"], told["missing"]) == ("tiny", 20, 0)
    assert told["score"] == pytest.approx(50 * sum(score["value"] for score in scores))
    assert told["interval"][0] <= told["score"] <= told["interval"][1]
    assert list(told["metrics"]) == [score["name"] for score in scores]
    assert {score["line"] for score in scores} == {"colour", "presence"}
    for score in scores:
        assert score["n"] == 10
        assert 0 <= score["low"] <= score["value"] <= score["high"] <= 1
        assert 0 <= score["blind"] <= 1


# The conversation in the terminal, driven as by hand ---------------------------------------------

READY = r"\x1b\[\?2004h"  # the line editor asks for bracketed paste: it is reading
TERMINAL = {"TERM": "xterm", "NO_COLOR": "1", "PROMPT_TOOLKIT_NO_CPR": "1"}


@pytest.fixture
def terminal(tmp_path: Path) -> pexpect.spawn:
    child = pexpect.spawn(
        sys.executable,
        ["-m", "llavakit", "chat", str(TOYS)],
        env=os.environ | TERMINAL | {"XDG_STATE_HOME": str(tmp_path / "state")},
        cwd=str(tmp_path),
        encoding="utf-8",
        timeout=30,
        dimensions=(40, 160),
    )
    child.expect("/help lists the commands")
    yield child
    child.close(force=True)


def say(child: pexpect.spawn, line: str, answer: str) -> None:
    child.expect(READY)
    child.send(line + "\r")
    child.expect(answer)


def test_a_conversation_answers_remembers_saves_and_ends(
    terminal: pexpect.spawn, tmp_path: Path, answer: str
) -> None:
    say(terminal, QUESTION, answer)
    say(terminal, "/nwe", "did you mean 'new'")
    say(terminal, "/image nowhere.png", "nowhere.png")
    say(terminal, "/save talk.md", "saved to talk.md")
    say(terminal, "/new", "a new conversation")
    blank = tmp_path / "blank.png"
    Image.new("RGB", (64, 64), "white").save(blank)
    say(terminal, f"/image {blank}", "goes with the next question")
    say(terminal, "/quit", pexpect.EOF)
    terminal.close()
    assert terminal.exitstatus == 0
    saved = (tmp_path / "talk.md").read_text()
    assert f"**You:** {QUESTION}" in saved
    assert f"**LLaVA:** {answer}" in saved
    assert QUESTION in (tmp_path / "state" / "llavakit" / "history").read_text()


def test_ctrl_c_at_the_prompt_keeps_the_conversation_and_ctrl_d_ends_it(
    terminal: pexpect.spawn, answer: str
) -> None:
    terminal.expect(READY)
    terminal.send("half a question\x03")
    say(terminal, QUESTION, answer)
    terminal.expect(READY)
    terminal.send("\x04")
    terminal.expect(pexpect.EOF)
    terminal.close()
    assert terminal.exitstatus == 0


def test_ctrl_c_stops_an_answer_and_keeps_the_conversation(tmp_path: Path) -> None:
    child = pexpect.spawn(
        sys.executable,
        # Nearly random tokens until the context is full: an answer of many seconds.
        [
            "-m",
            "llavakit",
            "chat",
            str(TOYS),
            "--temperature",
            "50",
            "--max-new-tokens",
            "1900",
            "--seed",
            "1",
        ],
        env=os.environ | TERMINAL | {"XDG_STATE_HOME": str(tmp_path)},
        encoding="utf-8",
        timeout=30,
        dimensions=(40, 160),
    )
    child.expect("/help lists the commands")
    child.expect(READY)
    child.send(QUESTION + "\r")
    child.expect(r"\x1b\[\?2004l")  # the line editor has let go of the terminal
    child.expect(r"\w+ \w+ \w+")
    child.send("\x03")
    child.expect(r"\[stopped\]")
    child.expect(READY)
    child.send("/quit\r")
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == 0


def test_an_exported_model_answers_as_the_model_does(tmp_path: Path, answer: str) -> None:
    done = llava("export", "tiny", "--to", "original", "--out", tmp_path / "out")
    assert (done.returncode, done.stdout.strip()) == (0, str(tmp_path / "out")), done.stderr
    said = llava("chat", TOYS, "-p", QUESTION, "--model", tmp_path / "out")
    assert (said.returncode, said.stdout) == (0, answer + "\n"), said.stderr


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--to", "onnx"], "unknown format 'onnx'"),
        (["--to", "hf", "--quantize", "int5"], "'int5' is no quantisation of the format 'hf'"),
        (["--to", "original", "--quantize", "int8"], "is no quantisation of the format 'original'"),
        (["--to", "hf", "--dtype", "float8"], "unknown dtype 'float8'"),
    ],
)
def test_a_wrong_word_of_an_export_writes_nothing(tmp_path: Path, words: list[str], message: str) -> None:
    done = llava("export", "tiny", "--out", tmp_path / "out", *words)
    assert done.returncode == 2 and message in done.stderr
    assert not list(tmp_path.iterdir())


def test_the_doctor_says_what_a_model_needs_and_which_setting_fits() -> None:
    done = llava("doctor", "tiny", "--json")
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    needs = list(said["bytes"].values())
    assert needs == sorted(needs, reverse=True) and said["suggested"] == "--dtype bfloat16"
    assert "llava chat --model tiny --dtype bfloat16" in llava("doctor", "tiny").stdout
