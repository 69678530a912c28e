"""Golden texts and loss masks: `«…»` is what the model learns to write.

The expected strings are written by hand from the official `conversation.py` and the `preprocess_*`
functions of `train.py`.
"""

import pytest
from PIL import Image
from transformers.utils.chat_template_utils import render_jinja_template

from llavakit.errors import PromptError, UsageError
from llavakit.prompt.messages import Message, assistant, system, user
from llavakit.prompt.templates import TEMPLATES, Span, get_template

PICTURE = Image.new("RGB", (2, 2))
OTHER = Image.new("RGB", (3, 3))
CONVERSATION = (user(PICTURE, "First?"), assistant("One."), user("Second?"), assistant("Two."))

_V0 = (
    "A chat between a curious human and an artificial intelligence assistant. "
    "The assistant gives helpful, detailed, and polite answers to the human's questions."
)
_VICUNA = (
    "A chat between a curious user and an artificial intelligence assistant. "
    "The assistant gives helpful, detailed, and polite answers to the user's questions."
)
_LLAMA_2 = (
    "You are a helpful language and vision assistant. "
    "You are able to understand the visual content that the user provides, "
    "and assist the user with a variety of tasks using natural language."
)
_MPT = (
    "<|im_start|>system\n"
    "A conversation between a user and an LLM-based AI assistant. "
    "The assistant gives helpful and honest answers.<|im_end|>"
)
_CHATML = "<|im_start|>system\nAnswer the questions.<|im_end|>"
_QWEN = "<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n"
_LLAMA_3 = f"<|start_header_id|>system<|end_header_id|>\n\n{_LLAMA_2}<|eot_id|>"
_TAGGED_FIRST = "<|im_start|>user\n<image>\nFirst?<|im_end|><|im_start|>assistant\n"
_TAGGED_SECOND = "<|im_start|>user\nSecond?<|im_end|><|im_start|>assistant\n"

# template: (system, the first turn up to the answer, the answer, the second turn likewise)
GOLDEN = {
    "v0": (
        f"{_V0}###", "Human: <image>\nFirst?###Assistant:", "« One.###»",
        "Human: Second?###Assistant:", "« Two.###»",
    ),
    "vicuna_v1": (
        f"{_VICUNA} ", "USER: <image>\nFirst? ASSISTANT:", "« One.</s>»",
        "USER: Second? ASSISTANT:", "« Two.</s>»",
    ),
    "mistral_instruct": (
        "", "[INST] <image>\nFirst? [/INST]", "« One. </s>»",
        "[INST] Second? [/INST]", "« Two. </s>»",
    ),
    "mpt": (_MPT, _TAGGED_FIRST, "«One.<|im_end|>»", _TAGGED_SECOND, "«Two.<|im_end|>»"),
    "chatml": (_CHATML, _TAGGED_FIRST, "«One.<|im_end|>»", _TAGGED_SECOND, "«Two.<|im_end|>»"),
    "qwen_1_5": (
        _QWEN, "<|im_start|>user\n<image>\nFirst?<|im_end|>\n<|im_start|>assistant\n", "«One.<|im_end|>»\n",
        "<|im_start|>user\nSecond?<|im_end|>\n<|im_start|>assistant\n", "«Two.<|im_end|>»\n",
    ),
    "onevision": (
        "", "<|im_start|>user <image>\nFirst?<|im_end|><|im_start|>assistant\n", "«One.<|im_end|>»",
        "<|im_start|>user \nSecond?<|im_end|><|im_start|>assistant\n", "«Two.<|im_end|>»",
    ),
    "llama_3": (
        _LLAMA_3, "<|start_header_id|>user<|end_header_id|>\n\n<image>\nFirst?<|eot_id|>"
        "<|start_header_id|>assistant<|end_header_id|>\n\n", "«One.<|eot_id|>»",
        "<|start_header_id|>user<|end_header_id|>\n\nSecond?<|eot_id|>"
        "<|start_header_id|>assistant<|end_header_id|>\n\n", "«Two.<|eot_id|>»",
    ),
}  # fmt: skip


def written(spans: list[Span]) -> str:
    """The prompt, what is learned between « and »."""
    text = ""
    for span in spans:
        words = "<image>" if span.image is not None else span.text
        text += f"«{words}»" if span.trainable else words
    return text.replace("»«", "")


def test_every_template_has_a_golden_text() -> None:
    assert set(TEMPLATES) == {*GOLDEN, "plain", "llama_2"}


@pytest.mark.parametrize("name", GOLDEN)
def test_one_turn_is_written_as_the_official_code_writes_it(name: str) -> None:
    opening, first, one, _, _ = GOLDEN[name]
    assert written(TEMPLATES[name].spans(CONVERSATION[:2], reply=False)) == opening + first + one


@pytest.mark.parametrize("name", GOLDEN)
def test_two_turns_are_written_as_the_official_code_writes_them(name: str) -> None:
    assert written(TEMPLATES[name].spans(CONVERSATION, reply=False)) == "".join(GOLDEN[name])


@pytest.mark.parametrize("name", GOLDEN)
def test_a_prompt_ends_where_the_answer_begins(name: str) -> None:
    opening, first, one, second, _ = GOLDEN[name]
    assert written(TEMPLATES[name].spans(CONVERSATION[:1], reply=True)) == opening + first
    assert written(TEMPLATES[name].spans(CONVERSATION[:3], reply=True)) == opening + first + one + second


@pytest.mark.parametrize("name", GOLDEN)
def test_an_empty_system_message_drops_the_system_prompt_and_its_separator(name: str) -> None:
    _, first, *_ = GOLDEN[name]
    assert written(TEMPLATES[name].spans((system(""), *CONVERSATION[:1]), reply=True)) == first


def test_llama_2_puts_the_system_prompt_into_the_first_instruction() -> None:
    expected = (
        f"[INST] <<SYS>>\n{_LLAMA_2}\n<</SYS>>\n\n<image>\nFirst? [/INST]« One. </s>»"
        "<s>[INST] Second? [/INST]« Two. </s>»"
    )
    template = TEMPLATES["llama_2"]
    assert written(template.spans(CONVERSATION, reply=False)) == expected
    assert written(template.spans(CONVERSATION[:2], reply=False)) == expected.split("<s>[INST] Second")[0]
    asked = template.spans((system(""), *CONVERSATION[:1]), reply=True)
    assert written(asked) == "[INST] <image>\nFirst? [/INST]"
    asked = template.spans((system("Be brief."), *CONVERSATION[:1]), reply=True)
    assert written(asked) == "[INST] <<SYS>>\nBe brief.\n<</SYS>>\n\n<image>\nFirst? [/INST]"


def test_plain_is_the_picture_and_its_caption_without_the_users_words() -> None:
    template = TEMPLATES["plain"]
    assert written(template.spans(CONVERSATION[:2], reply=False)) == "<image>«One.\n»"
    assert written(template.spans((user(PICTURE), assistant("One.")), reply=False)) == "<image>«One.\n»"
    assert written(template.spans(CONVERSATION[:1], reply=True)) == "<image>"
    twice = (*CONVERSATION[:2], user(OTHER, "And this?"), assistant("Two."))
    assert written(template.spans(twice, reply=False)) == "<image>«One.\n»<image>«Two.\n»"


def test_plain_without_a_picture_is_refused() -> None:
    with pytest.raises(PromptError, match="picture"):
        TEMPLATES["plain"].spans((user("A caption, please."),), reply=True)


def test_a_system_message_replaces_the_templates_own() -> None:
    spans = TEMPLATES["vicuna_v1"].spans((system("Be brief."), user("Hi")), reply=True)
    assert written(spans) == "Be brief. USER: Hi ASSISTANT:"
    spans = TEMPLATES["chatml"].spans((system("Be brief."), user("Hi")), reply=True)
    assert written(spans) == (
        "<|im_start|>system\nBe brief.<|im_end|><|im_start|>user\nHi<|im_end|><|im_start|>assistant\n"
    )


def test_pictures_come_first_in_their_turn_and_keep_their_order() -> None:
    spans = TEMPLATES["vicuna_v1"].spans(
        (system(""), user(" Compare ", PICTURE, "with this", OTHER)), reply=True
    )
    assert written(spans) == "USER: <image>\n<image>\nCompare with this ASSISTANT:"
    assert [span.image for span in spans if span.image] == [PICTURE, OTHER]


def test_onevision_shows_pictures_side_by_side_above_the_words() -> None:
    spans = TEMPLATES["onevision"].spans((system("Be brief."), user(PICTURE, OTHER, "Compare.")), reply=True)
    assert written(spans) == (
        "<|im_start|>system \nBe brief.<|im_end|><|im_start|>user <image><image>\nCompare.<|im_end|>"
        "<|im_start|>assistant\n"
    )


# As llava-hf/llava-onevision-qwen2-7b-ov-hf publishes it (chat_template.json), spelled more briefly.
PUBLISHED_ONEVISION = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }} "
    "{% for part in message['content'] if part['type'] == 'image' %}<image>{% endfor %}"
    "{% for part in message['content'] if part['type'] == 'text' %}{{ '\n' + part['text'] }}{% endfor %}"
    "<|im_end|>{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)


def test_onevision_differs_from_the_published_template_by_one_space_in_its_history() -> None:
    def part(value: object) -> dict[str, object]:
        return {"type": "text", "text": value} if isinstance(value, str) else {"type": "image"}

    messages = (user(PICTURE, OTHER, "First?"), assistant("One."), user("Second?"))
    said = [{"role": m.role, "content": [part(each) for each in m.content]} for m in messages]
    texts, _ = render_jinja_template([said], chat_template=PUBLISHED_ONEVISION, add_generation_prompt=True)
    ours = written(TEMPLATES["onevision"].spans(messages, reply=True)).replace("«", "").replace("»", "")
    assert ours == texts[0].replace("assistant \n", "assistant\n")
    assert ours != texts[0]


def test_a_transcript_of_an_unanswered_question_has_no_answer_header() -> None:
    spans = TEMPLATES["vicuna_v1"].spans((system(""), user("Hi")), reply=False)
    assert written(spans) == "USER: Hi "


@pytest.mark.parametrize("name", [*GOLDEN, "llama_2"])
def test_everybodys_own_words_are_literal_and_nothing_else_is(name: str) -> None:
    spans = TEMPLATES[name].spans((system("Sys."), *CONVERSATION), reply=False)
    assert [span.text for span in spans if span.literal] == ["Sys.", "First?", "One.", "Second?", "Two."]


def test_an_unknown_template_is_told_the_nearest_name() -> None:
    with pytest.raises(UsageError, match="did you mean 'vicuna_v1'"):
        get_template("vicuna_v2")
    assert get_template("mpt") is TEMPLATES["mpt"]


@pytest.mark.parametrize("name", TEMPLATES)
@pytest.mark.parametrize(
    ("messages", "reply", "reason"),
    [
        ((), True, "empty"),
        ((), False, "empty"),
        ((system("Be brief."),), False, "empty"),
        ((assistant("Hello."),), False, "turn 1 is from 'assistant'"),
        ((user(PICTURE, "a"), user("b")), True, "turn 2 is from 'user'"),
        ((user(PICTURE, "a"), system("b")), False, "turn 2 is from 'system'"),
        (CONVERSATION[:2], True, "nothing to answer"),
        ((user(PICTURE, "a"), Message("assistant", (OTHER, "b"))), False, "only the user can show pictures"),
    ],
)
def test_conversations_out_of_order_are_refused(
    name: str, messages: tuple[Message, ...], reply: bool, reason: str
) -> None:
    with pytest.raises(PromptError, match=reason):
        TEMPLATES[name].spans(messages, reply)


@pytest.mark.parametrize("name", [*GOLDEN, "llama_2"])
@pytest.mark.parametrize("empty", [user(""), user("  \n"), user(), user(PICTURE, " ")])
def test_an_empty_prompt_is_refused(name: str, empty: Message) -> None:
    with pytest.raises(PromptError, match="prompt is empty"):
        TEMPLATES[name].spans((empty,), reply=True)
