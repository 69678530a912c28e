"""8 and 4 bits: how much memory, how near to the weights, how near the output."""

import pytest
import torch
from torch import nn

from assemble import picture, random_llava
from llavakit.engine import quantise
from llavakit.engine.quantise import SCHEMES
from llavakit.errors import UsageError
from llavakit.llava import memory_needed

# The largest error of a layer's output, of its root mean square, that Gaussian weights give: one
# step of the grid is 2/255 (int8, a row of ~3.5 deviations) or 1/15 (int4, 64 weights) of the range.
BOUND = {"int8": 0.012, "int4": 0.12}


def relative(exact: torch.Tensor, near: torch.Tensor) -> float:
    return float((exact - near).detach().float().norm() / exact.detach().float().norm())


def bytes_of(module: nn.Module) -> int:
    return sum(t.numel() * t.element_size() for t in [*module.parameters(), *module.buffers()])


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize(("wide", "high"), [(256, 128), (100, 33), (64, 1), (65, 7), (1, 5)])
def test_a_layer_stays_near_for_one_vector_and_for_many(scheme, dtype, wide, high):
    torch.manual_seed(0)
    linear = nn.Linear(wide, high, bias=True).to(dtype)
    packed = SCHEMES[scheme](linear)
    bound = BOUND[scheme] + (0.01 if dtype is torch.bfloat16 else 0)  # bfloat16 itself: 2**-8 a number
    for vectors in (1, 3, 50):
        x = torch.randn(2, vectors, wide).to(dtype)
        assert packed(x).shape == (2, vectors, high)
        assert relative(linear(x), packed(x)) < bound
    # One vector may take another road; it must lead to the same place.
    assert relative(packed(x)[0, 0], packed(x[0, 0])) < (0.02 if dtype is torch.bfloat16 else 1e-5)


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
@pytest.mark.parametrize("size", [0.0, 1e-3, 1e3])
def test_empty_tiny_and_large_weights_give_finite_outputs(scheme, dtype, size):
    torch.manual_seed(0)
    linear = nn.Linear(128, 16, bias=False)
    linear.weight.data.mul_(size)
    linear = linear.to(dtype)
    for x in (torch.ones(1, 128, dtype=dtype), torch.ones(20, 128, dtype=dtype)):
        out = SCHEMES[scheme](linear)(x)
        assert out.isfinite().all()
        assert out.float().sub(linear(x).float()).abs().max() <= 0.2 * size + 1e-6


def test_large_activations_do_not_leave_float16():
    """Llama's outliers reach thousands; times 127 they would be infinite if scaled after the sum."""
    linear = nn.Linear(256, 8, bias=False).half()
    linear.weight.data.fill_(0.01)
    x = torch.full((20, 256), 1000.0, dtype=torch.float16)
    assert relative(linear(x), SCHEMES["int8"](linear)(x)) < 0.01


@pytest.mark.parametrize(("scheme", "bits"), [("int8", 8), ("int4", 5)])
def test_memory_is_as_promised(scheme, bits):
    llava = random_llava(hidden_size=128, head_dim=32, intermediate_size=256)
    promised = memory_needed(llava.config, torch.float32, scheme)
    weights = sum(p.numel() for p in llava.model.language_model.layers.parameters() if p.ndim == 2)
    quantise(llava.model, scheme)
    blocks = bytes_of(llava.model.language_model.layers)
    assert weights * bits / 8 <= blocks < weights * bits / 8 * 1.06  # norms, and scales of int8, are the rest
    assert bytes_of(llava.model) < promised * 1.05


@pytest.mark.parametrize("scheme", SCHEMES)
def test_every_linear_of_the_blocks_is_replaced_and_nothing_else(scheme):
    llava = random_llava(qkv_bias=True)
    before = {name for name, m in llava.model.named_modules() if isinstance(m, nn.Linear)}
    quantise(llava.model, scheme)
    after = {name for name, m in llava.model.named_modules() if isinstance(m, nn.Linear)}
    assert before - after == {name for name in before if name.startswith("language_model.layers.")}


@pytest.mark.parametrize(("scheme", "bound"), [("int8", 0.03), ("int4", 0.35)])
def test_logits_of_the_whole_model_stay_near(scheme, bound):
    llava = random_llava(qkv_bias=True, hidden_size=128, head_dim=32, intermediate_size=256)
    prompt = llava._encode("What is this?", picture(), None)
    ids, pixels = torch.tensor([prompt.ids]), torch.from_numpy(llava.encoder.pixels(prompt.images))
    with torch.inference_mode():
        exact = llava.model(ids, pixels)
        quantise(llava.model, scheme)
        assert 0 < relative(exact, llava.model(ids, pixels)) < bound
    # One vector at a time takes another road through int8; it must lead to the same place.
    alone = llava.generate("What is this?", picture(), max_new_tokens=10)
    together = llava.generate_batch([("What is this?", picture())] * 6, max_new_tokens=10)
    assert {r.text for r in together} == {alone.text}


def test_an_unknown_scheme_is_named_with_the_nearest():
    with pytest.raises(UsageError, match=r"'int5' \(did you mean"):
        quantise(random_llava().model, "int5")
