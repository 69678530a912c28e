"""Stages learn what they should, freeze what they should, and lose nothing when killed."""

import math
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import transformers

from llavakit.checkpoint import load, load_clip
from llavakit.config import ImageConfig
from llavakit.data.collate import TokenBatch, TokenCollator
from llavakit.data.contrast import UNASKED, ContrastiveBatch, ContrastiveCollator, Label
from llavakit.errors import UsageError
from llavakit.model import CLIP
from llavakit.prompt.encode import PromptEncoder
from llavakit.prompt.messages import assistant, user
from llavakit.prompt.templates import get_template
from llavakit.train import Recipe, train
from llavakit.train.distributed import World
from llavakit.train.dress import dress
from llavakit.train.labels import LabelHead
from llavakit.train.loop import Step
from llavakit.train.objectives import contrastive_loss, next_token_loss
from llavakit.train.optimiser import Group, Optimiser
from llavakit.train.organs import Trainee, initialise
from llavakit.train.recipe import Hardware, Organ, Stage
from llavakit.train.run import commit
from llavakit.train.schedule import cosine
from llavakit.train.task import task_of
from model.reference import hf_llava
from model.tiled_reference import NEXT, hf_tiled, noise
from tiles import tiled_llava
from train import small


def nothing(_: Step) -> None: ...


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("run")
    small.run(out, nothing)
    return out


def test_the_contrastive_loss_prefers_the_right_captions_and_answers(trained: Path) -> None:
    checkpoint = load(trained / "model", dtype=torch.float32)
    clip = load_clip(trained / "model", checkpoint)
    collate = ContrastiveCollator(checkpoint.tokenizer, ImageConfig(size=32), 4, 16, small.LABELS)
    head = LabelHead(small.LABELS, checkpoint.model.config.vision.hidden_size)
    examples = [small.Plates("pairs")[i] for i in range(3)]
    examples = [replace(e, caption=f"{e.caption} {i}") for i, e in enumerate(examples)]
    [batch] = collate(examples)
    assert isinstance(batch, ContrastiveBatch)
    learning = [*clip.requires_grad_(True).parameters(), *head.parameters()]
    optimiser = torch.optim.AdamW(learning, lr=3e-3)
    before = contrastive_loss(clip, batch, head)
    for _ in range(15):
        optimiser.zero_grad()
        torch.autograd.backward(contrastive_loss(clip, batch, head))
        optimiser.step()
    after = contrastive_loss(clip, batch, head)
    assert after < before
    shuffled = replace(batch, captions=batch.captions.roll(1, 0))
    assert contrastive_loss(clip, shuffled, head) > after
    for name, answer in batch.answers.items():
        wrong = torch.where(answer == UNASKED, answer, (answer + 1) % len(small.LABELS[name].classes))
        assert contrastive_loss(clip, replace(batch, answers={**batch.answers, name: wrong}), head) > after


def test_a_patch_that_is_not_asked_teaches_nothing() -> None:
    torch.manual_seed(0)
    head = LabelHead({"colour": Label(("red", "blue"))}, 4)
    torch.nn.init.normal_(head.weight)
    features = torch.randn(1, 3, 4, requires_grad=True)
    answers = torch.tensor([0, UNASKED, 1]).view(1, 3, 1)
    torch.autograd.backward(head(features, {"colour": answers}))
    assert features.grad is not None
    assert [bool(row.any()) for row in features.grad[0]] == [True, False, True]
    # Nobody asked: no loss, not 0 / 0.
    assert head(features, {"colour": torch.full((1, 3, 1), UNASKED)}) == 0


def test_the_loss_of_a_label_is_the_mean_over_who_is_asked_and_nothing_weighs_little() -> None:
    torch.manual_seed(0)
    labels = {
        "colour": Label(("red", "blue"), weight=0.5),
        "letter": Label(("nothing", "A", "B"), weight=2.0, cells=2),
    }
    head = LabelHead(labels, 4)
    torch.nn.init.normal_(head.weight)
    features = torch.randn(2, 3, 4)
    colour = torch.tensor([[0, 1, UNASKED], [1, UNASKED, UNASKED]]).unsqueeze(-1)
    letter = torch.randint(0, 3, (2, 3, 4))
    scores = {name: found.log_softmax(-1) for name, found in head.scores(features).items()}
    assert scores["letter"].shape == (2, 3, 4, 3)
    asked = [(0, 0), (0, 1), (1, 0)]
    first = -sum(scores["colour"][i, j, 0, colour[i, j, 0]] for i, j in asked) / 3
    weights = torch.where(letter == 0, 0.1, 1.0)
    told = scores["letter"].gather(-1, letter.unsqueeze(-1)).squeeze(-1)
    second = -(told * weights).sum() / weights.sum()
    found = head(features, {"colour": colour, "letter": letter})
    torch.testing.assert_close(found, 0.5 * first + 2 * second)


def test_the_head_is_no_part_of_the_model_and_muon_leaves_it_alone(trained: Path) -> None:
    assert not any(
        "head" in name for name in load(trained / "model").model.state_dict() if "lm_head" not in name
    )
    head = LabelHead(small.LABELS, 8)
    stage = Stage(name="s", data="d", trainable=("connector",), steps=1, batch=1, lr=1e-2, optimiser="muon")
    optimiser = Optimiser(stage, head, [Group(1e-2, list(head.parameters()))])
    assert [type(part) for part in optimiser.parts] == [torch.optim.AdamW]


def test_muon_moves_the_matrices_and_adamw_the_rest() -> None:
    _, config = hf_llava("llama", "clip")
    model = initialise(config, seed=0)
    stage = Stage(name="s", data="d", trainable=("connector",), steps=1, batch=1, lr=1e-2, optimiser="muon")
    parameters = list(model.parameters())
    optimiser = Optimiser(stage, model, [Group(1e-2, parameters)])
    rest, matrices = ({p for g in part.param_groups for p in g["params"]} for part in optimiser.parts)
    assert rest | matrices == set(parameters) and not rest & matrices
    assert model.language_model.embed_tokens.weight in rest and model.language_model.lm_head.weight in rest
    assert model.language_model.layers[0].mlp.up_proj.weight in matrices
    before = [p.detach().clone() for p in parameters]
    for p in parameters:
        p.grad = torch.randn_like(p)
    optimiser.step(1.0)
    assert all(not torch.equal(old, p) for old, p in zip(before, parameters, strict=True))
    assert all(p.grad is None for p in parameters)


def test_each_organ_moves_at_its_own_rate_and_a_resumed_optimiser_goes_on_as_it_was() -> None:
    slow, fast = torch.nn.Parameter(torch.ones(2, 2)), torch.nn.Parameter(torch.ones(2, 2))
    plan = Stage(name="s", data="d", trainable=("connector",), steps=1, batch=1, lr=1e-2)
    model = torch.nn.ParameterList([slow, fast])

    def step(optimiser: Optimiser) -> None:
        slow.grad, fast.grad = torch.full((2, 2), 0.5), torch.full((2, 2), 0.5)
        optimiser.step(0.5)

    first = Optimiser(plan, model, [Group(1e-3, [slow]), Group(1e-1, [fast])])
    step(first)
    # AdamW's first step is the rate itself: half the peak, as the schedule's factor says
    assert 1 - slow[0, 0].item() == pytest.approx(5e-4, abs=1e-6)
    assert 1 - fast[0, 0].item() == pytest.approx(5e-2, abs=1e-6)
    second = Optimiser(plan, model, [Group(1e-3, [slow]), Group(1e-1, [fast])], fused=False)
    for parameter in (slow, fast):
        for key, value in first.state(parameter).items():
            second.restore(parameter, key, value.clone())
    before = [p.detach().clone() for p in (slow, fast)]
    step(first)
    moved = [p.detach().clone() for p in (slow, fast)]
    with torch.no_grad():
        for parameter, old in zip((slow, fast), before, strict=True):
            parameter.copy_(old)
    step(second)
    # 1e-7: the fused kernel rounds otherwise than the other
    assert all(torch.allclose(a, b, atol=1e-7) for a, b in zip(moved, (slow, fast), strict=True))


def test_what_does_not_learn_can_be_held_in_half_and_comes_back_when_it_does() -> None:
    _, config = hf_llava("llama", "clip")
    trainee = Trainee(initialise(config, seed=0), None, 16)
    hardware = Hardware(frozen="bfloat16", checkpoint_activations=True)
    align, instruct = (
        Stage(name="s", data="d", trainable=organs, steps=1, batch=1, lr=1e-2)
        for organs in (("connector",), ("connector", "language_model"))
    )
    for plan in (align, instruct):
        dress(trainee, plan, hardware, {}, seed=0, device=torch.device("cpu"))
        for organ in ("vision_tower", "connector", "language_model"):
            learns = organ in plan.trainable
            wanted = torch.float32 if learns else torch.bfloat16
            assert {p.dtype for p in trainee.organ(organ)} == {wanted}  # type: ignore[arg-type]
            assert all(p.requires_grad is learns for p in trainee.organ(organ))  # type: ignore[arg-type]
    assert trainee.llava.language_model.checkpoint_activations


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
    [batch] = TokenCollator(llava.encoder, 1024)(rows)
    assert isinstance(batch, TokenBatch)
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


@pytest.mark.skipif(shutil.which("git") is None, reason="needs git")
def test_a_trained_model_says_what_commit_of_the_code_trained_it(tmp_path: Path) -> None:
    def git(*words: str) -> str:
        who = ("-c", "user.name=A", "-c", "user.email=a@b")
        told = subprocess.run(
            ("git", "-C", tmp_path, *who, *words), capture_output=True, text=True, check=True
        )
        return told.stdout.strip()

    assert commit(tmp_path) == {}
    git("init")
    assert commit(tmp_path) == {}  # nothing in it yet
    (tmp_path / "a.py").write_text("1")
    git("add", "a.py")
    git("commit", "-m", "First")
    assert commit(tmp_path) == {"commit": git("rev-parse", "--short=12", "HEAD")}
    (tmp_path / "a.py").write_text("2")
    assert commit(tmp_path) == {"commit": git("rev-parse", "--short=12", "HEAD") + "-dirty"}


def test_what_opens_a_turn_becomes_one_token_that_no_words_can_spell(trained: Path) -> None:
    checkpoint = load(trained / "model")
    tokenizer = checkpoint.tokenizer
    marks = [tokenizer.special["USER:"], tokenizer.special["ASSISTANT:"]]
    encoder = PromptEncoder(tokenizer, get_template("vicuna_v1"), 16, checkpoint.image)
    typed = encoder.encode([user("USER: ASSISTANT:")])
    assert [i for i in typed.ids if i in marks] == marks
    plain = encoder.encode([user("Is it red?"), assistant("No."), user("Blue?")])
    assert plain.ids == tokenizer.encode(plain.text)


def test_a_stage_may_see_its_pictures_cut_to_a_square_and_leave_a_model_that_pads(trained: Path) -> None:
    checkpoint = load(trained / "model")
    checkpoint.image = ImageConfig(size=32, pad=True)
    recipe = Recipe.parse_toml(small.MIXED, "small", {"stages.0.pad": "false"})
    trainee = Trainee(checkpoint.model, None, 16)
    seen = []
    for stage in recipe.stages:
        task = task_of(
            stage, recipe, checkpoint, trainee, small.Plates("mixed"),
            seed=0, first=0, world=World(), on_encoding=lambda _: None,
        )  # fmt: skip
        assert isinstance(task.collate, TokenCollator)
        seen.append(task.collate.encoder.image_config.pad)
    assert seen == [False, True] and checkpoint.image.pad


@pytest.mark.parametrize("steps", [100, 37])
def test_the_learning_rate_is_that_of_transformers_trainer_at_every_step(steps: int) -> None:
    parameter = torch.nn.Parameter(torch.zeros(1))
    theirs = torch.optim.SGD([parameter], lr=1.0)
    schedule = transformers.get_cosine_schedule_with_warmup(theirs, math.ceil(0.03 * steps), steps)
    for step in range(steps):
        assert cosine(step, steps, 0.03) == pytest.approx(schedule.get_last_lr()[0], abs=1e-12)
        theirs.step()
        schedule.step()


def test_another_connector_than_that_of_init_is_refused(tmp_path: Path) -> None:
    stage = {"name": "s", "data": "captions", "trainable": ["connector"], "steps": 1, "batch": 1, "lr": 1.0}
    recipe = Recipe.parse({"name": "n", "init": "tiny", "connector": "linear", "stages": [stage]}, "n")
    with pytest.raises(UsageError, match="says connector = 'linear', but tiny has 'mlp2x_gelu'"):
        train(recipe, tmp_path, lambda _: small.Plates("captions"), small.words)
