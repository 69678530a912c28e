"""A stage's task: what it reads, how that becomes batches, and what is minimised."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import chain
from typing import Any

from torch import Tensor

from llavakit.checkpoint import Checkpoint
from llavakit.config import ImageConfig
from llavakit.data.collate import TokenCollator
from llavakit.data.contrast import ContrastiveCollator
from llavakit.prompt.encode import PromptEncoder
from llavakit.prompt.templates import get_template
from llavakit.train.batches import Collate, Examples, order, steps_of
from llavakit.train.distributed import World
from llavakit.train.features import Encoding, cached
from llavakit.train.objectives import contrastive_loss, next_token_loss
from llavakit.train.organs import Trainee
from llavakit.train.recipe import Recipe, Stage

Loss = Callable[[Any], Tensor]  # of a batch, the sum over its terms


@dataclass(frozen=True)
class Task:
    """What `StageRun` is given to do."""

    examples: Examples
    collate: Collate
    loss: Loss


def task_of(
    stage: Stage,
    recipe: Recipe,
    checkpoint: Checkpoint,
    trainee: Trainee,
    examples: Examples,
    *,
    seed: int,
    first: int,
    world: World,
    on_encoding: Callable[[Encoding], None],
) -> Task:
    """The task of a stage whose steps from `first` on are to come.

    The features that it asks to be cached are computed here, where they are not in the cache yet.

    Raises:
        LlavaError: the data is empty, or features cannot be cached.
    """
    steps = steps_of(stage, len(examples))
    image = checkpoint.image
    if stage.pad is not None:
        image = image.model_copy(update={"pad": stage.pad})
    if stage.objective == "contrastive":
        return _contrastive(recipe, checkpoint, trainee, examples, image)
    config, hardware = checkpoint.model.config, recipe.hardware
    encoder = PromptEncoder(
        checkpoint.tokenizer,
        get_template(stage.template or recipe.template),
        config.tokens_per_image,
        image,
        checkpoint.image_markers,
        config.tiling,
    )
    longest = stage.max_length or config.language.context
    collate = TokenCollator(encoder, longest, hardware.pack, hardware.micro_tokens)
    if stage.cache_features:
        seen = cached(
            examples,
            chain.from_iterable(order(examples, stage, seed, first, steps)),
            checkpoint.model,
            encoder,
            half=stage.precision == "bfloat16",
            world=world,
            workers=hardware.workers,
            on_progress=on_encoding,
        )
        examples, collate = seen, replace(collate, feature_shape=seen.feature_shape)
    return Task(examples, collate, lambda batch: next_token_loss(checkpoint.model, batch))


def _contrastive(
    recipe: Recipe, checkpoint: Checkpoint, trainee: Trainee, examples: Examples, image: ImageConfig
) -> Task:
    clip, vision = trainee.clip, checkpoint.model.config.vision
    assert clip is not None and recipe.text_tower is not None  # the recipe was validated
    collate = ContrastiveCollator(
        checkpoint.tokenizer,
        image,
        vision.image_size // vision.patch_size,
        recipe.text_tower.max_position_embeddings,
        trainee.head.labels if trainee.head is not None else {},
    )
    return Task(examples, collate, lambda batch: contrastive_loss(clip, batch, trainee.head))
