"""Recipes are read strictly: what is not understood is refused, with the nearest name."""

from functools import reduce
from pathlib import Path
from typing import Any

import pytest
import torch

from llavakit.errors import UsageError
from llavakit.model.connectors import CONNECTORS
from llavakit.prompt.templates import TEMPLATES
from llavakit.train import Recipe
from train import small

RECIPES = sorted((Path(__file__).parents[2] / "recipes").glob("*.toml"))


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_every_recipe_is_valid_and_names_things_that_exist(path: Path) -> None:
    recipe = Recipe.load(path)
    assert recipe.name == path.stem
    assert recipe.template in TEMPLATES
    assert recipe.connector in CONNECTORS
    assert all(stage.template is None or stage.template in TEMPLATES for stage in recipe.stages)
    assert recipe.name == "tiny" or all(s.rows and s.words for stage in recipe.stages for s in stage.sources)


CLIP, CLIP_336 = "openai/clip-vit-large-patch14", "openai/clip-vit-large-patch14-336"
PAPER = "arXiv:2304.08485"
PAPER_C = f"{PAPER}, appendix C"
LEGACY = "README of the official repository before v1.0.1, Code and Hyperparameters"
README = "README of the official repository, v1.1.3: Hyperparameters"
PRETRAIN, FINETUNE = "scripts/v1_5/pretrain.sh", "scripts/v1_5/finetune.sh"
LORA, QLORA, TRAIN = "scripts/v1_5/finetune_lora.sh", "scripts/finetune_qlora.sh", "llava/train/train.py"
SQA, V1_PRETRAIN = "scripts/finetune_sqa.sh", "scripts/pretrain.sh"
MED = "README of microsoft/LLaVA-Med, LLaVA-Med Training"
TASK = "scripts/v1_5/finetune_task_lora.sh"

# Place in the recipe, its value, and who says so. Stage 0 aligns, stage 1 is tuned on instructions.
V1_5_ALIGN: list[tuple[str, Any, str]] = [
    ("connector", "mlp2x_gelu", PRETRAIN),
    ("feature_layer", -2, PRETRAIN),
    ("image_markers", False, PRETRAIN),
    ("vision.weights", CLIP_336, PRETRAIN),
    ("vision.image_size", 336, CLIP_336),
    ("image.pad", True, FINETUNE),
    ("template", "vicuna_v1", FINETUNE),
    ("stages.0.template", "plain", PRETRAIN),
    ("stages.0.pad", False, PRETRAIN),
    ("stages.0.trainable", ("connector",), PRETRAIN),
    ("stages.0.epochs", 1, README),
    ("stages.0.batch", 256, README),
    ("stages.0.lr", 1e-3, README),
    ("stages.0.warmup", 0.03, PRETRAIN),
    ("stages.0.weight_decay", 0, README),
    ("stages.0.max_length", 2048, README),
    ("stages.0.precision", "bfloat16", PRETRAIN),
    ("stages.0.optimiser", "adamw", TRAIN),
    ("hardware.checkpoint_activations", True, PRETRAIN),
]
V1_5_INSTRUCT: list[tuple[str, Any, str]] = [
    ("stages.1.epochs", 1, README),
    ("stages.1.batch", 128, README),
    ("stages.1.warmup", 0.03, FINETUNE),
    ("stages.1.weight_decay", 0, README),
    ("stages.1.max_length", 2048, README),
    ("stages.1.group_by", "modality_length", FINETUNE),
    ("stages.1.precision", "bfloat16", FINETUNE),
    ("stages.1.template", None, FINETUNE),
    ("stages.1.pad", None, FINETUNE),
]
V1_5_WHOLE: list[tuple[str, Any, str]] = [
    ("stages.1.lr", 2e-5, README),
    ("stages.1.trainable", ("connector", "language_model"), TRAIN),
    ("stages.1.lora", None, FINETUNE),
]
V1_5_LORA: list[tuple[str, Any, str]] = [
    ("stages.1.lr", 2e-4, LORA),
    ("stages.1.organ_lr", {"connector": 2e-5}, LORA),
    ("stages.1.trainable", ("connector",), TRAIN),
    ("stages.1.lora.rank", 128, LORA),
    ("stages.1.lora.alpha", 256, LORA),
    ("stages.1.lora.dropout", 0.05, TRAIN),
    ("stages.1.lora.rank_stabilised", False, TRAIN),
    ("stages.1.lora.targets", ("language_model",), TRAIN),
]
V1: list[tuple[str, Any, str]] = [
    ("connector", "linear", f"{PAPER}, section 4.1"),
    ("feature_layer", -2, LEGACY),
    ("image_markers", True, LEGACY),
    ("vision.weights", CLIP, f"{PAPER}, section 4.1"),
    ("vision.image_size", 224, CLIP),
    ("image.pad", False, TRAIN),
    ("stages.0.template", None, f"{PAPER}, section 4.2"),
    ("stages.0.trainable", ("connector",), f"{PAPER}, section 4.2"),
    ("stages.0.epochs", 1, PAPER_C),
    ("stages.0.batch", 128, PAPER_C),
    ("stages.0.lr", 2e-3, PAPER_C),
    ("stages.1.trainable", ("connector", "language_model"), f"{PAPER}, section 4.2"),
    ("stages.1.epochs", 3, PAPER_C),
    ("stages.1.batch", 32, PAPER_C),
    ("stages.1.lr", 2e-5, PAPER_C),
    *((f"stages.{i}.warmup", 0.03, PAPER_C) for i in (0, 1)),
    *((f"stages.{i}.weight_decay", 0, PAPER_C) for i in (0, 1)),
    *((f"stages.{i}.precision", "bfloat16", PAPER_C) for i in (0, 1)),
    *((f"stages.{i}.max_length", 2048, LEGACY) for i in (0, 1)),
]
SAID: dict[str, list[tuple[str, Any, str]]] = {
    "llava-v1.5-7b": [*V1_5_ALIGN, *V1_5_INSTRUCT, *V1_5_WHOLE,
                      ("language.weights", "lmsys/vicuna-7b-v1.5", README)],
    "llava-v1.5-13b": [*V1_5_ALIGN, *V1_5_INSTRUCT, *V1_5_WHOLE,
                       ("language.weights", "lmsys/vicuna-13b-v1.5", FINETUNE)],
    "llava-v1.5-lora": [*V1_5_ALIGN, *V1_5_INSTRUCT, *V1_5_LORA, ("stages.1.lora.quantize", None, LORA)],
    "llava-v1.5-qlora": [*V1_5_ALIGN, *V1_5_INSTRUCT, *V1_5_LORA,
                         ("stages.1.lora.quantize", "bnb-nf4", f"{QLORA} and {TRAIN}")],
    "llava-v1-7b": [*V1, ("language.weights", "lmsys/vicuna-7b-v1.1", "docs/MODEL_ZOO.md")],
    "llava-v1-13b": [*V1, ("language.weights", "lmsys/vicuna-13b-v1.1", "docs/MODEL_ZOO.md")],
    "scienceqa-12e": [
        ("connector", "linear", TRAIN),
        ("feature_layer", -2, SQA),
        ("image_markers", False, SQA),
        ("vision.weights", CLIP, SQA),
        ("language.weights", "lmsys/vicuna-13b-v1.3", SQA),
        ("template", "vicuna_v1", "scripts/sqa_eval_batch.sh"),
        ("stages.0.template", "plain", V1_PRETRAIN),
        ("stages.0.epochs", 1, V1_PRETRAIN),
        ("stages.0.batch", 128, V1_PRETRAIN),
        ("stages.0.lr", 2e-3, V1_PRETRAIN),
        ("stages.1.trainable", ("connector", "language_model"), SQA),
        ("stages.1.epochs", 12, f"{SQA}; {PAPER}, section 5.2"),
        ("stages.1.batch", 128, SQA),
        ("stages.1.lr", 2e-5, SQA),
        *((f"stages.{i}.warmup", 0.03, SQA) for i in (0, 1)),
        *((f"stages.{i}.weight_decay", 0, SQA) for i in (0, 1)),
        *((f"stages.{i}.max_length", 2048, SQA) for i in (0, 1)),
    ],
    "llava-med": [
        ("init", "checkpoints/LLaVA-7b-v0", MED),
        ("stages.0.trainable", ("connector",), MED),
        ("stages.0.epochs", 1, MED),
        ("stages.0.batch", 128, MED),
        ("stages.0.lr", 2e-3, MED),
        ("stages.1.trainable", ("connector", "language_model"), MED),
        ("stages.1.epochs", 3, MED),
        ("stages.1.batch", 128, MED),
        ("stages.1.lr", 2e-5, MED),
        *((f"stages.{i}.warmup", 0.03, MED) for i in (0, 1)),
        *((f"stages.{i}.weight_decay", 0, MED) for i in (0, 1)),
        *((f"stages.{i}.max_length", 2048, MED) for i in (0, 1)),
    ],
    "finetune-yours": [
        ("stages.0.lr", 2e-4, TASK),
        ("stages.0.organ_lr", {"connector": 2e-5}, TASK),
        ("stages.0.trainable", ("connector",), TRAIN),
        ("stages.0.lora.targets", ("language_model",), TRAIN),
        ("stages.0.group_by", "modality_length", TASK),
        ("stages.0.max_length", 2048, TASK),
    ],
}  # fmt: skip


@pytest.mark.parametrize("name", SAID)
def test_recipes_have_the_values_that_papers_and_official_scripts_state(name: str) -> None:
    recipe = Recipe.load(RECIPES[0].parent / f"{name}.toml").model_dump()
    for place, value, source in SAID[name]:
        found = reduce(lambda at, key: at[int(key) if key.isdecimal() else key], place.split("."), recipe)
        assert found == value, f"{place} is {found!r}, but {source} says {value!r}"


def test_every_recipe_but_the_embedded_models_is_held_to_a_source() -> None:
    assert {path.stem for path in RECIPES} == {*SAID, "tiny"}


@pytest.mark.parametrize(("name", "hidden", "layers"), [("7b", 4096, 32), ("13b", 5120, 40)])
def test_the_language_models_are_llamas(name: str, hidden: int, layers: int) -> None:
    for version in ("v1", "v1.5"):
        language = Recipe.load(RECIPES[0].parent / f"llava-{version}-{name}.toml").language
        assert language is not None
        assert (language.hidden_size, language.num_hidden_layers) == (hidden, layers)
        assert language.head_dim * language.num_attention_heads == language.hidden_size


def test_the_embedded_model_is_made_by_llavas_two_stages_on_a_tower_that_rests() -> None:
    stages = {stage.name: stage for stage in Recipe.load(RECIPES[0].parent / "tiny.toml").stages}
    assert list(stages) == ["clip", "language", "align", "instruct"]
    assert stages["align"].trainable == ("connector",)
    assert set(stages["instruct"].trainable) == {"connector", "language_model"}


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        ("lr = 1e-3", "learing_rate = 1e-3", r"unknown field 'stages\.0\.learing_rate'"),
        ('name = "small"', 'nmae = "small"', "unknown field 'nmae' .did you mean 'name'"),
        ("steps = 4", "steps = -4", r"stages\.0\.steps: .*greater than 0"),
        ("steps = 4", "steps = 4\nepochs = 1", "either steps or epochs"),
        ('trainable = ["connector"]', 'trainable = ["conector"]', r"stages\.1\.trainable\.0: .*'connector'"),
        ('name = "align"', 'name = "clip"', "stage names repeat"),
        ("[image]\nsize = 32\n", "", "needs the sections image"),
        ("[image]", "[image", "not valid TOML"),
        ("num_attention_heads = 2", "num_attention_heads = 3", "not a multiple"),
    ],
)
def test_a_mistake_in_a_recipe_is_named(before: str, after: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        Recipe.parse_toml(small.RECIPE.replace(before, after, 1), "recipe small.toml")


WEIGHTS = """
name = "joined"
[vision]
weights = "some/clip"
[language]
weights = "some/vicuna"
[[stages]]
name = "align"
data = "rows.json"
trainable = ["connector"]
epochs = 1
batch = 4
lr = 1e-3
"""


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        ('weights = "some/vicuna"', "", "vision.weights needs the other"),
        ("[[stages]]", '[tokenizer]\ndata = "x"\n[[stages]]', "brings its own tokenizer"),
        ('name = "joined"', 'name = "joined"\ninit = "x/y"', r"remove vision\.weights, language\.weights"),
        ('name = "joined"', 'name = "j"\ninit = "x/y"\nimage_markers = true', "remove .*image_markers"),
        ('trainable = ["connector"]', "", "trainable names no organ, and there is no lora"),
        ("epochs = 1", "epochs = 1\norgan_lr = { language_model = 1e-5 }", "organ_lr names language_model"),
        ("epochs = 1", "epochs = 1\norgan_lr = { languages = 1e-5 }", r"organ_lr\.languages"),
        ('["connector"]', '["vision_tower"]\ncache_features = true', "needs a frozen vision tower"),
        (
            "epochs = 1",
            'epochs = 1\nlora.targets = ["vision_tower"]\ncache_features = true',
            "needs a frozen",
        ),
        ("epochs = 1", 'epochs = 1\nlora.targets = ["connector"]', "both name connector: choose one"),
        ("epochs = 1", 'epochs = 1\nlora.targets = ["text_tower"]', "the text tower is no part"),
        ("epochs = 1", 'epochs = 1\nlora = {}\nobjective = "contrastive"', "LoRA is for next_token"),
        ("epochs = 1", "epochs = 1\nlora.rnak = 8", "did you mean 'rank'"),
        ("epochs = 1", 'epochs = 1\nlora.quantize = "int4"', "'bnb-nf4' or 'bnb-int8'"),
        ("epochs = 1", "epochs = 1\nmax_length = 5000", "more than the language model's context, 4096"),
        ('data = "rows.json"', "data = []", "data is an empty list"),
        ('data = "rows.json"', 'data = [{ path = "a" }]\nimages = "b"', "images belongs into each part"),
    ],
)
def test_what_makes_no_sense_together_is_refused(before: str, after: str, message: str) -> None:
    Recipe.parse_toml(WEIGHTS, "joined")
    assert before in WEIGHTS
    with pytest.raises(UsageError, match=message):
        Recipe.parse_toml(WEIGHTS.replace(before, after, 1), "joined")


def test_a_quantised_base_is_for_the_last_stage() -> None:
    again = WEIGHTS[WEIGHTS.index("[[stages]]") :].replace("align", "again")
    packed = WEIGHTS.replace("epochs = 1", 'epochs = 1\nlora.quantize = "bnb-nf4"')
    Recipe.parse_toml(packed, "joined")
    with pytest.raises(UsageError, match=r"'align': lora\.quantize is for the last stage"):
        Recipe.parse_toml(packed + again, "joined")


def test_beside_init_the_numbers_may_be_stated_but_nothing_else_of_the_model() -> None:
    stages = WEIGHTS[WEIGHTS.index("[[stages]]") :]
    recipe = Recipe.parse_toml('name = "n"\ninit = "x/y"\n[vision]\n[language]\n' + stages, "n")
    assert not recipe.composed and not recipe.from_scratch
    with pytest.raises(UsageError, match="both or neither"):
        Recipe.parse_toml('name = "n"\ninit = "x/y"\n[vision]\n' + stages, "n")
    with pytest.raises(UsageError, match="remove image, feature_layer"):
        Recipe.parse_toml('name = "n"\ninit = "x/y"\nfeature_layer = -2\n[image]\n' + stages, "n")


def test_the_message_opens_with_the_file() -> None:
    with pytest.raises(UsageError, match=r"^recipe missing\.toml: No such file"):
        Recipe.load("missing.toml")


def test_values_are_overridden_by_their_path() -> None:
    changes = {"stages.1.lr": "5e-4", "connector": "linear", "seed": "9", "stages.0.betas": "[0.8, 0.9]"}
    recipe = Recipe.parse_toml(small.RECIPE, "small", changes)
    assert recipe.stages[1].lr == 5e-4
    assert recipe.connector == "linear"
    assert recipe.seed == 9
    assert recipe.stages[0].betas == (0.8, 0.9)


@pytest.mark.parametrize("path", ["stages.9.lr", "stages.first.lr", "name.x.y"])
def test_an_override_of_a_place_that_does_not_exist_is_refused(path: str) -> None:
    with pytest.raises(UsageError, match="no such place"):
        Recipe.parse_toml(small.RECIPE, "small", {path: "1"})


def test_a_mistake_in_a_stage_is_said_once_and_in_our_words() -> None:
    with pytest.raises(UsageError) as caught:
        Recipe.parse_toml(small.MIXED, "small", {"stages.0.epochs": "1", "stages.1.lr": "0"})
    assert str(caught.value) == (
        "small: stages.0: stage 'align': give either steps or epochs; "
        "stages.1.lr: Input should be greater than 0"
    )
    with pytest.raises(UsageError, match=r"stages: .*at least 1"):
        Recipe.parse_toml(small.MIXED, "small", {"stages": "[]"})


PLACES = torch.device("cpu"), torch.device("cuda")


def precisions(recipe: Recipe, place: torch.device) -> list[str]:
    return [stage.precision for stage in recipe.on(place).stages]


def test_a_cpu_without_bfloat16_computes_in_float32(monkeypatch: pytest.MonkeyPatch) -> None:
    recipe = Recipe.parse_toml(small.RECIPE, "small")
    monkeypatch.setattr("llavakit.train.recipe.multiplies_bf16", lambda place: place.type != "cpu")
    assert [precisions(recipe, place) for place in PLACES] == [["float32"] * 3, ["bfloat16"] * 3]
    monkeypatch.setattr("llavakit.train.recipe.multiplies_bf16", lambda _: True)
    assert [precisions(recipe, place) for place in PLACES] == [["bfloat16"] * 3] * 2


def test_organs_that_are_held_in_bfloat16_are_computed_with_in_it_anywhere(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    recipe = Recipe.parse_toml(small.RECIPE, "small", {"hardware.frozen": '"bfloat16"'})
    monkeypatch.setattr("llavakit.train.recipe.multiplies_bf16", lambda _: False)
    assert precisions(recipe, PLACES[0]) == ["bfloat16"] * 3
