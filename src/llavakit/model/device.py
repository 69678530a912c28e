"""What computes."""

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
