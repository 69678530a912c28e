"""Numbers on their way from the host to the device that computes."""

from collections.abc import Sequence

import torch
from torch import Tensor


def sent(values: Sequence[object], dtype: torch.dtype, device: torch.device) -> Tensor:
    """A tensor of these numbers (nested sequences: of more dimensions) on the device.

    Nobody waits for it on a GPU: what is computed there comes after it anyway, and the host goes on. That
    takes page-locked memory, which torch reuses only when the transfer is over.
    """
    host = torch.tensor(values, dtype=dtype, pin_memory=device.type == "cuda")
    return host.to(device, non_blocking=True)
