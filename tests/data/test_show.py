"""A row as the model reads it, in pieces that lose nothing."""

import pytest
from PIL import Image

from llavakit.config import ImageConfig
from llavakit.data.show import pieces
from llavakit.prompt.encode import IGNORE, PromptEncoder
from llavakit.prompt.messages import assistant, user
from llavakit.prompt.templates import TEMPLATES
from prompt.backends import small

PICTURE = Image.new("RGB", (2, 2))
TALK = (user(PICTURE, "What is in the picture?"), assistant("A cat."), user("Sure?"), assistant("Yes."))


@pytest.mark.parametrize("kind", ["llama-prepend", "llama-metaspace", "llama3-bytes"])
@pytest.mark.parametrize("template", ["vicuna_v1", "llama_2"])
def test_pieces_put_together_are_the_prompt(kind: str, template: str) -> None:
    encoder = PromptEncoder(small(kind), TEMPLATES[template], 3, ImageConfig())
    encoded = encoder.encode(TALK, reply=False)
    found = list(pieces(encoded, encoder.tokenizer, 10_000))
    assert [i for piece in found for i in piece.ids] == encoded.ids
    assert [piece.picture for piece in found if piece.picture is not None] == [0]
    assert [i for piece in found if piece.learned for i in piece.ids] == [
        i for i in encoded.labels if i != IGNORE
    ]
    assert not any(piece.cut for piece in found)
    written = "".join("<image>" if piece.picture is not None else piece.text for piece in found)
    # Tokenizers differ in whether special tokens keep the spaces beside them.
    assert written.replace(" ", "").endswith(encoded.text.replace(" ", "").removeprefix("<s>"))
    answers = [piece.text.split("</s>")[0].strip() for piece in found if piece.learned]
    assert answers == ["A cat.", "Yes."]


def test_several_pictures_are_pieces_of_their_own() -> None:
    encoder = PromptEncoder(small("llama3-bytes"), TEMPLATES["onevision"], 3, ImageConfig())
    encoded = encoder.encode((user(PICTURE, PICTURE, "Which?"), assistant("Both.")), reply=False)
    shown = [p for p in pieces(encoded, encoder.tokenizer, 10_000) if p.picture is not None]
    assert [(p.picture, len(p.ids)) for p in shown] == [(0, 3), (1, 3)]


def test_what_lies_beyond_the_greatest_length_is_cut() -> None:
    encoder = PromptEncoder(small("llama3-bytes"), TEMPLATES["vicuna_v1"], 3, ImageConfig())
    encoded = encoder.encode(TALK, reply=False)
    most = len(encoded.ids) - 5
    found = list(pieces(encoded, encoder.tokenizer, most))
    assert sum(len(piece.ids) for piece in found if not piece.cut) == most
    assert sum(len(piece.ids) for piece in found if piece.cut) == 5
