"""What a person is told when the model and what it is given do not fit."""

from typing import Any

import pytest
import torch

from llavakit.errors import PromptError, UsageError
from llavakit.model import Llava
from model.reference import hf_llava, pictures, prompt


@pytest.fixture(scope="module")
def model() -> Llava:
    return Llava(hf_llava()[1])


@pytest.mark.parametrize(
    ("layout", "count", "wanted", "given"), [("tit", 2, 9, 18), ("titi", 1, 18, 9), ("tt", 1, 0, 9)]
)
def test_a_wrong_number_of_image_tokens_reports_both_numbers(
    model: Llava, layout: str, count: int, wanted: int, given: int
) -> None:
    ids = prompt(model.config, layout)[None]
    with pytest.raises(PromptError, match=rf"{wanted} image tokens .* {given} features"):
        model(ids, pictures(model.config, count))


def test_image_tokens_without_a_picture_are_refused(model: Llava) -> None:
    with pytest.raises(PromptError, match=r"9 image tokens .* 0 features"):
        model(prompt(model.config, "tit")[None])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"connector": "mlp2x_gleu"}, "'mlp2x_gleu'.*did you mean 'mlp2x_gelu'"),
        ({"connector": "qformer"}, "'qformer'.*valid: .*identity.*linear"),
        ({"connector_act": "gelu_pytorch_tahn"}, "'gelu_pytorch_tahn'.*did you mean 'gelu_pytorch_tanh'"),
        ({"connector": "identity"}, "equal widths, got vision 24 and text 32"),
        ({"feature_layer": -5}, "feature_layer -5 .* -4 to 3"),
        ({"feature_layer": 4}, "feature_layer 4 .* -4 to 3"),
    ],
)
def test_a_configuration_that_makes_no_network_is_refused(changes: dict[str, Any], message: str) -> None:
    _, config = hf_llava()
    with pytest.raises(UsageError, match=message):
        Llava(config.model_copy(update=changes))


@pytest.mark.parametrize("part", ["vision", "language"])
def test_an_unknown_activation_of_a_tower_or_a_decoder_is_named(part: str) -> None:
    _, config = hf_llava()
    bad = getattr(config, part).model_copy(update={"hidden_act": "sillu"})
    with pytest.raises(UsageError, match=r"activation 'sillu'.*did you mean 'silu'"):
        Llava(config.model_copy(update={part: bad}))


def test_a_text_only_prompt_needs_no_pictures(model: Llava) -> None:
    with torch.no_grad():
        assert model(prompt(model.config, "ttt")[None]).shape == (1, 3, 97)
