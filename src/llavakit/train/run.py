"""A whole recipe: build or load the model, run its stages, save what comes out."""

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch

import llavakit
from llavakit.checkpoint import Checkpoint, load, save
from llavakit.config import LlavaConfig
from llavakit.data.collate import ContrastiveCollator, TokenCollator
from llavakit.model.encoder import EncoderLayer
from llavakit.model.language.decoder import DecoderLayer
from llavakit.prompt.encode import PromptEncoder
from llavakit.prompt.messages import assistant, user
from llavakit.prompt.templates import get_template
from llavakit.prompt.tokenizer import Tokenizer
from llavakit.train.loop import Collate, Examples, Hook, Loss, run_stage
from llavakit.train.objectives import contrastive_loss, next_token_loss
from llavakit.train.organs import Trainee, initialise
from llavakit.train.recipe import Recipe, Stage
from llavakit.train.state import State
from llavakit.train.tokenizer import learn_tokenizer

# How a stage's `data` (a file, or a name such as tiny/instruct) becomes a dataset.
OpenData = Callable[[str, str | None], Examples]
# How a dataset's name gives texts to learn a tokenizer from.
OpenTexts = Callable[[str, int], Sequence[str]]


def train(
    recipe: Recipe,
    out: Path,
    open_data: OpenData,
    open_texts: OpenTexts,
    *,
    device: torch.device | str = "cpu",
    hooks: Sequence[Hook] = (),
    save_every: int = 500,
    compiled: bool = False,
) -> Checkpoint:
    """Run every stage of `recipe`; the model lands in `out/model`.

    Killed at any moment, the same call goes on from the last saved step. `compiled` has torch fuse the
    transformers' layers: a minute's wait (and a C++ compiler, on a CPU) for steps 1.5 times as fast.
    """
    device = torch.device(device)
    out.mkdir(parents=True, exist_ok=True)
    fingerprint = hashlib.sha256(recipe.model_dump_json().encode()).hexdigest()
    checkpoint = _start(recipe, out, open_texts)
    trainee = Trainee(checkpoint.model, _text_tower(recipe, checkpoint.tokenizer), recipe.projection_dim)
    state = State(out / "state.pt", trainee, fingerprint)
    trainee.to(device)
    if compiled:
        for module in trainee.modules():
            if isinstance(module, EncoderLayer | DecoderLayer):
                module.compile(dynamic=True)
    names = [stage.name for stage in recipe.stages]
    first = names.index(state.stage) if state.stage else 0
    for index, stage in enumerate(recipe.stages[first:], start=first):
        collate, loss = _objective(stage, recipe, checkpoint, trainee)
        run_stage(
            stage,
            trainee,
            trainee.freeze_all_but(stage.trainable),
            loss,
            open_data(stage.data, stage.images),
            collate,
            seed=recipe.seed + 1000 * index,
            device=device,
            state=state,
            hooks=hooks,
            save_every=save_every,
        )
    checkpoint.provenance = {
        "recipe": recipe.model_dump(mode="json", exclude_none=True),
        "llavakit": llavakit.__version__,
        "torch": torch.__version__,
        "device": str(device),
        "hours": round(state.seconds / 3600, 2),
    }
    save(checkpoint, out / "model", dtype=torch.bfloat16, clip=trainee.clip)
    return checkpoint


def _start(recipe: Recipe, out: Path, open_texts: OpenTexts) -> Checkpoint:
    """The model before the first stage."""
    if recipe.init is not None:
        checkpoint = load(recipe.init, dtype=torch.float32, template=recipe.template)
        checkpoint.model.requires_grad_(True)
        return checkpoint
    assert recipe.tokenizer and recipe.image and recipe.vision and recipe.language  # the recipe was validated
    folder = out / "tokenizer"
    if not (folder / "tokenizer.json").is_file():
        plan = recipe.tokenizer
        around = get_template(recipe.template).spans((user("."), assistant(".")), reply=False)
        wording = "".join(span.text for span in around if not span.trainable)
        learn_tokenizer([*open_texts(plan.data, plan.samples), wording], plan.vocab_size).save(folder)
    tokenizer = Tokenizer.load(folder)
    config = LlavaConfig(
        vision=recipe.vision,
        language=recipe.language.model_copy(update={"vocab_size": tokenizer.vocab_size}),
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


def _text_tower(recipe: Recipe, tokenizer: Tokenizer) -> Any:
    if recipe.text_tower is None:
        return None
    numbers = {"vocab_size": tokenizer.vocab_size, "eos_token_id": tokenizer.eos_id}
    return recipe.text_tower.model_copy(update=numbers)


def _objective(
    stage: Stage, recipe: Recipe, checkpoint: Checkpoint, trainee: Trainee
) -> tuple[Collate, Loss]:
    vision = checkpoint.model.config.vision
    if stage.objective == "contrastive":
        assert trainee.clip is not None and recipe.text_tower is not None  # the recipe was validated
        clip = trainee.clip
        longest = recipe.text_tower.max_position_embeddings
        grid = vision.image_size // vision.patch_size
        collator = ContrastiveCollator(checkpoint.tokenizer, checkpoint.image, grid, longest)
        return collator, lambda batch: contrastive_loss(clip, batch)
    encoder = PromptEncoder(
        checkpoint.tokenizer,
        get_template(stage.template or recipe.template),
        checkpoint.model.config.tokens_per_image,
        checkpoint.image,
        checkpoint.image_markers,
        checkpoint.model.config.tiling,
    )
    longest = checkpoint.model.config.language.max_position_embeddings
    return TokenCollator(encoder, longest), lambda batch: next_token_loss(checkpoint.model, batch)
