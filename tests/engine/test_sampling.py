"""Sampling filters as transformers' do; the same seed draws the same; bad values are named."""

from typing import ClassVar

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from transformers.generation import logits_process as theirs

from llavakit.engine import Sampling, make_sampling
from llavakit.engine.sampling import Sampler, draw_together
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


MIXED = [
    {}, {"temperature": 0.7}, {"temperature": 1.0, "top_k": 5}, {"temperature": 1.3, "top_p": 0.8},
    {"temperature": 1.0, "top_k": 999}, {"temperature": 0.9, "top_k": 20, "top_p": 0.6},
    {"temperature": 1.0, "top_p": 1e-6}, {"temperature": 1e-5, "top_k": 3},
]  # fmt: skip


def test_tokens_drawn_together_are_those_drawn_alone():
    """Whatever settings share a step, and however many rows one of them has."""
    together = [Sampler(Sampling(seed=i, **settings), []) for i, settings in enumerate(MIXED)]
    alone = [Sampler(Sampling(seed=i, **settings), []) for i, settings in enumerate(MIXED)]
    logits = torch.randn(100, sum(range(1, 9)), VOCAB, generator=torch.Generator().manual_seed(0)) * 4
    for step in logits:
        drawn = draw_together(step, [(sampler, i + 1) for i, sampler in enumerate(together)])
        for sampler, token in zip(
            [s for i, s in enumerate(together) for _ in range(i + 1)], drawn, strict=True
        ):
            sampler.took(token)
        rows = iter(step)
        assert drawn == [s.draw(next(rows)) for i, s in enumerate(alone) for _ in range(i + 1)]


def test_a_guess_that_was_wrong_uses_nobodys_luck_up():
    settings = Sampling(temperature=1.0, seed=0)
    logits = torch.randn(3, VOCAB, generator=torch.Generator().manual_seed(0))
    guessing, plain = Sampler(settings, []), Sampler(settings, [])
    first, *_ = draw_together(logits, [(guessing, 3)])
    guessing.took(first)  # the two after it are for nothing
    assert [first, guessing.draw(logits[1])] == [plain.draw(logits[0]), plain.draw(logits[1])]


def test_rows_that_are_not_finite_are_told_from_the_others():
    logits = torch.zeros(4, VOCAB)
    logits[:, 7] = 1
    logits[1, 3], logits[3, 0] = torch.nan, torch.inf
    for settings in (Sampling(), Sampling(temperature=1e-3)):
        sampler = Sampler(settings, [])
        assert draw_together(logits, [(sampler, 4)]) == [7, -1, 7, -1]
    assert draw_together(logits[:0], [(sampler, 0)]) == []


@pytest.mark.parametrize("luck", [0.0, 0.5, 1 - 2**-53])
def test_what_has_no_odds_is_never_drawn(luck, monkeypatch):
    """Wherever it stands: also where the sums of odds begin, and where they end."""
    monkeypatch.setattr(Sampler, "luck", lambda self, count: [luck] * count)
    generator = torch.Generator().manual_seed(0)
    for _ in range(50):
        logits = torch.randn(32000, generator=generator)
        possible = torch.randint(0, 32000, (7,), generator=generator)
        masked = torch.full_like(logits, -torch.inf).index_copy(0, possible, logits[possible])
        assert Sampler(Sampling(temperature=1.0), []).draw(masked) in possible


def test_the_host_waits_for_nothing_until_all_are_drawn():
    """No operation whose result, or its size, the host must know: each would stop a GPU."""

    class Watch(TorchDispatchMode):
        def __torch_dispatch__(self, function, types, args=(), kwargs=None):
            seen.append(str(function))
            return function(*args, **(kwargs or {}))

    seen: list[str] = []
    samplers = [Sampler(Sampling(seed=0, **settings), []) for settings in MIXED]
    for sampler in samplers:
        sampler.luck(1)  # the host's own
    with Watch():
        draw_together(torch.randn(len(MIXED), VOCAB), [(sampler, 1) for sampler in samplers])
    assert "aten.cumsum.default" in seen
    assert not [
        name for name in seen if "local_scalar" in name or "nonzero" in name or "masked_select" in name
    ]


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
