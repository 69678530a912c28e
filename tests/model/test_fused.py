"""Products said for a compiler give what the layers give, compiled or not."""

import shutil
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from llavakit.model.fused import fuses, int4_linear, int8_linear
from llavakit.model.quantised import Int4Linear, Int8Linear, QuantisedLinear

Product = Callable[..., Tensor]
every = pytest.mark.parametrize(
    ("kind", "product"), [(Int8Linear, int8_linear), (Int4Linear, int4_linear)], ids=["int8", "int4"]
)


def layer(kind: type[QuantisedLinear], wide: int, high: int, group: int, bias: bool) -> QuantisedLinear:
    torch.manual_seed(0)
    made = kind(wide, high, bias, group)
    for name, tensor in kind.pack(torch.randn(high, wide), group, torch.float32).items():
        setattr(made, name, tensor)
    if made.bias is not None:
        torch.nn.init.normal_(made.bias)
    return made


def parts(made: QuantisedLinear) -> list[Any]:
    return [*made.buffers(), made.bias]


@every
@pytest.mark.parametrize("vectors", [1, 2, 8])
@pytest.mark.parametrize(
    ("wide", "group", "bias"), [(256, 64, True), (96, 32, False), (100, 32, True)], ids=str
)
def test_products_are_those_of_the_layer(
    kind: type[QuantisedLinear], product: Product, vectors: int, wide: int, group: int, bias: bool
) -> None:
    made = layer(kind, wide, 40, group, bias)
    x = torch.randn(1, vectors, wide)
    # Sums of 256 numbers in float32, in another order.
    torch.testing.assert_close(product(x, *parts(made)), made(x), atol=1e-4, rtol=1e-4)


@every
def test_bfloat16_is_summed_in_float32(kind: type[QuantisedLinear], product: Product) -> None:
    made = layer(kind, 256, 40, 64, True)
    x = torch.randn(1, 2, 256).bfloat16()
    exact = made(x.float())
    found = product(x, *parts(made.bfloat16()))
    assert found.dtype is torch.bfloat16
    torch.testing.assert_close(found.float(), exact, atol=0.05, rtol=0.02)  # scales and output have 8 bits


@every
@pytest.mark.skipif(shutil.which("g++") is None, reason="torch compiles for CPUs with a C++ compiler")
def test_compiled_products_are_those_of_the_layer(kind: type[QuantisedLinear], product: Product) -> None:
    made = layer(kind, 256, 40, 64, True)
    x = torch.randn(1, 2, 256)
    compiled = torch.compile(product, fullgraph=True, dynamic=False)
    torch.testing.assert_close(compiled(x, *parts(made)), made(x), atol=1e-4, rtol=1e-4)


def test_uncompiled_nothing_is_to_be_gained() -> None:
    assert not fuses(torch.randn(1, 1, 64))
