"""Steps as the loop would tell them, for tests of what is made of them."""

from typing import Any

from llavakit.train import Step


def step(number: int = 1, **facts: Any) -> Step:
    values: dict[str, Any] = {
        "stage": "align", "step": number, "steps": 10, "loss": 2.0, "lr": 1e-3, "grad_norm": 0.5,
        "tokens": 100, "supervised": 20, "examples": 4, "views": 4, "skipped": 0, "seconds": 1.0,
    }  # fmt: skip
    return Step(**values | facts)
