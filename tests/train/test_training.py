"""Stages learn what they should, freeze what they should, and lose nothing when killed."""

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from llavakit.checkpoint import load, load_clip
from llavakit.config import ImageConfig
from llavakit.data.collate import ContrastiveCollator, TokenBatch, TokenCollator
from llavakit.errors import LlavaError
from llavakit.model import CLIP
from llavakit.prompt.encode import IGNORE
from llavakit.prompt.messages import assistant, user
from llavakit.prompt.tokenizer import Tokenizer
from llavakit.train.loop import Step
from llavakit.train.objectives import contrastive_loss, next_token_loss
from llavakit.train.optimiser import Optimiser
from llavakit.train.organs import Trainee, initialise
from llavakit.train.recipe import Organ, Stage
from llavakit.train.schedule import cosine
from model.reference import hf_llava, pair, pictures, prompt
from model.tiled_reference import NEXT, hf_tiled, noise
from tiles import tiled_llava
from train import small


def nothing(_: Step) -> None: ...


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("run")
    small.run(out, nothing)
    return out


def test_the_loss_is_that_of_transformers() -> None:
    hf, ours = pair("llama", "clip")
    config = ours.config
    ids = prompt(config, "tit")[None]
    pixels = pictures(config, 1)
    labels = ids.clone()
    labels[ids == config.image_token_id] = IGNORE
    labels[:, :2] = IGNORE
    batch = TokenBatch(ids, labels, pixels)
    theirs = hf(input_ids=ids, pixel_values=pixels, labels=labels).loss
    # 1e-4: the logits agree to 1e-5, the mean of their log-softmax to about as much
    assert abs(float(next_token_loss(ours, batch)) - float(theirs)) < 1e-4


def test_padding_adds_nothing_to_the_loss() -> None:
    _, ours = pair("llama", "clip")
    ids = prompt(ours.config, "ttttt")[None]
    batch = TokenBatch(ids, ids, None)
    more = torch.nn.functional.pad
    padded = TokenBatch(more(ids, (0, 5)), more(ids, (0, 5), value=IGNORE), None)
    assert torch.allclose(next_token_loss(ours, batch), next_token_loss(ours, padded), atol=1e-5)


def test_a_batch_without_a_supervised_token_is_an_error_not_a_loss_of_zero() -> None:
    _, ours = pair("llama", "clip")
    ids = prompt(ours.config, "ttttt")[None]
    batch = TokenBatch(ids, torch.full_like(ids, IGNORE), None)
    with pytest.raises(LlavaError, match="no supervised token"):
        next_token_loss(ours, batch)


def test_the_contrastive_loss_prefers_the_right_captions_and_phrases(trained: Path) -> None:
    checkpoint = load(trained / "model", dtype=torch.float32)
    clip = load_clip(trained / "model", checkpoint)
    collate = ContrastiveCollator(Tokenizer.load(trained / "model"), ImageConfig(size=32), 4, 16)
    examples = [small.Plates("pairs")[i] for i in range(3)]
    examples = [replace(e, caption=f"{e.caption} {i}") for i, e in enumerate(examples)]
    batch = collate(examples)
    optimiser = torch.optim.AdamW(clip.requires_grad_(True).parameters(), lr=3e-3)
    before = contrastive_loss(clip, batch)
    for _ in range(15):
        optimiser.zero_grad()
        torch.autograd.backward(contrastive_loss(clip, batch))
        optimiser.step()
    assert contrastive_loss(clip, batch) < before
    shuffled = replace(batch, captions=batch.captions.roll(1, 0))
    assert contrastive_loss(clip, shuffled) > contrastive_loss(clip, batch)
    misnamed = replace(batch, region_phrase=batch.region_phrase.roll(1, 0))
    assert contrastive_loss(clip, misnamed) > contrastive_loss(clip, batch)


def test_a_phrase_competes_with_those_of_its_own_aspect_only(trained: Path) -> None:
    checkpoint = load(trained / "model", dtype=torch.float32)
    clip = load_clip(trained / "model", checkpoint)
    collate = ContrastiveCollator(Tokenizer.load(trained / "model"), ImageConfig(size=32), 4, 16)
    examples = [small.Plates("pairs")[i] for i in range(6)]
    one = [replace(e, regions=tuple((box, said[:1]) for box, said in e.regions)) for e in examples]
    # The second aspect says "flat" of everything: a choice of one, which costs nothing.
    assert torch.allclose(contrastive_loss(clip, collate(examples)), contrastive_loss(clip, collate(one)))


def test_muon_moves_the_matrices_and_adamw_the_rest() -> None:
    _, config = hf_llava("llama", "clip")
    model = initialise(config, seed=0)
    stage = Stage(name="s", data="d", trainable=("connector",), steps=1, batch=1, lr=1e-2, optimiser="muon")
    parameters = list(model.parameters())
    optimiser = Optimiser(stage, model, parameters)
    rest, matrices = ({p for g in part.param_groups for p in g["params"]} for part in optimiser.parts)
    assert rest | matrices == set(parameters) and not rest & matrices
    assert model.language_model.embed_tokens.weight in rest and model.language_model.lm_head.weight in rest
    assert model.language_model.layers[0].mlp.up_proj.weight in matrices
    before = [p.detach().clone() for p in parameters]
    for p in parameters:
        p.grad = torch.randn_like(p)
    optimiser.step(lr=1e-2)
    assert all(not torch.equal(old, p) for old, p in zip(before, parameters, strict=True))
    assert all(p.grad is None for p in parameters)


@pytest.mark.parametrize("organs", [("connector",), ("connector", "language_model"), ("vision_tower",)])
def test_only_the_named_organs_learn(organs: tuple[Organ, ...]) -> None:
    _, config = hf_llava("llama", "clip")
    trainee = Trainee(initialise(config, seed=0), None, 16)
    chosen = trainee.freeze_all_but(organs)
    assert {id(p) for p in trainee.parameters() if p.requires_grad} == {id(p) for p in chosen}
    assert {id(p) for organ in organs for p in trainee.organ(organ)} == {id(p) for p in chosen}


def test_the_newline_of_tiles_learns_with_the_connector() -> None:
    _, config = hf_tiled(NEXT, "llama")
    llava = initialise(config, seed=0)
    chosen = Trainee(llava, None, 16).freeze_all_but(("connector",))
    assert any(p is llava.image_newline for p in chosen)
    assert not any(p is llava.image_newline for p in Trainee(llava, None, 16).organ("language_model"))


def test_a_batch_of_pictures_in_tiles_has_a_loss_that_falls() -> None:
    llava = tiled_llava(single=True)
    rows = [
        (user(noise(90, 30), "What?"), assistant("A cat.")),
        (user(noise(30, 30), noise(20, 60), "What?"), assistant("Two.")),
    ]
    batch = TokenCollator(llava.encoder, 1024)(rows)
    parameters = list(llava.model.requires_grad_(True).parameters())
    optimiser = torch.optim.AdamW(parameters, lr=3e-3)
    before = next_token_loss(llava.model, batch)
    for _ in range(5):
        optimiser.zero_grad()
        torch.autograd.backward(next_token_loss(llava.model, batch))
        optimiser.step()
    assert next_token_loss(llava.model, batch) < before


def test_clip_and_llava_share_one_vision_tower() -> None:
    recipe = small.Recipe.parse_toml(small.RECIPE, "small")
    _, config = hf_llava("llama", "clip")
    assert recipe.text_tower is not None
    trainee = Trainee(initialise(config, seed=0), recipe.text_tower, 16)
    assert isinstance(trainee.clip, CLIP)
    assert trainee.clip.vision_model is trainee.llava.vision_tower
    shared = {id(p) for p in trainee.organ("vision_tower")}
    assert not shared & {id(p) for p in trainee.organ("text_tower")}


def test_each_stage_runs_and_the_model_it_leaves_loads(trained: Path) -> None:
    checkpoint = load(trained / "model")
    assert checkpoint.template == "vicuna_v1"
    assert checkpoint.provenance["recipe"]["name"] == "small"
    assert next(checkpoint.model.parameters()).dtype == torch.bfloat16


def test_the_learning_rate_warms_up_and_falls_to_nothing() -> None:
    rates = [cosine(step, 100, 0.1) for step in range(100)]
    assert rates[:10] == pytest.approx([i / 10 for i in range(1, 11)])
    assert rates[9:] == sorted(rates[9:], reverse=True)
    assert 0 < rates[-1] < 1e-3


def test_a_finished_run_is_not_run_again(trained: Path) -> None:
    steps: list[Step] = []
    small.run(trained, steps.append)
    assert steps == []


def test_a_run_of_another_recipe_is_refused(trained: Path) -> None:
    with pytest.raises(LlavaError, match="another recipe"):
        small.run(trained, nothing, overrides={"stages.0.lr": "1e-5"})


def test_a_loss_that_is_no_number_stops_the_run_and_names_the_step(tmp_path: Path) -> None:
    with pytest.raises(LlavaError, match=r"stage instruct, step \d+: the loss is (nan|inf).*Lower lr"):
        small.run(tmp_path, nothing, overrides={"stages.2.lr": "1e30", "stages.2.precision": "float32"})


def test_an_empty_dataset_is_named(tmp_path: Path) -> None:
    recipe = small.Recipe.parse_toml(small.RECIPE, "small")
    with pytest.raises(LlavaError, match="stage clip: its data 'pairs' is empty"):
        small.train(recipe, tmp_path, lambda kind, _: small.Plates(kind, length=0), small.words)


@pytest.mark.parametrize("kill_after", [3, 9])
def test_a_run_killed_at_any_step_goes_on_to_the_same_losses(tmp_path: Path, kill_after: int) -> None:
    whole = tmp_path / "whole.jsonl"
    start(tmp_path / "a", whole).wait(120)

    log = tmp_path / "killed.jsonl"
    process = start(tmp_path / "b", log, pause=0.2)
    deadline = time.monotonic() + 100
    while time.monotonic() < deadline and len(lines(log)) < kill_after:
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert not (tmp_path / "b" / "model").exists()
    start(tmp_path / "b", log).wait(120)

    expected, seen = lines(whole), lines(log)
    assert len(expected) == 14
    # Steps after the last checkpoint are run twice; every one must come out as in the whole run.
    assert {json.dumps(line) for line in seen} == {json.dumps(line) for line in expected}
    a, b = (load(tmp_path / name / "model").model.state_dict() for name in "ab")
    assert all(torch.equal(a[name], b[name]) for name in a)


def start(out: Path, log: Path, pause: float = 0.0) -> subprocess.Popen[bytes]:
    script = Path(small.__file__)
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path), "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        [sys.executable, str(script), str(out), str(log), str(pause)], env=environment, start_new_session=True
    )


def lines(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
