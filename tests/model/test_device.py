"""What a device is known to be good at."""

import platform
import sys
from pathlib import Path

import pytest
import torch

from llavakit.model.device import multiplies_bf16


def test_gpus_are_taken_to_multiply_bfloat16() -> None:
    assert multiplies_bf16(torch.device("cuda")) and multiplies_bf16(torch.device("mps"))


@pytest.mark.skipif(
    sys.platform != "linux" or platform.machine() != "x86_64", reason="asks Linux what an x86-64 can do"
)
def test_an_x86_multiplies_bfloat16_where_it_has_avx_512_or_the_conversions_alone() -> None:
    flags = Path("/proc/cpuinfo").read_text().partition("flags")[2].partition("\n")[0].split()
    wide = {"avx512bw", "avx512vl", "avx512dq"} <= set(flags)
    assert multiplies_bf16(torch.device("cpu")) == (wide or "avx_ne_convert" in flags)
