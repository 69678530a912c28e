"""Attention is the same whatever type it is computed in."""

import pytest
import torch

from llavakit.model.attention import attend


@pytest.mark.parametrize("length", [40, 300])
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


def test_a_short_sequence_is_looked_at_in_float32_where_gradients_are_wanted() -> None:
    # Nothing is rounded on the way: the result is float32's, rounded once.
    generator = torch.Generator().manual_seed(0)
    q, k, v = (torch.randn(1, 2, 40, 16, generator=generator).bfloat16().requires_grad_() for _ in range(3))
    expected = attend(q.detach().float(), k.detach().float(), v.detach().float()).bfloat16()
    assert torch.equal(attend(q, k, v), expected)
