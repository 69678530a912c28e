"""What every test may use."""

import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from assemble import random_llava, saved
from llavakit.llava import LLaVA

torch.set_num_threads(1)  # these models are too small to share out
# A shell has what it runs in the background ignore Ctrl-C, and all that is started by that as well; what
# tests start is to hear it.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def llava() -> LLaVA:
    """A small random model that nobody changes: ChatML, greedy answers in letters and digits, no end."""
    return random_llava()


@pytest.fixture(scope="session")
def saved_llava(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a small random model that talks as Vicuna: `random_llava("vicuna_v1")`, saved."""
    return saved(random_llava("vicuna_v1"), tmp_path_factory.mktemp("models") / "random")


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    from browsing import browser  # not every machine has one

    with browser() as chromium:
        yield chromium


@pytest.fixture
def opened(chromium: Any, report: Path) -> Iterator[Callable[..., Any]]:
    """Opens the module's `report`, a page by itself, in windows of its own."""
    from browsing import windows

    with windows(chromium, report) as opening:
        yield opening
