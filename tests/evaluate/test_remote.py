"""Any OpenAI-compatible server is asked the same questions: here our own, and one that misbehaves."""

import base64
from pathlib import Path

import pytest
from PIL import Image

from judge_server import Told, judge_server
from llavakit.api import Api
from llavakit.evaluate.answers import Question
from llavakit.evaluate.pictures import Pictures
from llavakit.evaluate.remote import RemoteModel
from llavakit.evaluate.run import ask, in_batches
from llavakit.llava import LLaVA
from serve.live import serving


def nobody(question: Question, reason: str) -> None:
    raise AssertionError(f"{question.id}: {reason}")


@pytest.fixture
def questions(tmp_path: Path) -> list[Question]:
    for number in range(3):
        Image.new("RGB", (40, 40), (80 * number, 90, 30)).save(tmp_path / f"{number}.png")
    return [Question(str(number), f"What is {number}?", (f"{number}.jpg",)) for number in range(3)]


def test_our_own_server_answers_as_the_model_does_here(questions: list[Question], tmp_path: Path) -> None:
    pictures = Pictures([tmp_path])
    with serving({"tiny": "tiny"}) as server:
        model = RemoteModel(Api("tiny", f"{server.url}/v1", key="none"), pictures, 12, nobody)
        texts = ask(questions, in_batches(model, 2), tmp_path / "out" / "answers.jsonl", {"model": "tiny"})
    here = LLaVA.from_pretrained("tiny").generate_batch(
        [(each.text, [str(pictures.find(each.images[0]))]) for each in questions], max_new_tokens=12
    )
    assert [texts[each.id] for each in questions] == [reply.text for reply in here]


def test_pictures_go_as_they_are_before_the_words(questions: list[Question], tmp_path: Path) -> None:
    with judge_server(lambda told: told.say("a square")) as server:
        model = RemoteModel(Api("m", server.url, key="k"), Pictures([tmp_path]), 7, nobody)
        assert model(questions[:1]) == ["a square"]
    [body] = server.bodies
    [message] = body["messages"]
    shown, asked = message["content"]
    kind, _, data = shown["image_url"]["url"].partition(",")
    assert kind == "data:image/png;base64" and base64.b64decode(data) == (tmp_path / "0.png").read_bytes()
    assert asked == {"type": "text", "text": "What is 0?"}
    assert (body["model"], body["max_tokens"], body["temperature"]) == ("m", 7, 0)


def test_a_question_that_is_rejected_is_told_and_asked_again_by_the_next_run(
    questions: list[Question], tmp_path: Path
) -> None:
    failed: list[tuple[str, str]] = []
    rejecting = True

    def answer(told: Told) -> None:
        if rejecting and "1" in told.text:
            told.fail(400, "not this one")
        else:
            told.say("fine")

    path = tmp_path / "out" / "answers.jsonl"
    with judge_server(answer) as server:
        api = Api("m", server.url, key="k", pause=0.01)
        model = RemoteModel(api, Pictures([tmp_path]), 7, lambda one, why: failed.append((one.id, why)))
        assert ask(questions, in_batches(model, 2), path, {"model": "m"}) == {"0": "fine", "2": "fine"}
        [(name, why)] = failed
        assert name == "1" and "not this one" in why
        rejecting = False
        assert len(ask(questions, in_batches(model, 2), path, {"model": "m"})) == 3
        assert len(server.asked) == 4
