"""How a conversation is written as text for a given language model.

A template yields spans, each marked as learned or not, so that the prompt and the loss mask come
from one loop and cannot disagree. Wordings and separators are those of the official LLaVA
repository (`llava/conversation.py`, where `v0` is called `llava_v0`, `llama_2` `llava_llama_2` and
`chatml` `chatml_direct`) and of its successor, LLaVA-NeXT (`qwen_1_5`, and `llava_llama_3` for `llama_3`).
What is supervised follows their `preprocess_*` functions: the answer and the mark that ends it. (For Qwen and
Llama 3 the successor also teaches the marks that open turns, which no model ever has to write.)

`onevision` is how the folders of llava-hf write LLaVA-OneVision and LLaVA-Interleave, up to one space:
they open an answer with "<|im_start|>assistant\n" when it is asked for, but put a space before that
line break once it is history. Here it stays as it was asked for.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from PIL import Image

from llavakit.errors import PromptError, UsageError, nearest
from llavakit.prompt.messages import Message


@dataclass(frozen=True)
class Span:
    """A stretch of the prompt: words, or one picture.

    Attributes:
        trainable: the model learns to write this
        literal: somebody's own words; no token in them has a special meaning
        image: the picture that stands here instead of words
    """

    text: str = ""
    trainable: bool = False
    literal: bool = False
    image: Image.Image | None = None


@dataclass(frozen=True)
class Template:
    """A way of writing conversations.

    Attributes:
        system: the system prompt, unless the conversation brings its own
        roles: what opens the user's and the assistant's turn
        ends: what closes the user's and the assistant's turn
        stop: strings that end an answer, beside the tokenizer's own end token
        system_role: what opens the system prompt, in the tagged style
        between: what follows each turn, and is not learned
        side_by_side: pictures stand in one row, and the words below it even where there are none
    """

    name: str
    style: "Style"
    system: str
    roles: tuple[str, str]
    ends: tuple[str, str]
    stop: tuple[str, ...] = ()
    system_role: str = "<|im_start|>system\n"
    between: str = ""
    side_by_side: bool = False

    def spans(self, messages: Sequence[Message], reply: bool) -> list[Span]:
        """The conversation as spans; with `reply`, up to where the model's answer begins.

        Raises:
            PromptError: a turn is empty or out of order, or a picture is not the user's.
        """
        system, turns = _checked(messages, reply, self.system)
        return [span for span in self.style(self, system, turns, reply) if span.text or span.image]


Style = Callable[[Template, str, Sequence[Message], bool], Iterator[Span]]


def _checked(messages: Sequence[Message], reply: bool, default: str) -> tuple[str, list[Message]]:
    """The system prompt and the turns, in good order."""
    turns = list(messages)
    system = turns.pop(0).text if turns and turns[0].role == "system" else default
    if not turns:
        raise PromptError("the conversation is empty: ask something")
    for i, message in enumerate(turns):
        if message.role != ("assistant" if i % 2 else "user"):
            raise PromptError(f"turn {i + 1} is from {message.role!r}: turns go user, assistant, user …")
    if any(message.images for message in messages if message.role != "user"):
        raise PromptError("only the user can show pictures: move them to a user's turn")
    if reply and turns[-1].role != "user":
        raise PromptError("there is nothing to answer: the last message must be the user's")
    return system, turns


def _pictures_and_words(template: Template, message: Message) -> Iterator[Span]:
    """Pictures first, each on a line of its own or all on one, wherever in the turn they stood."""
    if not message.text:
        raise PromptError("the prompt is empty: ask something")
    for image in message.images:
        yield Span(image=image)
        yield Span("" if template.side_by_side else "\n")
    yield Span("\n" if template.side_by_side else "")
    yield Span(message.text, literal=True)


def _answer(message: Message, before: str, after: str) -> Iterator[Span]:
    yield Span(before, trainable=True)
    yield Span(message.text, trainable=True, literal=True)
    yield Span(after, trainable=True)


def _spoken(template: Template, system: str, turns: Sequence[Message], reply: bool) -> Iterator[Span]:
    """`system sep USER: question sep ASSISTANT: answer end`: Vicuna, and LLaVA's first "###" form."""
    if system:
        yield Span(system, literal=True)
        yield Span(template.ends[0])
    for message in turns:
        if message.role == "user":
            yield Span(f"{template.roles[0]}: ")
            yield from _pictures_and_words(template, message)
            yield Span(template.ends[0])
        else:
            yield Span(f"{template.roles[1]}:")
            yield from _answer(message, " ", template.ends[1])
    if reply:
        yield Span(f"{template.roles[1]}:")


def _bracketed(template: Template, system: str, turns: Sequence[Message], reply: bool) -> Iterator[Span]:
    """`[INST] question [/INST] answer </s><s>[INST] …`: Llama 2, Mistral."""
    begin, end = template.ends
    for i, message in enumerate(turns):
        if message.role == "user":
            yield Span(begin if i else "")  # the first mark is the tokenizer's to add
            yield Span(f"{template.roles[0]} ")
            if i == 0 and system:
                yield Span("<<SYS>>\n")
                yield Span(system, literal=True)
                yield Span("\n<</SYS>>\n\n")
            yield from _pictures_and_words(template, message)
            yield Span(f" {template.roles[1]}")
        else:
            yield from _answer(message, " ", f" {end}")


def _tagged(template: Template, system: str, turns: Sequence[Message], reply: bool) -> Iterator[Span]:
    """`<|im_start|>user\\nquestion<|im_end|>…`: MPT, ChatML, Qwen, Llama 3."""
    if system:
        yield Span(template.system_role)
        yield Span(system, literal=True)
        yield Span(template.ends[0] + template.between)
    for message in turns:
        if message.role == "user":
            yield Span(template.roles[0])
            yield from _pictures_and_words(template, message)
            yield Span(template.ends[0] + template.between)
        else:
            yield Span(template.roles[1])
            yield from _answer(message, "", template.ends[1])
            yield Span(template.between)
    if reply:
        yield Span(template.roles[1])


def _plain(template: Template, system: str, turns: Sequence[Message], reply: bool) -> Iterator[Span]:
    """The picture, then its caption: the alignment stage. What the user's turn says is left out."""
    for message in turns:
        if message.role == "assistant":
            yield from _answer(message, "", template.ends[1])
        elif not message.images:
            raise PromptError("the plain template writes captions of pictures: show one")
        else:
            yield from (Span(image=image) for image in message.images)


_POLITE = "The assistant gives helpful, detailed, and polite answers to the {}'s questions."
_HUMAN = "A chat between a curious human and an artificial intelligence assistant. " + _POLITE.format("human")
_USER = "A chat between a curious user and an artificial intelligence assistant. " + _POLITE.format("user")
_LLAMA = (
    "You are a helpful language and vision assistant. You are able to understand the visual content that the "
    "user provides, and assist the user with a variety of tasks using natural language."
)
_MPT = (
    "A conversation between a user and an LLM-based AI assistant. "
    "The assistant gives helpful and honest answers."
)
_TAGS = ("<|im_start|>user\n", "<|im_start|>assistant\n")
_IM_END = "<|im_end|>"
_HEADERS = (
    "<|start_header_id|>user<|end_header_id|>\n\n",
    "<|start_header_id|>assistant<|end_header_id|>\n\n",
)
_EOT = "<|eot_id|>"

TEMPLATES: dict[str, Template] = {
    template.name: template
    for template in (
        Template("plain", _plain, "", ("", ""), ("", "\n"), stop=("\n",)),
        Template("v0", _spoken, _HUMAN, ("Human", "Assistant"), ("###", "###"), stop=("###",)),
        Template("vicuna_v1", _spoken, _USER, ("USER", "ASSISTANT"), (" ", "</s>"), stop=("</s>",)),
        Template("llama_2", _bracketed, _LLAMA, ("[INST]", "[/INST]"), ("<s>", "</s>"), stop=("</s>",)),
        Template("mistral_instruct", _bracketed, "", ("[INST]", "[/INST]"), ("", "</s>"), stop=("</s>",)),
        Template("mpt", _tagged, _MPT, _TAGS, (_IM_END, _IM_END), stop=(_IM_END,)),
        Template("chatml", _tagged, "Answer the questions.", _TAGS, (_IM_END, _IM_END), stop=(_IM_END,)),
        Template(
            "qwen_1_5", _tagged, "You are a helpful assistant.", _TAGS, (_IM_END, _IM_END), stop=(_IM_END,),
            between="\n",
        ),
        Template(
            "onevision", _tagged, "", ("<|im_start|>user ", _TAGS[1]), (_IM_END, _IM_END), stop=(_IM_END,),
            system_role="<|im_start|>system \n", side_by_side=True,
        ),
        Template(
            "llama_3", _tagged, _LLAMA, _HEADERS, (_EOT, _EOT), stop=(_EOT,),
            system_role="<|start_header_id|>system<|end_header_id|>\n\n",
        ),
    )
}  # fmt: skip


def get_template(name: str) -> Template:
    """The template called `name`.

    Raises:
        UsageError: there is none; the nearest name is given.
    """
    if name not in TEMPLATES:
        raise UsageError(f"unknown template {name!r} ({nearest(name, TEMPLATES)})")
    return TEMPLATES[name]
