"""A template once more, in the language that transformers' `apply_chat_template` and vLLM read.

It is made from what the template itself writes, so the two cannot disagree. One thing is lost: in
a text nothing marks somebody's own words, so a special token typed in them has its meaning.
"""

import json
import re

from llavakit.prompt.messages import Message, assistant, system, user
from llavakit.prompt.templates import Template

# The loops read as vLLM expects them: by `for part in message['content']` it knows that content
# may be a list. The dashes leave out the space between blocks; the capitals are filled in below.
_LINES = """
{%- set all = namespace(system=SYSTEM, begun=false) -%}
{{- BEGIN -}}
{%- for message in messages -%}
{%- set own = namespace(pictures='', words='') -%}
{%- if message['content'] is string -%}
{%- set own.words = message['content'] -%}
{%- else -%}
{%- for part in message['content'] -%}
{%- if part['type'] == 'text' -%}
{%- set own.words = own.words + ' ' + part['text'] | trim -%}
{%- else -%}
{%- set own.pictures = own.pictures + PICTURE -%}
{%- endif -%}
{%- endfor -%}
{%- endif -%}
{%- set words = own.words | trim -%}
{%- if message['role'] == 'system' -%}
{%- set all.system = words -%}
{%- elif message['role'] == 'user' -%}
{%- if all.begun -%}
{{- NEXT -}}
{%- elif all.system -%}
{{- BEFORE_SYSTEM + all.system + AFTER_SYSTEM -}}
{%- else -%}
{{- FIRST -}}
{%- endif -%}
{%- set all.begun = true -%}
{{- own.pictures + BEFORE_WORDS + words + ASKED -}}
{%- else -%}
{{- BEFORE_ANSWER + words + ANSWERED -}}
{%- endif -%}
{%- endfor -%}
{%- if add_generation_prompt -%}
{{- REPLY -}}
{%- endif -%}
"""

_SYSTEM, _ASKED, _ANSWERED = "\0s", "\0u", "\0a"  # stand for what people say


def chat_template(template: Template, picture: str = "<image>", begin: str = "") -> str | None:
    """`template` as a Jinja chat template; None for `plain`, which is no conversation.

    Messages are `{"role", "content"}`, the content a string or a list of `{"type": "text", "text":
    …}` and `{"type": "image"}`.

    Args:
        picture: stands for a picture, markers included
        begin: opens every text, for programs that then encode it without the begin token, as vLLM
            and a tokenizer's own `apply_chat_template` do; a processor's works with or without
    """
    if template.name == "plain":
        return None
    picture += "" if template.side_by_side else "\n"
    constants = phrases(template) | {"BEGIN": begin, "PICTURE": picture, "SYSTEM": template.system}
    return re.sub(r"\b[A-Z_]+\b", lambda name: json.dumps(constants[name[0]]), _LINES.strip())


def phrases(template: Template) -> dict[str, str]:
    """What a conversation's template writes around the words of people, by the place where it stands."""
    before_system, after_system, asked_to_answer, answered_to_next, asked_to_reply = _between(
        template, (system(_SYSTEM), user(_ASKED), assistant(_ANSWERED), user(_ASKED)), reply=True
    )
    first, asked = _between(template, (system(""), user(_ASKED)), reply=False)
    *_, answered = _between(template, (user(_ASKED), assistant(_ANSWERED)), reply=False)
    below_pictures = "\n" if template.side_by_side else ""
    return {
        "BEFORE_SYSTEM": before_system,
        "AFTER_SYSTEM": after_system.removesuffix(below_pictures),
        "FIRST": first.removesuffix(below_pictures),
        "NEXT": answered_to_next.removeprefix(answered).removesuffix(below_pictures),
        "BEFORE_WORDS": below_pictures,
        "ASKED": asked,
        "BEFORE_ANSWER": asked_to_answer.removeprefix(asked),
        "ANSWERED": answered,
        "REPLY": asked_to_reply.removeprefix(asked),
    }


def _between(template: Template, messages: tuple[Message, ...], reply: bool) -> list[str]:
    """What the template writes before, between and after the words of `messages`."""
    text = "".join(span.text for span in template.spans(messages, reply))
    return re.split("|".join((_SYSTEM, _ASKED, _ANSWERED)), text)
