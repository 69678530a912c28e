"""What a recipe takes, against what is published or can be counted on a small model."""

from dataclasses import replace
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
import torch
from rich.console import Console
from torch import Tensor

from llavakit.config import LanguageConfig, LlavaConfig, VisionConfig
from llavakit.errors import UsageError
from llavakit.train import Recipe
from llavakit.train.lora import add_lora
from llavakit.train.organs import Trainee, initialise
from llavakit.train.plan import Plan, _per_token, plan
from llavakit.train.recipe import LoRA, Stage
from train import small

RECIPES = Path(__file__).parents[2] / "recipes"


def planned(name: str, gpu: str = "A100-80", gpus: int = 8, **changes: str) -> Plan:
    dotted = {path.replace("__", "."): value for path, value in changes.items()}
    return plan(Recipe.load(RECIPES / f"{name}.toml", dotted), gpu, gpus)


def shown(found: Plan) -> str:
    console = Console(width=200, record=True, file=StringIO())
    console.print(found.render())
    return console.export_text()


@pytest.mark.parametrize("path", sorted(RECIPES.glob("*.toml")), ids=lambda path: path.stem)
def test_every_recipe_has_a_plan(path: Path) -> None:
    found = plan(Recipe.load(path), "H100", 8)
    assert found.fits
    assert all(stage.steps > 0 and stage.flops > 0 and stage.hours > 0 for stage in found.stages)
    assert "together" in shown(found)


def test_llava_1_5_has_the_parameters_that_are_published() -> None:
    # llava-hf/llava-1.5-7b-hf: 7.06 B; 13b: 13.35 B
    parameters = planned("llava-v1.5-7b").parameters
    assert sum(parameters.values()) == 7_063_427_072
    assert parameters["connector"] == 1024 * 4096 + 4096 + 4096 * 4096 + 4096
    assert sum(planned("llava-v1.5-13b").parameters.values()) == pytest.approx(13.35e9, rel=1e-3)


def test_steps_are_rows_over_the_batch_rounded_up() -> None:
    assert [stage.steps for stage in planned("llava-v1.5-7b").stages] == [2181, 5198]
    assert [stage.steps for stage in planned("llava-v1-7b").stages] == [4652, 14786]  # 3 epochs


@pytest.mark.parametrize(
    ("name", "hours"),
    [("llava-v1.5-7b", (3.5, 10)), ("llava-v1.5-13b", (5.5, 20)), ("llava-v1-13b", (4, 10))],
)
def test_hours_on_eight_a100s_are_about_those_that_the_authors_give(
    name: str, hours: tuple[float, float]
) -> None:
    """LLaVA-1.5's README; the first paper's appendix C ("within"). A factor of 2: their code is another."""
    for stage, told in zip(planned(name).stages, hours, strict=True):
        assert told / 2 < stage.hours < told * 2, stage.name


def test_what_learns_is_counted_by_organ_and_stage() -> None:
    align, instruct = planned("llava-v1.5-lora").stages
    learning = {size.organ: size.learning for size in align.organs if size.learning}
    assert learning == {"connector": 20_979_712}
    rank, hidden, inner = 128, 4096, 11008
    layer = 4 * 2 * hidden + 3 * (hidden + inner)
    assert next(s.learning for s in instruct.organs if s.organ == "language_model") == 32 * rank * layer


def test_what_does_not_fit_is_said_with_the_setting_that_changes_it() -> None:
    found = planned("llava-v1.5-lora", "3090", 1)
    assert [stage.fits for stage in found.stages] == [True, False]
    assert found.stages[1].remedy is not None and "hardware.micro_tokens = 2048" in found.stages[1].remedy
    assert planned("llava-v1.5-lora", "3090", 1, hardware__micro_tokens="2048").fits
    assert "does not fit: hardware.micro_tokens = 2048 would take it to" in shown(found)
    whole = planned("llava-v1.5-7b", "T4", 1).stages[1].remedy
    assert whole is not None and "of these GPUs" in whole and "[stages.lora]" in whole
    assert "[stages.lora]" in shown(planned("llava-v1.5-7b", "T4", 1))


def test_one_consumer_gpu_is_enough_for_your_own_data() -> None:
    assert planned("finetune-yours", "4090", 1).fits
    assert (
        planned("finetune-yours", "4090", 1, stages__0__lora__quantize="bnb-nf4").stages[0].memory.total
        < 0.7 * planned("finetune-yours", "4090", 1).stages[0].memory.total
    )


def test_each_setting_takes_from_what_it_is_about() -> None:
    recipe = Recipe.load(RECIPES / "llava-v1.5-7b.toml")

    def instruct(gpus: int = 8, **hardware: Any) -> Any:
        given = recipe.hardware.model_copy(update=hardware)
        return plan(recipe.model_copy(update={"hardware": given}), "H100", gpus).stages[1].memory

    base = instruct()
    assert instruct(16).optimiser == base.optimiser / 2
    assert instruct(checkpoint_activations=False).activations > 5 * base.activations
    assert instruct(micro_tokens=2048).activations < base.activations / 3
    assert instruct(frozen="float32").weights > base.weights


@pytest.mark.parametrize(
    ("gpu", "message"),
    [("a100", "may be A100-40 or A100-80"), ("h1000", "did you mean 'h100'"), ("abacus", "unknown GPU")],
)
def test_a_gpu_that_is_none_is_refused(gpu: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        planned("llava-v1.5-7b", gpu)


def test_a_processor_is_measured() -> None:
    found = planned("tiny", "cpu", 1)
    assert found.peak > 1e9 and found.memory > 1e9
    assert found.fits


def test_data_at_hand_is_counted_and_that_beats_the_recipe() -> None:
    class Rows:
        def __len__(self) -> int:
            return 1000

        def __getitem__(self, index: int) -> Any:
            raise AssertionError("no row is opened")

        def size(self, index: int) -> tuple[bool, int]:
            return index % 2 == 0, 128 * (index % 2 == 0) + 75

    recipe = Recipe.load(RECIPES / "llava-v1.5-7b.toml", {"stages.1.data": '[{path = "x", weight = 2.0}]'})
    found = plan(recipe, "H100", 8, lambda source: Rows() if source.path == "x" else None)
    assert found.stages[1].rows == 2000
    assert found.stages[1].tokens == pytest.approx(16 * 128 * (0.5 * 576 + 75 * 4 / 3), rel=0.01)
    assert any("blip_laion" in note for note in found.assumptions)
    assert not any(note.startswith("x") for note in found.assumptions)


def test_without_the_data_and_without_rows_the_plan_asks_for_them() -> None:
    with pytest.raises(UsageError, match=r"how many rows x has is not known.*rows = …"):
        planned("llava-v1.5-7b", stages__1__data='"x"')


def test_a_model_that_is_not_here_needs_its_numbers() -> None:
    text = (RECIPES / "finetune-yours.toml").read_text().replace("[vision]\n[language]\n", "")
    recipe = Recipe.parse_toml(text, "yours")
    with pytest.raises(UsageError, match=r"a plan uses no network: state its numbers in .*\[vision\]"):
        plan(recipe, "H100")
    here = plan(recipe.model_copy(update={"init": "tiny"}), "H100")
    assert sum(here.parameters.values()) == 12_331_776  # as docs/tiny.md has it


def test_a_recipe_from_scratch_is_counted_as_it_is_built() -> None:
    recipe = Recipe.parse_toml(small.RECIPE, "small")
    assert recipe.vision and recipe.language and recipe.text_tower and recipe.tokenizer
    words = recipe.tokenizer.vocab_size
    config = LlavaConfig(
        vision=recipe.vision.numbers,
        language=recipe.language.numbers.model_copy(update={"vocab_size": words}),
        image_token_id=3,
    )
    tower = recipe.text_tower.model_copy(update={"vocab_size": words})
    built = Trainee(initialise(config, 0), tower, recipe.projection_dim)
    found = plan(recipe, "cpu")
    assert sum(found.parameters.values()) == sum(p.numel() for p in built.parameters())
    assert [stage.steps for stage in found.stages] == [4, 4, 6]


@pytest.mark.parametrize("way", ["whole", "frozen", "lora"])
def test_activations_are_what_the_backward_pass_keeps(way: str) -> None:
    """Bytes that autograd saved in two more layers; the estimate is allowed a fifth more or less."""
    lora = LoRA(rank=8, alpha=8) if way == "lora" else None
    trainable = ("connector", "language_model") if way == "whole" else ("connector",)
    stage = Stage(name="s", data="d", trainable=trainable, steps=1, batch=1, lr=1e-3, lora=lora)
    tokens, hidden, inner = 1040, 128, 352  # of up to 1024 a CPU keeps the scores

    def saved(layers: int) -> int:
        config = LlavaConfig(
            vision=VisionConfig(image_size=28, hidden_size=32, intermediate_size=64, num_hidden_layers=2,
                                num_attention_heads=2),
            language=LanguageConfig(vocab_size=64, hidden_size=hidden, intermediate_size=inner,
                                    num_hidden_layers=layers, num_attention_heads=4, num_key_value_heads=4,
                                    head_dim=32),
            image_token_id=3,
        )  # fmt: skip
        trainee = Trainee(initialise(config, 0), None, 16)
        if lora is not None:
            add_lora(trainee, lora)
        trainee.freeze_all_but(stage.trainable)
        for parameter in trainee.parameters():
            if not parameter.requires_grad:
                parameter.data = parameter.data.bfloat16()
        own = {p.untyped_storage().data_ptr() for p in trainee.parameters()}
        kept: dict[int, Tensor] = {}

        def pack(tensor: Tensor) -> Tensor:
            if tensor.untyped_storage().data_ptr() not in own:
                kept[tensor.untyped_storage().data_ptr()] = tensor
            return tensor

        ids = torch.full((1, tokens), 5)
        ids[0, : config.tokens_per_image] = 3
        hooks = torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor)
        with torch.autocast("cpu", torch.bfloat16), hooks:
            _ = trainee.train().llava.hidden_states(ids, torch.randn(1, 3, 28, 28))
            return sum(tensor.untyped_storage().nbytes() for tensor in kept.values())

    copies = 2 * (4 * hidden**2 + 3 * hidden * inner) if way == "whole" else 0  # of the weights, in 16 bits
    found = ((saved(4) - saved(2)) / 2 - copies) / tokens
    told = _per_token("language_model", stage, hidden, inner, hidden)
    assert told == pytest.approx(found, rel=0.2)


def test_a_plan_is_a_plan_of_its_hardware() -> None:
    one, eight = planned("llava-v1-7b", gpus=1), planned("llava-v1-7b")
    assert one.hours == pytest.approx(8 * eight.hours)
    assert replace(eight, recipe="x").fits == eight.fits
