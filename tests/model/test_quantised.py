"""8 and 4 bits: how much memory, how near to the weights, how near the output."""

import pytest
import torch
from torch import nn

from assemble import fresh_engine, packed, picture, random_llava
from llavakit.config import Quantization
from llavakit.model.quantised import LINEARS, QuantisedLinear, group_of

# The largest error of a layer's output, of its root mean square, that Gaussian weights give: one
# step of the grid is 2/255 (int8, a row of ~3.5 deviations) or 1/15 (int4, 64 weights) of the range.
# bitsandbytes rounds inputs to 8 bits too; its 16 levels are closest where Gaussian weights are.
BOUND = {"int8": 0.012, "int4": 0.12, "bnb-int8": 0.025, "bnb-nf4": 0.13}


def relative(exact: torch.Tensor, near: torch.Tensor) -> float:
    return float((exact - near).detach().float().norm() / exact.detach().float().norm())


def quantise(linear: nn.Linear, scheme: str, group: int = 64) -> QuantisedLinear:
    height, width = linear.weight.shape
    layer = LINEARS[scheme](width, height, linear.bias is not None, group)
    for name, tensor in layer.pack(linear.weight, group, linear.weight.dtype).items():
        assert getattr(layer, name).shape == tensor.shape
        setattr(layer, name, tensor)
    layer.bias = linear.bias
    return layer


def bytes_of(module: nn.Module) -> int:
    return sum(t.numel() * t.element_size() for t in [*module.parameters(), *module.buffers()])


@pytest.mark.parametrize("scheme", LINEARS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize(("wide", "high"), [(256, 128), (100, 33), (64, 1), (65, 7), (1, 5)])
def test_a_layer_stays_near_for_one_vector_and_for_many(scheme, dtype, wide, high):
    torch.manual_seed(0)
    linear = nn.Linear(wide, high, bias=True).to(dtype)
    packed = quantise(linear, scheme)
    bound = BOUND[scheme] + (0.01 if dtype is torch.bfloat16 else 0)  # bfloat16 itself: 2**-8 a number
    for vectors in (1, 3, 50):
        x = torch.randn(2, vectors, wide).to(dtype)
        assert packed(x).shape == (2, vectors, high)
        assert relative(linear(x), packed(x)) < bound
    # One vector may take another road; it must lead to the same place.
    assert relative(packed(x)[0, 0], packed(x[0, 0])) < (0.02 if dtype is torch.bfloat16 else 1e-5)


@pytest.mark.parametrize("native", [True, False])
@pytest.mark.parametrize("scheme", ["int8", "int4"])
@pytest.mark.parametrize(
    ("wide", "high", "group"), [(256, 64, 64), (320, 48, 128), (100, 32, 32), (100, 33, 64)]
)
def test_without_our_kernels_bfloat16_costs_its_rounding_and_no_more(
    scheme, wide, high, group, native, monkeypatch
):
    """Whatever of torch's products a processor is given: beside the same weights in float32.

    Outputs have 8 bits, inputs and scales are the same on both sides: 2**-9 on average, and as much again
    where a scale times a level is rounded before the product.
    """
    monkeypatch.setattr("llavakit.kernels.usable", lambda *_: False)
    monkeypatch.setattr("llavakit.model.quantised.multiplies_bf16", lambda _: native)
    monkeypatch.setattr("llavakit.model.quantised._UNPACKED", 2000)  # a few rows at a time
    torch.manual_seed(0)
    layer = quantise(nn.Linear(wide, high).to(torch.bfloat16), scheme, group)
    exact = LINEARS[scheme](wide, high, True, group)
    exact.load_state_dict(layer.state_dict())
    for vectors in (1, 3, 50):
        x = torch.randn(2, vectors, wide).to(torch.bfloat16)
        with torch.inference_mode():
            near, true = layer(x), exact(x.float())
            one = layer(x[0, 0])
        assert near.shape == (2, vectors, high) and near.dtype == torch.bfloat16
        assert relative(true, near) < 0.004
        assert relative(true[0, 0], one) < 0.01  # of so few numbers the mean is less sure


@pytest.mark.parametrize("scheme", LINEARS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
@pytest.mark.parametrize("size", [0.0, 1e-3, 1e3])
def test_empty_tiny_and_large_weights_give_finite_outputs(scheme, dtype, size):
    torch.manual_seed(0)
    linear = nn.Linear(128, 16, bias=False)
    linear.weight.data.mul_(size)
    linear = linear.to(dtype)
    for x in (torch.ones(1, 128, dtype=dtype), torch.ones(20, 128, dtype=dtype)):
        out = quantise(linear, scheme)(x)
        assert out.isfinite().all()
        assert out.float().sub(linear(x).float()).abs().max() <= 0.2 * size + 1e-6


def test_large_activations_do_not_leave_float16():
    """Llama's outliers reach thousands; times 127 they would be infinite if scaled after the sum."""
    linear = nn.Linear(256, 8, bias=False).half()
    linear.weight.data.fill_(0.01)
    x = torch.full((20, 256), 1000.0, dtype=torch.float16)
    assert relative(linear(x), quantise(linear, "int8")(x)) < 0.01


@pytest.mark.parametrize(("scheme", "bits"), [("int8", 8), ("int4", 4.4)])
def test_memory_is_as_promised(scheme, bits):
    """int4 in float32: 4 bits, and 40 for each group of 128."""
    llava = random_llava(hidden_size=256, head_dim=64, intermediate_size=512, num_key_value_heads=4)
    weights = sum(p.numel() for p in llava.model.language_model.layers.parameters() if p.ndim == 2)
    layers = packed(llava.model, Quantization(scheme=scheme)).language_model.layers
    assert weights * 0.9 * bits / 8 <= bytes_of(layers) < weights * bits / 8 * 1.06


@pytest.mark.parametrize("tied", [False, True])
@pytest.mark.parametrize(("tower", "head"), [(True, True), (False, True), (True, False)])
def test_what_is_quantised_is_what_the_plan_says(tower, head, tied):
    llava = random_llava(qkv_bias=True, tie_word_embeddings=tied)
    plan = Quantization(scheme="int4", vision_tower=tower, head=head)
    kinds = {name: type(m).__name__ for name, m in packed(llava.model, plan).named_modules()}
    for name, module in llava.model.named_modules():
        if not isinstance(module, nn.Linear):
            continue
        wanted = "Linear"
        if name.startswith("language_model.layers."):
            wanted = "Int4Linear"
        elif (name.startswith("vision_tower.") and tower) or (name.endswith("lm_head") and head and not tied):
            wanted = "Int8Linear"
        assert kinds[name] == wanted, name


@pytest.mark.parametrize(("width", "group"), [(4096, 128), (192, 64), (512, 128), (96, 32), (100, 32)])
def test_a_group_divides_a_row_where_it_can(width, group):
    assert group_of(width, 128) == group


@pytest.mark.parametrize(("scheme", "bound"), [("int8", 0.05), ("int4", 0.35)])
def test_logits_of_the_whole_model_stay_near(scheme, bound):
    llava = random_llava(qkv_bias=True, hidden_size=128, head_dim=32, intermediate_size=256)
    prompt = llava._encode("What is this?", picture(), None)
    ids, pixels = torch.tensor([prompt.ids]), torch.from_numpy(llava.encoder.pixels(prompt.images))
    near = packed(llava.model, Quantization(scheme=scheme))
    with torch.inference_mode():
        assert 0 < relative(llava.model(ids, pixels), near(ids, pixels)) < bound


@pytest.mark.parametrize("scheme", LINEARS)
def test_one_question_and_many_are_answered_alike(scheme):
    """One vector at a time takes another road through int8; it must lead to the same place."""
    llava = random_llava(qkv_bias=True, hidden_size=128, head_dim=32, intermediate_size=256)
    llava.engine = fresh_engine(llava, model=packed(llava.model, Quantization(scheme=scheme)))
    alone = llava.generate("What is this?", picture(), max_new_tokens=10)
    together = llava.generate_batch([("What is this?", picture())] * 6, max_new_tokens=10)
    assert {r.text for r in together} == {alone.text}


@pytest.mark.parametrize(("width", "height"), [(128, 64), (72, 5), (4304, 3)])
@pytest.mark.parametrize("scheme", LINEARS)
def test_what_is_kept_has_the_shapes_that_were_foretold(scheme, width, height):
    kind, group = LINEARS[scheme], group_of(width, 128)
    made = kind.pack(torch.randn(height, width), group, torch.float16)
    foretold = kind.kept(width, height, group, torch.float16)
    assert {name: (tuple(tensor.shape), tensor.dtype) for name, tensor in made.items()} == foretold
