"""What computes."""

from functools import cache

import torch

from llavakit.errors import UsageError


def usable(device: str | torch.device) -> torch.device:
    """The device of that name, known to work.

    Raises:
        UsageError: it cannot be used here.
    """
    try:
        chosen = torch.device(device)
        torch.zeros(1, device=chosen).item()  # `meta` cannot
    except (RuntimeError, AssertionError, TypeError) as error:
        raise UsageError(
            f"device {str(device)!r} cannot be used here ({str(error).splitlines()[0]})"
        ) from None
    return chosen


def multiplies_bf16(device: torch.device) -> bool:
    """Whether products of bfloat16 are at home there; a CPU may take ages for them.

    Without AVX-512, torch 2.13 did 131 GFLOP/s in float32 in a linear layer, 19 in bfloat16, and 0.9 in a
    product of two matrices, of which a backward pass is made (two cores of an AMD EPYC with AVX2).
    """
    return device.type != "cpu" or _cpu_multiplies_bf16()


@cache
def _cpu_multiplies_bf16() -> bool:
    try:
        return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())
    except (AttributeError, RuntimeError):  # PyTorch was built without oneDNN
        return False
