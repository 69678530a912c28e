"""The kernels against the same arithmetic in PyTorch, on every shape that has an edge."""

import ctypes
import math
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from llavakit import kernels
from llavakit.config import Quantization
from llavakit.kernels import build
from llavakit.model.language.decoder import RMSNorm
from llavakit.model.language.rope import rotate
from llavakit.model.quantised import Int4Linear, Int8Linear, QuantisedLinear

there = pytest.mark.skipif(build.library() is None, reason="for x86-64 with AVX-512 VNNI and a C compiler")

# Inputs are rounded to 8 bits in groups: half a step of the largest of 32 or 128 normal numbers is .6 to .8 %
# of a typical one. A wrong scale, zero or order is off by 10 % and more.
ROUNDED = 0.011
BF16 = 0.004  # 8 bits of mantissa, rounded two or three times


def off(found: Tensor, wanted: Tensor) -> float:
    return float((found.float() - wanted).norm() / wanted.norm())


def layer(
    kind: type[QuantisedLinear], width: int, height: int, group: int, dtype: torch.dtype
) -> QuantisedLinear:
    torch.manual_seed(0)
    weight = torch.randn(height, width) * 0.02 + 0.003  # not centred: zeros that are forgotten show
    made = kind(width, height, True, group)
    for name, value in kind.pack(weight, group, dtype).items():
        setattr(made, name, value)
    made.bias = torch.nn.Parameter(torch.randn(height) * 0.1)
    return made.requires_grad_(False)


@there
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
@pytest.mark.parametrize(
    ("kind", "group"), [(Int4Linear, 32), (Int4Linear, 64), (Int4Linear, 128), (Int8Linear, 32)]
)
@pytest.mark.parametrize(
    ("width", "height"),
    # whole chunks; fewer than a panel's 32 rows, no whole chunk; a part of the last group; more than a panel
    [(128, 64), (96, 37), (1000, 100), (4304, 33), (33, 3)],
)
def test_products_are_those_of_the_unpacked_weights(
    kind: type[QuantisedLinear], group: int, dtype: torch.dtype, width: int, height: int
) -> None:
    linear = layer(kind, width, height, group, dtype)
    for rows in (1, 2, 3, 4, 5, 6, 7, 13, 30):  # each way, and each remainder of its blocks
        x = torch.randn(rows, width).bfloat16()
        wanted = linear(x.float())  # 32 bits: unpacked
        with torch.inference_mode():
            assert kernels.usable(x)
            found = linear(x)
        assert off(found, wanted) < ROUNDED, rows


@there
def test_leading_dimensions_and_strides_do_not_matter() -> None:
    linear = layer(Int4Linear, 256, 48, 128, torch.float16)
    x = torch.randn(3, 256, 5).bfloat16().transpose(1, 2)
    with torch.inference_mode():
        assert torch.equal(linear(x), linear(x.reshape(15, 256).clone()).view(3, 5, 48))
        assert linear(x[:, :0]).shape == (3, 0, 48)


@there
@pytest.mark.parametrize("kind", [Int4Linear, Int8Linear])
@pytest.mark.parametrize("bad", [math.nan, math.inf])
@pytest.mark.parametrize("rows", [1, 20])
def test_what_is_not_finite_shows(kind: type[QuantisedLinear], bad: float, rows: int) -> None:
    linear = layer(kind, 256, 48, 128, torch.float16)
    x = torch.randn(rows, 256).bfloat16()
    x[-1, 200] = bad
    with torch.inference_mode():
        finite = linear(x).isfinite().all(dim=1)
    assert finite[:-1].all()
    assert not finite[-1]


@there
def test_zeros_give_the_bias() -> None:
    linear = layer(Int4Linear, 256, 48, 128, torch.float16)
    with torch.inference_mode():
        assert torch.equal(linear(torch.zeros(2, 256).bfloat16())[1], linear.bias.bfloat16())


@there
def test_outliers_cost_little_where_groups_are_small() -> None:
    """A channel a hundred times as large takes the exactness of its own group only."""
    x = torch.randn(4, 4096)
    x[:, 7] *= 100
    linear = layer(Int8Linear, 4096, 64, 32, torch.float32)
    with torch.inference_mode():
        assert off(linear(x.bfloat16()), linear(x.bfloat16().float())) < 0.02


def attended(query: Tensor, keys: Tensor, values: Tensor, mask: Tensor | None) -> Tensor:
    """(token, head, head_dim) of all, in float32."""
    lined = [x.float().transpose(0, 1)[None] for x in (query, keys, values)]
    seen = F.scaled_dot_product_attention(*lined, attn_mask=mask, enable_gqa=True)
    return seen[0].transpose(0, 1)


@there
@pytest.mark.parametrize(
    ("heads", "kv_heads", "dim"), [(4, 4, 128), (8, 2, 64), (6, 3, 80), (2, 1, 256), (3, 3, 16)]
)
def test_one_token_sees_its_own_sequence(heads: int, kv_heads: int, dim: int) -> None:
    torch.manual_seed(0)
    keys, values = (torch.randn(400, kv_heads, dim).bfloat16() for _ in range(2))
    lengths = torch.tensor([1, 16, 33, 150])
    slots = torch.stack([torch.randperm(400)[:150] for _ in lengths])
    query = torch.randn(len(lengths), heads, dim).bfloat16()
    with torch.inference_mode():
        found = kernels.attend_one(query, keys, values, slots, lengths)
        alone = kernels.attend_one(query[2:3], keys, values, slots[2:3, :33].contiguous(), lengths[2:3])
    for row, length in enumerate(lengths.tolist()):
        own = slots[row, :length]
        wanted = attended(query[row : row + 1], keys[own], values[own], None)
        assert off(found[row : row + 1], wanted) < BF16
    assert torch.equal(alone[0], found[2])


@there
@pytest.mark.parametrize(
    ("heads", "kv_heads", "dim"), [(4, 4, 128), (8, 2, 64), (6, 3, 80), (2, 1, 256), (3, 3, 16)]
)
@pytest.mark.parametrize(
    ("tokens", "past", "window"),
    [(2, 0, None), (12, 0, None), (45, 0, None), (30, 77, None), (40, 0, 7), (33, 100, 64), (577, -1, None)],
)
def test_many_tokens_see_what_is_before_them(
    heads: int, kv_heads: int, dim: int, tokens: int, past: int, window: int | None
) -> None:
    torch.manual_seed(0)
    length = max(past, 0) + tokens
    keys, values = (torch.randn(length + 50, kv_heads, dim).bfloat16() for _ in range(2))
    query = torch.randn(tokens, heads, dim).bfloat16()
    slots = torch.randperm(length + 50)[:length]
    distance = (torch.arange(tokens) + past)[:, None] - torch.arange(length)
    mask = None if past < 0 else (distance >= 0) & (distance < (window or length + 1))
    with torch.inference_mode():
        found = kernels.attend_many(query, keys, values, slots, past, window)
    # weights are rounded to 16 bits before they are multiplied, as in PyTorch's own 16-bit attention
    assert off(found, attended(query, keys[slots], values[slots], mask)) < BF16


@there
def test_a_neighbours_numbers_do_not_leak() -> None:
    torch.manual_seed(0)
    keys, values = (torch.full((64, 2, 32), math.nan).bfloat16() for _ in range(2))
    own = torch.arange(3, 40)
    keys[own], values[own] = torch.randn(37, 2, 32).bfloat16(), torch.randn(37, 2, 32).bfloat16()
    query = torch.randn(5, 2, 32).bfloat16()
    with torch.inference_mode():
        assert kernels.attend_many(query, keys, values, own, 32).isfinite().all()
        padded = torch.cat([own, torch.zeros(9, dtype=torch.int64)])[None]
        assert kernels.attend_one(query[:1], keys, values, padded, torch.tensor([37])).isfinite().all()


@there
def test_norm_gate_and_rotation_are_pytorchs() -> None:
    torch.manual_seed(0)
    for shape in [(1, 1, 64), (2, 3, 100), (1, 50, 1000)]:
        x, other, weight = (
            torch.randn(shape).bfloat16(),
            torch.randn(shape).bfloat16(),
            torch.randn(shape[-1]).bfloat16(),
        )
        x[0, 0, 0] = 90  # beyond where its exponential would overflow
        x[0, 0, 1] = -90
        wide = x.float()
        with torch.inference_mode():
            norm, gated, quick = (
                kernels.rms_norm(x, weight, 1e-5),
                kernels.gate(x, 1.0, other),
                kernels.gate(x, 1.702),
            )
        assert off(norm, F.rms_norm(wide, shape[-1:], weight.float(), 1e-5)) < BF16
        assert off(gated, F.silu(wide) * other.float()) < BF16
        assert off(quick, wide * torch.sigmoid(1.702 * wide)) < BF16
    x = torch.randn(2, 3, 70, 64).bfloat16()
    angle = torch.randn(2, 1, 70, 32)
    cos, sin = (torch.cat((part, part), dim=-1).bfloat16() for part in (angle.cos(), angle.sin()))
    wanted = rotate(x.float(), cos.float(), sin.float())
    with torch.inference_mode():
        assert off(kernels.rotate(x, cos, sin), wanted) < BF16


@there
def test_the_answer_does_not_depend_on_the_number_of_threads() -> None:
    linear = layer(Int4Linear, 512, 300, 128, torch.float16)
    x = torch.randn(20, 512).bfloat16()
    with torch.inference_mode():
        both = [linear(x), linear(x[:1])]
        usual = torch.get_num_threads()
        torch.set_num_threads(3)
        try:
            again = [linear(x), linear(x[:1])]
        finally:
            torch.set_num_threads(usual)
    assert all(torch.equal(a, b) for a, b in zip(both, again, strict=True))


@there
def test_where_something_is_learned_pytorch_computes() -> None:
    linear = layer(Int4Linear, 64, 32, 32, torch.float16)
    linear.bias = None
    x = torch.randn(2, 64).bfloat16().requires_grad_()
    linear(x).sum().backward()
    assert x.grad is not None
    assert x.grad.abs().sum() > 0


@there
def test_groups_that_the_kernels_do_not_know_are_left_to_pytorch() -> None:
    assert kernels.take(Quantization(scheme="int4", group_size=64))
    assert not kernels.take(Quantization(scheme="int4", group_size=96))
    assert not kernels.take(Quantization(scheme="bnb-nf4"))
    linear = layer(Int4Linear, 192, 32, 96, torch.float16)
    linear.bias = None
    x = torch.randn(2, 192)
    with torch.inference_mode():
        assert off(linear(x.bfloat16()), linear(x.bfloat16().float())) < 2 * BF16


@there
def test_machine_code_is_made_once_and_made_anew_where_it_is_damaged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LLAVAKIT_CACHE", str(tmp_path))
    build.library.cache_clear()
    try:
        assert build.library() is not None
        (made,) = (tmp_path / "kernels").iterdir()
        build.library.cache_clear()
        assert build.library() is not None
        assert list((tmp_path / "kernels").iterdir()) == [made]
        for damage in (made.read_bytes()[:1000], made.read_bytes()[:4096].ljust(made.stat().st_size, b"\0")):
            other = tmp_path / str(len(damage))  # a library that is loaded already would not be read again
            damaged = other / "kernels" / made.name
            damaged.parent.mkdir(parents=True)
            damaged.write_bytes(damage)
            monkeypatch.setenv("LLAVAKIT_CACHE", str(other))
            build.library.cache_clear()
            assert isinstance(build.library(), ctypes.CDLL)
            (again,) = damaged.parent.iterdir()
            assert again.stat().st_size == made.stat().st_size
    finally:
        build.library.cache_clear()


@there
def test_where_nothing_compiles_that_is_said_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("LLAVAKIT_CACHE", str(tmp_path))
    monkeypatch.setenv("CC", "false")
    monkeypatch.setattr(build.shutil, "which", lambda name: name if name == "false" else None)
    build.library.cache_clear()
    try:
        with torch.inference_mode():
            assert not kernels.usable(torch.zeros(1).bfloat16())
            assert not kernels.usable(torch.zeros(1).bfloat16())
        assert caplog.text.count("without our kernels") == 1
    finally:
        build.library.cache_clear()


@there
def test_a_compiler_that_fails_is_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LLAVAKIT_CACHE", str(tmp_path / "a file"))
    (tmp_path / "a file").write_text("so that nothing can be kept")
    monkeypatch.setenv("CC", "false --loudly")
    build.library.cache_clear()
    try:
        assert build.library() is not None  # gcc, in a temporary folder
    finally:
        build.library.cache_clear()


@there
def test_inputs_of_32_bits_among_those_of_16_are_left_to_pytorch() -> None:
    """Under autocast products give 16 bits, and norms' weights and angles keep 32."""
    norm, x = RMSNorm(64, 1e-5), torch.randn(3, 64).bfloat16()
    still = torch.zeros(1, 1, 3, 32)
    with torch.inference_mode():
        assert off(norm(x), F.rms_norm(x.float(), (64,), eps=1e-5)) < BF16
        assert torch.equal(rotate(x.view(1, 2, 3, 32), still.cos(), still.sin()), x.view(1, 2, 3, 32))


@there
@pytest.mark.parametrize(("kind", "width"), [(Int4Linear, 128), (Int4Linear, 32), (Int8Linear, 4096)])
def test_an_input_of_another_width_is_refused(kind: type[QuantisedLinear], width: int) -> None:
    linear = layer(kind, 64, 40, 32, torch.float16)
    with torch.inference_mode(), pytest.raises(ValueError, match=str(width)):
        linear(torch.randn(1, width).bfloat16())


@there
def test_nobody_looks_and_nothing_is_seen() -> None:
    pool, none = torch.zeros(8, 2, 16).bfloat16(), torch.zeros(0, 2, 16).bfloat16()
    with torch.inference_mode():
        slots = torch.zeros(0, 1, dtype=torch.int64)
        assert kernels.attend_one(none, pool, pool, slots, slots[:, 0]).shape == (0, 2, 16)


@there
def test_the_environment_can_leave_them_out() -> None:
    program = "from llavakit.kernels.build import library; print(library())"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True,
        env=os.environ | {"LLAVAKIT_KERNELS": "0"},
    )  # fmt: skip
    assert done.stdout == "None\n"
