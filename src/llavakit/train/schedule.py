"""The learning rate: linear warm-up, then a cosine to zero (LLaVA's and CLIP's schedule)."""

import math


def cosine(step: int, steps: int, warmup: float) -> float:
    """The factor on the peak rate at `step` (from 0) of `steps`; `warmup` is a share of `steps`.

    To the step that of transformers' `get_cosine_schedule_with_warmup` under its Trainer, which LLaVA's
    recipes were tuned with: the warm-up is rounded up, and begins with a step at rate zero.
    """
    ramp = math.ceil(warmup * steps)
    if step < ramp:
        return step / ramp
    return 0.5 * (1 + math.cos(math.pi * (step - ramp) / max(1, steps - ramp)))
