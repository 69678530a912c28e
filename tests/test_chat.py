"""A conversation remembers, costs its new tokens only, and keeps its word when broken off."""

import threading

import pytest
import torch

from assemble import picture, random_llava
from llavakit.errors import LlavaError, MediaError, PromptError, UsageError
from llavakit.llava import LLaVA
from llavakit.prompt.messages import assistant, system, user

FEW = {"max_new_tokens": 10}


def cold(llava: LLaVA, *messages) -> str:
    """The answer to a whole conversation, without a cache."""
    from llavakit.engine import Sampling

    return llava.engine.complete([llava.encoder.encode(messages)], Sampling(**FEW))[0].text


def test_a_chat_says_what_a_cold_run_of_the_same_words_says(llava: LLaVA):
    chat = llava.chat(picture())
    first = chat.ask("What is this?", **FEW)
    second = chat.ask("Why?", **FEW)
    asked = user(picture(), "What is this?")
    assert first.text == cold(llava, asked)
    assert second.text == cold(llava, asked, assistant(first.text), user("Why?"))
    assert chat.last is second
    assert second.usage.cached_tokens > first.usage.prompt_tokens


def test_the_picture_is_encoded_once_in_a_conversation():
    llava = random_llava()
    chat = llava.chat([picture()])
    for _ in range(4):
        chat.ask("And?", **FEW)
    assert llava.engine.counters.images_encoded == 1


def test_later_turns_may_show_more_pictures(llava: LLaVA):
    chat = llava.chat()
    hello = chat.ask("Hello", **FEW)
    chat.add_image(picture(1))
    two = chat.ask("Which is which?", picture(2), **FEW)
    asked = user(picture(1), picture(2), "Which is which?")
    assert two.text == cold(llava, user("Hello"), assistant(hello.text), asked)
    assert two.usage.image_tokens == 32
    assert chat.ask("Sure?", **FEW).usage.image_tokens == 32


def test_a_system_prompt_replaces_the_templates_own(llava: LLaVA):
    chat = llava.chat(system_prompt="Speak.")
    reply = chat.ask("Hello", **FEW)
    assert reply.text == cold(llava, system("Speak."), user("Hello"))
    assert reply.text == llava.generate("Hello", system_prompt="Speak.", **FEW).text
    assert "Speak." in chat.transcript()
    assert "Answer the questions." not in chat.transcript()


def test_the_transcript_is_the_raw_conversation(llava: LLaVA):
    chat = llava.chat(picture())
    assert chat.transcript() == ""
    said = chat.ask("What is this?", **FEW)
    assert chat.transcript() == (
        "<|im_start|>system\nAnswer the questions.<|im_end|>"
        "<|im_start|>user\n<image>\nWhat is this?<|im_end|>"
        f"<|im_start|>assistant\n{said}<|im_end|>"
    )


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (("", ()), PromptError),
        (("word " * 300, ()), PromptError),
        ((5, ()), PromptError),
        ((None, ()), PromptError),
        (("What?", "nowhere.jpg"), MediaError),
        (("What?", [5]), MediaError),
        (("What?", b"no picture"), MediaError),
    ],
)
def test_a_question_that_fails_leaves_the_conversation_as_it_was(llava: LLaVA, arguments, error):
    chat = llava.chat(picture())
    before = chat.ask("What is this?", **FEW)
    chat.add_image(picture(3))
    said = list(chat.messages)
    with pytest.raises(error):
        chat.ask(*arguments, **FEW)
    assert (chat.messages, chat.last) == (said, before)
    after = chat.ask("Why?", **FEW)
    assert after.text == cold(llava, *said, user(picture(3), "Why?"))


def test_an_unknown_setting_leaves_the_conversation_as_it_was(llava: LLaVA):
    chat = llava.chat(picture())
    with pytest.raises(UsageError, match="did you mean 'max_new_tokens'"):
        chat.ask("What?", max_tokens=3)
    assert chat.ask("What?", **FEW).usage.image_tokens == 16


def test_an_answer_stopped_halfway_is_kept_as_far_as_it_came(llava: LLaVA):
    chat = llava.chat(picture())
    stream = chat.stream("What is this?")
    shown = next(stream) + next(stream)
    stream.close()
    assert chat.last is not None
    assert (chat.last.text, chat.last.finish_reason) == (shown, "cancelled")
    again = chat.ask("Go on.", **FEW)
    assert again.text == cold(llava, user(picture(), "What is this?"), assistant(shown), user("Go on."))


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError])
def test_an_interrupt_keeps_what_was_shown(error):
    llava = random_llava()
    chat, calls = llava.chat(picture()), iter(range(99))

    def fail(*_):
        if next(calls) == 4:
            raise error

    hook = llava.model.language_model.register_forward_hook(fail)
    shown = ""
    with pytest.raises(error):
        for piece in chat.stream("What is this?"):
            shown += piece
    hook.remove()
    said = chat.messages[-1].text
    assert len(shown) == 4
    assert said == shown
    again = chat.ask("Go on.", **FEW)
    assert again.text == cold(llava, user(picture(), "What is this?"), assistant(said), user("Go on."))


def test_a_question_cancelled_before_anything_was_said_is_forgotten(llava: LLaVA):
    chat, cancel = llava.chat(picture()), threading.Event()
    cancel.set()
    reply = chat.ask("What?", cancel=cancel)
    assert (reply.text, reply.finish_reason) == ("", "cancelled")
    assert chat.messages == []
    assert chat.ask("What?", **FEW).text == cold(llava, user(picture(), "What?"))


def test_a_stream_never_begun_changes_nothing(llava: LLaVA):
    chat = llava.chat(picture())
    chat.stream("What?").close()
    assert chat.messages == []


def test_two_answers_at_once_in_one_conversation_are_refused(llava: LLaVA):
    chat = llava.chat()
    first = chat.stream("One?", **FEW)
    shown = next(first)
    with pytest.raises(UsageError, match="still answering"):
        chat.ask("Two?", **FEW)
    shown += "".join(first)
    assert [m.text for m in chat.messages] == ["One?", shown]


def test_undo_takes_back_the_last_question_and_keeps_its_pictures(llava: LLaVA):
    chat = llava.chat()
    hello = chat.ask("Hello", **FEW)
    chat.ask("What is this?", picture(1), **FEW)
    assert chat.undo() == "What is this?"
    anew = chat.ask("What is that?", **FEW)
    assert anew.text == cold(llava, user("Hello"), assistant(hello.text), user(picture(1), "What is that?"))
    chat.undo()
    chat.undo()
    with pytest.raises(UsageError, match="nothing was asked"):
        chat.undo()


def test_one_picture_needs_no_list(llava: LLaVA, tmp_path):
    path = tmp_path / "a.png"
    picture().save(path)
    expected = llava.generate("What?", [picture()], **FEW).text
    for source in (path, str(path), path.read_bytes(), picture(), (picture(),)):
        assert llava.generate("What?", source, **FEW).text == expected
        assert llava.chat(source).ask("What?", **FEW).text == expected


@pytest.mark.parametrize("request_", [5, ("a", (), 3), ((), "a"), None])
def test_a_batch_request_of_another_kind_is_refused(llava: LLaVA, request_):
    with pytest.raises(LlavaError):
        llava.generate_batch([request_])


def test_a_chat_survives_training_in_between():
    """Features and cache are made in inference mode; gradients elsewhere must not mind."""
    llava = random_llava()
    stream = llava.chat(picture()).stream("What?", **FEW)
    next(stream)
    llava.model(torch.tensor([[1, 2, 3]])).sum().backward()
    assert "".join(stream)
