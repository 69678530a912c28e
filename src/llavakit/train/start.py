"""The model before the first stage: drawn at random, put together from trained parts, or one that exists."""

from collections.abc import Callable, Sequence
from pathlib import Path

import torch

from llavakit.checkpoint import Checkpoint, build, compose, load
from llavakit.checkpoint.compose import check_numbers
from llavakit.config import LlavaConfig, TextTowerConfig
from llavakit.errors import UsageError
from llavakit.prompt.messages import assistant, user
from llavakit.prompt.templates import get_template
from llavakit.prompt.tokenizer import Tokenizer
from llavakit.train.distributed import World
from llavakit.train.organs import Trainee, initialise
from llavakit.train.recipe import Recipe
from llavakit.train.tokenizer import learn_tokenizer

# How a dataset's name gives texts to learn a tokenizer from.
OpenTexts = Callable[[str, int], Sequence[str]]


def start(recipe: Recipe, out: Path, open_texts: OpenTexts, world: World) -> tuple[Checkpoint, Trainee]:
    """The same whenever and wherever it is called: on the CPU, in float32.

    Raises:
        UsageError: what the recipe names does not exist, or has other numbers than it says.
        CheckpointError: a model it begins from is incomplete or damaged.
    """
    torch.manual_seed(recipe.seed)  # of a text tower
    if recipe.init is not None:
        checkpoint = _existing(recipe, recipe.init)
    elif recipe.composed:
        checkpoint = _composed(recipe)
    else:
        checkpoint = _random(recipe, out, open_texts, world)
    tower = _text_tower(recipe, checkpoint.tokenizer)
    return checkpoint, Trainee(checkpoint.model, tower, recipe.projection_dim)


def _existing(recipe: Recipe, init: str) -> Checkpoint:
    checkpoint = load(init, dtype=torch.float32, template=recipe.template)
    config = checkpoint.model.config
    if recipe.vision is not None and recipe.language is not None:
        check_numbers(recipe.vision.numbers, config.vision, "vision", init)
        check_numbers(recipe.language.numbers, config.language, "language", init)
    if "connector" in recipe.model_fields_set and recipe.connector != config.connector:
        raise UsageError(
            f"the recipe says connector = {recipe.connector!r}, but {init} has {config.connector!r}: "
            "correct the recipe"
        )
    return checkpoint


def _composed(recipe: Recipe) -> Checkpoint:
    assert recipe.vision and recipe.vision.weights and recipe.language and recipe.language.weights
    source = compose(
        recipe.vision.weights,
        recipe.language.weights,
        template=recipe.template,
        connector=recipe.connector,
        feature_layer=-2 if recipe.feature_layer is None else recipe.feature_layer,
        vision=recipe.vision.numbers,
        language=recipe.language.numbers,
        image=recipe.image,
        image_markers=recipe.image_markers,
        seed=recipe.seed,
    )
    return build(source, dtype=torch.float32)


def _random(recipe: Recipe, out: Path, open_texts: OpenTexts, world: World) -> Checkpoint:
    assert recipe.image and recipe.vision and recipe.language  # the recipe was validated
    folder = out / "tokenizer"
    if world.first and not (folder / "tokenizer.json").is_file():
        _learn_tokenizer(recipe, open_texts).save(folder)
    world.gather(None)  # it is there
    tokenizer = Tokenizer.load(folder)
    config = LlavaConfig(
        vision=recipe.vision.numbers,
        language=recipe.language.numbers.model_copy(update={"vocab_size": tokenizer.vocab_size}),
        connector=recipe.connector,
        feature_layer=-2 if recipe.feature_layer is None else recipe.feature_layer,
        image_token_id=tokenizer.image_token_id,
    )
    return Checkpoint(
        model=initialise(config, recipe.seed),
        tokenizer=tokenizer,
        image=recipe.image,
        template=recipe.template,
        eos_token_ids=(tokenizer.eos_id,),
    )


def _learn_tokenizer(recipe: Recipe, open_texts: OpenTexts) -> Tokenizer:
    assert recipe.tokenizer  # the recipe was validated
    around = get_template(recipe.template).spans((user("."), assistant(".")), reply=False)
    given = [span for span in around if not span.trainable]
    # Letter by letter they would take a quarter of a conversation of short questions and answers.
    marks = dict.fromkeys(mark for span in given if not span.literal and (mark := span.text.strip()))
    wording = "".join(span.text for span in given if span.literal)
    plan = recipe.tokenizer
    return learn_tokenizer([*open_texts(plan.data, plan.samples), wording], plan.vocab_size, [*marks])


def _text_tower(recipe: Recipe, tokenizer: Tokenizer) -> TextTowerConfig | None:
    if recipe.text_tower is None:
        return None
    numbers = {"vocab_size": tokenizer.vocab_size, "eos_token_id": tokenizer.eos_id}
    return recipe.text_tower.model_copy(update=numbers)
