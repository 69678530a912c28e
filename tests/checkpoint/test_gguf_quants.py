"""Number formats: the gguf package, which reads all of them, is the oracle of what we write.

Errors are relative, |read - weight| / |weight|. Measured on a million normal weights: Q4_K 0.0714, Q6_K
0.0179; of the gguf package's own Q4_0 0.0860 and Q8_0 0.0053.
"""

import gguf
import numpy as np
import pytest
import torch

from llavakit.checkpoint.gguf_quants import choose_kind, pack, stored_bytes


def read_back(weight: torch.Tensor, kind: str) -> torch.Tensor:
    packed = pack(weight, kind)
    assert packed.dtype == np.uint8
    assert packed.shape == stored_bytes(tuple(weight.shape), kind)
    exact = gguf.dequantize(packed, gguf.GGMLQuantizationType[kind])
    return torch.from_numpy(np.array(exact)).view(weight.shape)


def error(weight: torch.Tensor, kind: str) -> float:
    return float((read_back(weight, kind) - weight).norm() / weight.norm())


def weights(kind: str) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    normal = torch.randn(64, 1024, generator=generator)
    return normal if kind == "normal" else normal**3  # with outliers


@pytest.mark.parametrize(
    ("kind", "bound"),
    [("Q4_K", 0.075), ("Q6_K", 0.019), ("Q4_0", 0.09), ("Q8_0", 0.006), ("Q5_0", 0.045), ("F16", 3e-4),
     ("BF16", 3e-3), ("F32", 0.0)],
)  # fmt: skip
def test_weights_come_back_within_the_error_of_their_format(kind: str, bound: float) -> None:
    assert error(weights("normal"), kind) <= bound


@pytest.mark.parametrize("kind", ["Q4_K", "Q6_K"])
def test_outliers_cost_less_than_in_the_format_without_groups_of_scales(kind: str) -> None:
    assert error(weights("outliers"), kind) < error(weights("outliers"), "Q4_0")


@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e3])
@pytest.mark.parametrize(("kind", "bound"), [("Q4_K", 0.075), ("Q6_K", 0.019)])
def test_the_error_does_not_depend_on_the_size_of_weights(kind: str, bound: float, scale: float) -> None:
    assert error(weights("normal") * scale, kind) < bound


@pytest.mark.parametrize("kind", ["Q4_K", "Q6_K"])
@pytest.mark.parametrize("value", [0.0, 3.0, -3.0])
def test_weights_that_are_all_the_same_come_back(kind: str, value: float) -> None:
    same = torch.full((2, 256), value)
    assert torch.allclose(read_back(same, kind), same, rtol=2e-3, atol=0)


@pytest.mark.parametrize("kind", ["Q4_K", "Q6_K"])
def test_one_large_weight_among_zeros_comes_back(kind: str) -> None:
    one = torch.zeros(1, 256)
    one[0, 77] = -5.0
    assert torch.allclose(read_back(one, kind), one, atol=0.02)


@pytest.mark.parametrize(("kind", "step"), [("Q4_K", 1 / 15), ("Q6_K", 1 / 31)])
def test_each_weight_is_read_at_its_own_place(kind: str, step: float) -> None:
    ramp = torch.linspace(-1, 1, 512).view(2, 256)
    assert float((read_back(ramp, kind) - ramp).abs().max()) < step / 2 * 1.05


@pytest.mark.parametrize("kind", ["Q4_K", "Q6_K"])
def test_many_blocks_are_quantised_as_few_are(kind: str) -> None:
    many = torch.randn(5000, 256, generator=torch.Generator().manual_seed(1))
    assert np.array_equal(pack(many, kind)[4990:], pack(many[4990:], kind))


WIDE = (512, 256)


@pytest.mark.parametrize(
    ("name", "shape", "scheme", "kind"),
    [
        ("output_norm.weight", (256,), "q4_k", "F32"),
        ("blk.0.attn_q.bias", (256,), "f16", "F32"),
        ("blk.3.attn_q.weight", WIDE, "f16", "F16"),
        ("blk.3.attn_q.weight", WIDE, "q8_0", "Q8_0"),
        ("blk.3.attn_q.weight", WIDE, "q4_k", "Q4_K"),
        ("token_embd.weight", WIDE, "q4_k", "Q4_K"),
        ("output.weight", WIDE, "q4_k", "Q6_K"),
        ("output.weight", WIDE, "q4_0", "Q6_K"),
        ("output.weight", WIDE, "q8_0", "Q8_0"),
        # of 16 layers the first two, the last two, and every third between
        ("blk.1.attn_v.weight", WIDE, "q4_k", "Q6_K"),
        ("blk.2.attn_v.weight", WIDE, "q4_k", "Q4_K"),
        ("blk.4.ffn_down.weight", WIDE, "q4_k", "Q6_K"),
        ("blk.5.ffn_down.weight", WIDE, "q4_k", "Q4_K"),
        ("blk.14.ffn_down.weight", WIDE, "q4_k", "Q6_K"),
        ("blk.14.ffn_down.weight", WIDE, "q4_0", "Q4_0"),
        # widths that are no whole number of blocks
        ("blk.3.attn_q.weight", (512, 96), "q4_k", "Q5_0"),
        ("output.weight", (512, 96), "q4_k", "Q8_0"),
        ("blk.3.attn_q.weight", (512, 40), "q4_k", "F16"),
        ("blk.3.attn_q.weight", (512, 40), "q8_0", "F16"),
        ("blk.3.attn_q.weight", (512, 40), "bf16", "BF16"),
    ],
)
def test_each_tensor_gets_the_format_that_llama_cpp_gives_it(
    name: str, shape: tuple[int, ...], scheme: str, kind: str
) -> None:
    assert choose_kind(name, shape, scheme, layers=16, tied=False) == kind


def test_an_embedding_that_is_the_head_too_is_treated_as_the_head() -> None:
    assert choose_kind("token_embd.weight", WIDE, "q4_k", layers=16, tied=True) == "Q6_K"
