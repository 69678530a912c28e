"""Sampling filters as transformers' do; the same seed draws the same; bad values are named."""

from typing import ClassVar

import pytest
import torch
from transformers.generation import logits_process as theirs

from llavakit.engine import Sampling, make_sampling
from llavakit.engine.sampling import Sampler
from llavakit.errors import UsageError
from llavakit.llava import LLaVA

VOCAB = 50


def reference(settings: dict, prompt: list[int], logits: torch.Tensor) -> torch.Tensor:
    """The same settings through transformers' processors, in the order of its `generate`."""
    steps = {
        "repetition_penalty": theirs.RepetitionPenaltyLogitsProcessor,
        "temperature": theirs.TemperatureLogitsWarper,
        "top_k": theirs.TopKLogitsWarper,
        "top_p": theirs.TopPLogitsWarper,
    }
    scores = logits[None].clone()
    for name, step in steps.items():
        if name in settings:
            scores = step(settings[name])(torch.tensor([prompt]), scores)
    return scores[0]


@pytest.mark.parametrize(
    "settings",
    [
        {"temperature": 0.7},
        {"temperature": 1.0, "top_k": 5},
        {"temperature": 1.3, "top_p": 0.8},
        {"temperature": 1.0, "top_p": 1e-6},
        {"temperature": 0.5, "repetition_penalty": 1.3},
        {"temperature": 0.9, "repetition_penalty": 0.8, "top_k": 20, "top_p": 0.6},
        {"temperature": 1.0, "top_k": 1},
        {"temperature": 1.0, "top_k": 999},
    ],
)
def test_filtered_logits_equal_those_of_transformers(settings):
    generator = torch.Generator().manual_seed(0)
    for seed in range(100):
        logits = torch.randn(VOCAB, generator=generator) * 4
        prompt = torch.randint(0, VOCAB, (8,), generator=generator).tolist()
        ours = Sampler(Sampling(seed=seed, **settings), prompt).filtered(logits)
        assert torch.equal(ours, reference(settings, prompt, logits))


def test_tokens_already_drawn_are_penalised_like_those_of_the_prompt():
    logits = torch.zeros(VOCAB)
    logits[[3, 4]] = torch.tensor([1.0, 0.9])
    sampler = Sampler(Sampling(repetition_penalty=2.0), [])
    assert [sampler.draw(logits), sampler.draw(logits)] == [3, 4]


def test_draws_follow_the_probabilities():
    logits = torch.tensor([0.6, 0.3, 0.1]).log()
    sampler = Sampler(Sampling(temperature=1.0, seed=0), [])
    counts = torch.bincount(torch.tensor([sampler.draw(logits) for _ in range(4000)]), minlength=3) / 4000
    assert torch.allclose(counts, logits.exp(), atol=0.03)  # 4 standard deviations


def test_temperature_0_takes_the_likeliest_and_so_does_one_too_small_to_divide_by():
    logits = torch.tensor([1.0, 3.0, 2.0])
    for temperature in (0, 0.0, 1e-45, 1e-5):
        assert Sampler(Sampling(temperature=temperature), []).draw(logits) == 1


def test_the_same_seed_says_the_same_and_another_does_not(llava: LLaVA):
    def say(seed: int | None) -> str:
        return llava.generate("What?", max_new_tokens=20, temperature=1.0, seed=seed).text

    assert say(1) == say(1)
    assert len({say(1), say(2), say(3)}) == 3
    assert len({say(None), say(None)}) == 2


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("max_new_tokens", 0), ("max_new_tokens", "5"), ("max_new_tokens", 2.5), ("max_new_tokens", True),
        ("temperature", -0.1), ("temperature", float("nan")), ("temperature", "hot"), ("temperature", None),
        ("top_p", 0), ("top_p", 1.1), ("top_k", -1), ("top_k", 1.5), ("repetition_penalty", 0),
        ("repetition_penalty", float("inf")), ("seed", -1), ("seed", 2**64), ("seed", "x"), ("stop", [""]),
        ("stop", ""), ("stop", 5), ("stop", ["a", 5]), ("json_schema", 5), ("json_schema", "{"),
        ("json_schema", "null"), ("json_schema", "[1]"), ("json_schema", [1]), ("json_schema", {"a": {1}}),
        ("regex", ""), ("regex", 5),
    ],
)  # fmt: skip
def test_a_bad_value_is_refused_with_the_fields_name(field, value):
    with pytest.raises(UsageError, match=f"^{field} is "):
        make_sampling(**{field: value})


def test_a_schema_and_an_expression_at_once_are_refused():
    with pytest.raises(UsageError, match="json_schema and regex are both given"):
        Sampling(json_schema={"type": "string"}, regex="a+")


def test_what_a_guide_forbids_is_left_out_before_the_filters():
    """The likeliest token is forbidden: top-k 1 takes the likeliest of the others, not nothing."""

    class Odd:
        taken: ClassVar[list[int]] = []

        def mask(self, logits: torch.Tensor) -> torch.Tensor:
            return logits.masked_fill(torch.arange(len(logits)) % 2 == 0, -torch.inf)

        def took(self, token: int) -> None:
            self.taken.append(token)

    logits = torch.tensor([1.0, 2.0, 9.0, 3.0, 8.0])
    for values in ({}, {"temperature": 1.0, "top_k": 1}, {"temperature": 1.0, "top_p": 1e-6}):
        assert Sampler(Sampling(**values), [], Odd()).draw(logits) == 3
    assert Odd.taken == [3, 3, 3]


def test_an_unknown_setting_is_refused_with_the_nearest(llava: LLaVA):
    with pytest.raises(UsageError, match=r"'temprature' \(did you mean 'temperature'\?\)"):
        llava.generate("What?", temprature=1)


def test_numpys_numbers_are_numbers():
    import numpy as np

    assert make_sampling(temperature=np.float32(0.5), max_new_tokens=np.int64(3)).max_new_tokens == 3
