"""Attention is the same whatever type it is computed in."""

import pytest
import torch

from llavakit.model.attention import attend, for_products, product_type


@pytest.mark.parametrize("length", [40, 1100])
@pytest.mark.parametrize("causal", [True, False])
def test_in_training_short_and_long_sequences_see_what_float32_sees(length: int, causal: bool) -> None:
    generator = torch.Generator().manual_seed(0)
    parts = [torch.randn(1, heads, length, 16, generator=generator) for heads in (4, 2, 2)]
    halves = [part.bfloat16().requires_grad_() for part in parts]
    with torch.autocast("cpu", torch.bfloat16):
        seen = attend(*halves, causal=causal)
    exact = [half.detach().float().requires_grad_() for half in halves]
    expected = attend(*exact, causal=causal)
    assert seen.dtype == torch.bfloat16
    # 2e-2: an eighth bit of what is at most about 2, and sums of such
    torch.testing.assert_close(seen.float(), expected, atol=2e-2, rtol=0)
    torch.autograd.backward(seen, torch.ones_like(seen))
    torch.autograd.backward(expected, torch.ones_like(expected))
    for half, whole in zip(halves, exact, strict=True):
        assert half.grad is not None and whole.grad is not None
        torch.testing.assert_close(half.grad.float(), whole.grad, atol=6e-2, rtol=2e-2)


def test_products_are_computed_once_in_the_type_that_autocast_multiplies_in() -> None:
    x = torch.randn(2, 3, requires_grad=True)
    assert for_products(x) is x
    with torch.autocast("cpu", torch.bfloat16):
        assert for_products(x).dtype == product_type(x) == torch.bfloat16
        with torch.no_grad():  # what a model answers does not depend on this
            assert for_products(x) is x
