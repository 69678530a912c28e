"""Guided answers through the engine: together, with guesses, in a chat; mistakes end one request alone."""

import json

import pytest

from assemble import fresh_engine, picture, random_llava
from engine.test_structured import SCHEMAS
from llavakit.engine.sampling import Sampling
from llavakit.errors import UsageError
from llavakit.llava import LLaVA
from llavakit.prompt.messages import user


@pytest.mark.parametrize("template", ["chatml", "vicuna_v1"])
@pytest.mark.parametrize("name", SCHEMAS)
def test_answers_in_a_form_are_right_together_and_with_guesses(name: str, template: str):
    schema, fits = SCHEMAS[name]
    llava = random_llava(template)
    prompts = [llava.encoder.encode([user("What is it? " * times)]) for times in (1, 2, 5)]
    sampling = Sampling(json_schema=schema, temperature=1.0, seed=3, max_new_tokens=250)
    said = []
    for lookup in (False, True):
        replies = fresh_engine(llava, lookup=lookup).complete(prompts, sampling)
        assert all(reply.finish_reason == "stop" for reply in replies)
        assert all(fits(json.loads(reply.text)) for reply in replies)
        said.append([reply.text for reply in replies])
    assert said[0] == said[1]


def test_a_templates_stop_mark_inside_a_string_does_not_cut_the_json():
    llava = random_llava("vicuna_v1")
    stop = llava.encoder.template.stop[0]
    reply = llava.generate("What?", json_schema={"const": {"a": f"x{stop}y"}}, max_new_tokens=60)
    assert json.loads(reply.text) == {"a": f"x{stop}y"}


def test_an_answer_that_is_cut_says_so(llava: LLaVA):
    reply = llava.generate("What?", json_schema={"type": "string", "minLength": 50}, max_new_tokens=20)
    assert reply.finish_reason == "length"


@pytest.mark.parametrize("values", [{"json_schema": {"type": "foo"}}, {"regex": "("}])
def test_a_wrong_form_is_said_when_it_is_asked_for(llava: LLaVA, values: dict):
    with pytest.raises(UsageError):
        llava.generate("What?", **values)


def test_a_chat_goes_on_in_a_form_and_without():
    chat = random_llava().chat(picture())
    assert chat.ask("Is it?", regex="yes|no").text in ("yes", "no")
    assert chat.ask("Why?", max_new_tokens=5).finish_reason == "length"
    assert chat.ask("Is it?", regex="yes|no").text in ("yes", "no")
