"""About how many tokens a text has, without a tokenizer."""

import re
from collections.abc import Iterable, Mapping
from functools import lru_cache

_PER_MESSAGE, _PER_REQUEST = 4, 3  # what a chat's format adds, as OpenAI tells it of its models

# A guess at what GPT-4's tokenizer and its heirs make of a text. Like them, it takes digits in threes, a
# space with the word or mark behind it, and breaks of lines together. It takes words in eights, where they
# know many longer ones and not all shorter ones: 4.5 to 4.9 letters a token in captions and in GPT-4's own
# prose, where OpenAI says "about 4". Not measured on a tokenizer: once a server has counted, `Kept.usual`
# corrects it.
_PIECES = re.compile(
    r" ?[A-Za-z]{1,8}|[0-9]{1,3}| ?[^\s\w]+[\r\n]*|[\u3040-\u9fff\uac00-\ud7a3]| ?[^\W\d_]{1,2}|\s+|\w"
)


@lru_cache(512)  # system prompts and examples come with every request
def tokens(text: str) -> int:
    return len(_PIECES.findall(text))


def prompt_tokens(messages: Iterable[Mapping[str, str]]) -> int:
    """Of a request's messages, with what the format adds."""
    return _PER_REQUEST + sum(_PER_MESSAGE + tokens(message["content"]) for message in messages)
