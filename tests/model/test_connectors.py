"""Connectors and activations one by one."""

import pytest
import torch
from transformers.activations import ACT2FN

from llavakit.errors import UsageError
from llavakit.model import Llava
from llavakit.model.connectors import CONNECTORS
from llavakit.model.encoder import ACTIVATIONS
from model.reference import gap, hf_llava, pair

FEATURES = torch.randn(2, 5, 6, generator=torch.Generator().manual_seed(0))  # (image, patch, vision)


def test_the_identity_changes_nothing_and_has_no_weights() -> None:
    connector = CONNECTORS["identity"](6, 6, "gelu", True)
    assert torch.equal(connector(FEATURES), FEATURES)
    assert not list(connector.parameters())


def test_the_identity_refuses_unequal_widths_naming_both() -> None:
    with pytest.raises(UsageError, match=r"vision 6 .* text 4"):
        CONNECTORS["identity"](6, 4, "gelu", True)


def test_linear_is_one_matrix_product() -> None:
    connector = CONNECTORS["linear"](6, 4, "gelu", True)
    layer = connector.linear_1
    assert {name for name, _ in connector.named_parameters()} == {"linear_1.weight", "linear_1.bias"}
    assert gap(connector(FEATURES), FEATURES @ layer.weight.T + layer.bias) < 1e-6


@pytest.mark.parametrize("depth", [2, 3, 4])
@pytest.mark.parametrize("bias", [True, False])
def test_an_mlp_puts_an_activation_between_each_two_of_its_layers(depth: int, bias: bool) -> None:
    connector = CONNECTORS[f"mlp{depth}x_gelu"](6, 4, "gelu", bias)
    x = FEATURES
    for i in range(1, depth + 1):
        layer = connector.get_submodule(f"linear_{i}")
        assert (layer.bias is not None) == bias
        x = layer(x if i == 1 else ACT2FN["gelu"](x))
    assert sum(1 for _ in connector.parameters()) == depth * (1 + bias)
    assert x.shape == (2, 5, 4)
    assert gap(connector(FEATURES), x) < 1e-6


@pytest.mark.parametrize("act", list(ACTIVATIONS))
def test_the_two_layer_mlp_is_transformers_projector(act: str) -> None:
    hf_model, model = pair(connector_act=act)
    features = torch.randn(2, 9, model.config.vision.hidden_size)
    assert gap(model.connector(features), hf_model.model.multi_modal_projector(features)) < 1e-5


@pytest.mark.parametrize("name", list(CONNECTORS))
def test_every_connector_of_the_table_makes_a_working_model(name: str) -> None:
    _, config = hf_llava(hidden_size=24, tower={"hidden_size": 24})
    model = Llava(config.model_copy(update={"connector": name}))
    features = model.encode_images(torch.randn(2, 3, 24, 24))
    assert [each.shape for each in features] == [(config.tokens_per_image, 24)] * 2


@pytest.mark.parametrize("name", list(ACTIVATIONS))
def test_every_activation_is_what_transformers_means_by_its_name(name: str) -> None:
    x = torch.linspace(-8, 8, 4001)
    # One rounding of a float32 near 8 is 5e-7; the two GELUs differ from each other by 5e-4.
    assert gap(ACTIVATIONS[name](x), ACT2FN[name](x)) < 2e-6
