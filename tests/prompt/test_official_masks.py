"""What is learned, against the arithmetic of the official training code.

`preprocess_v1` and `preprocess_llama_2` of `llava/train/train.py` count the tokens of pieces of the
written prompt: a round ends with the end mark, whose one token stands where the piece's own begin
token was counted, and its instruction ends before the lone "▁" that the trailing space gives. The
count is right for tokenizers that begin every stretch with "▁", as Llama's does.
"""

import random

import pytest
from PIL import Image

from llavakit.config import ImageConfig
from llavakit.prompt.encode import IGNORE, PromptEncoder
from llavakit.prompt.messages import Message, assistant, user
from llavakit.prompt.templates import TEMPLATES
from prompt.backends import small

PICTURE = Image.new("RGB", (2, 2))
TOKENIZER = small("llama-prepend")
SENTENCES = "What is in the picture? There are two cars, one red and blue. A cat sits 中文 🙂 naïve\nline"
WORDS = SENTENCES.split(" ")


def official_ids(text: str) -> list[int]:
    """Each stretch between pictures on its own, the begin token once: `tokenizer_image_token`."""
    first, *others = (TOKENIZER.encode(stretch) for stretch in text.split("<image>"))
    return first + [i for stretch in others for i in [TOKENIZER.image_token_id, *stretch[1:]]]


def official_labels(text: str, answer_begins: str) -> list[int]:
    ids = official_ids(text)
    learned = [False] * len(ids)
    position = 1
    for round_ in text.split("</s>")[:-1]:
        instruction, _ = round_.split(answer_begins)
        masked = len(official_ids(instruction + answer_begins)) - 2
        end = position + len(official_ids(round_))
        learned[position + masked : end] = [True] * (end - position - masked)
        position = end
    assert position == len(ids)
    return [i if own else IGNORE for i, own in zip(ids, learned, strict=True)]


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize(
    "name, answer_begins",
    [("vicuna_v1", " ASSISTANT: "), ("llama_2", "[/INST] "), ("mistral_instruct", "[/INST] ")],
)
def test_ids_and_labels_are_the_official_ones(name: str, answer_begins: str, seed: int) -> None:
    rng = random.Random(seed)

    def say() -> str:
        return " ".join(rng.choices(WORDS, k=rng.randint(1, 9)))

    messages: list[Message] = []
    for _ in range(rng.randint(1, 3)):
        pictures = [PICTURE] if not messages and seed % 2 else []
        messages += [user(*pictures, say()), assistant(say())]
    encoded = PromptEncoder(TOKENIZER, TEMPLATES[name], 1, ImageConfig()).encode(messages, reply=False)
    assert encoded.ids == official_ids(encoded.text)
    assert encoded.labels == official_labels(encoded.text, answer_begins)
