"""Recipes are read strictly: what is not understood is refused, with the nearest name."""

from pathlib import Path

import pytest

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


def test_the_embedded_model_is_made_by_llavas_two_stages_on_a_frozen_tower() -> None:
    stages = {stage.name: stage for stage in Recipe.load(RECIPES[0].parent / "tiny.toml").stages}
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
