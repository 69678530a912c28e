"""A LLaVA from its parts, as the papers begin: a vision tower and a language model that are trained already,
and a connector that is new.

The tokenizer gets the token `<image>` (and LLaVA v1's markers where they are wanted) behind its words, and
the language model's tables are made longer by that, to a multiple of 64, as llava-hf's folders have them:
what is trained from here loads in every reader of that layout.
"""

from pathlib import Path

import torch
from torch import Tensor

from llavakit.checkpoint import hf_config
from llavakit.checkpoint.folder import HEAD, WORDS
from llavakit.checkpoint.json_file import read_json
from llavakit.checkpoint.locate import locate
from llavakit.checkpoint.original import ends_of, own_weights
from llavakit.checkpoint.source import Description, Own, Source
from llavakit.checkpoint.tensors import Held, Joined, Tensors, Widened
from llavakit.checkpoint.tower import read_tower
from llavakit.config import ImageConfig, LanguageConfig, LlavaConfig, Strict, VisionConfig
from llavakit.errors import CheckpointError, UsageError
from llavakit.model import Llava
from llavakit.model.connectors import CONNECTORS
from llavakit.model.shapes import shapes_only
from llavakit.prompt.tokenizer import Tokenizer

MARKERS = ("<im_start>", "<im_end>")
_ADDED = 128  # rows
_ROWS = 64  # tables are a multiple of it: llava-hf's, and what tensor cores like


def table_rows(vocab_size: int, tokens: int) -> int:
    """Rows of the word tables for so many tokens; a table with room to spare stays as it is."""
    return vocab_size if tokens <= vocab_size else -(-tokens // _ROWS) * _ROWS


def compose(
    vision_tower: str | Path,
    language_model: str | Path,
    *,
    template: str,
    connector: str = "mlp2x_gelu",
    feature_layer: int = -2,
    vision: VisionConfig | None = None,
    language: LanguageConfig | None = None,
    image: ImageConfig | None = None,
    image_markers: bool = False,
    seed: int = 0,
) -> Source:
    """Join a vision tower and a language model by a connector with random weights.

    The connector begins as torch's linear layers do, which is how the official code begins; new rows of
    the word tables are the mean of the old ones (as there: Hewitt 2021 has the reason).

    Args:
        vision_tower: folder or hub name of a CLIP or a SigLIP
        language_model: folder or hub name, its tokenizer with it
        vision, language, image: what the caller takes their numbers to be; `image.pad` is the caller's choice
        seed: of the connector

    Raises:
        UsageError: something named does not exist, or has other numbers than it is said to have.
        CheckpointError: a folder is incomplete, damaged, or of a kind that llavakit has no code for.
    """
    tower = read_tower(locate(vision_tower))
    folder = locate(language_model)
    where = str(folder / "config.json")
    hf = read_json(folder / "config.json")
    if "model_type" not in hf or "vision_config" in hf:
        raise CheckpointError(f"{where} is not that of a plain language model: a whole LLaVA goes into init")
    tokenizer = Tokenizer.load(folder, also=MARKERS if image_markers else ())
    siglip = tower.vision["model_type"] == "siglip_vision_model"
    config = hf_config.from_hf(
        {
            "model_type": "llava",
            "text_config": hf,
            "vision_config": tower.vision,
            "image_token_index": tokenizer.image_token_id,
            "vision_feature_layer": feature_layer,
            "vision_feature_select_strategy": "full" if siglip else "default",
        },
        where,
        connector,
    )
    found = hf_config.image_from_hf(tower.processor, config.vision, tower.where)
    if vision is not None:
        check_numbers(vision, config.vision, "vision", tower.where)
    if language is not None:
        check_numbers(language, config.language, "language", where)
    if image is not None:
        found = found.model_copy(update={"pad": image.pad})
        check_numbers(image, found, "image", tower.where)
    old = config.language.vocab_size
    rows = table_rows(old, tokenizer.vocab_size)
    wide = config.language.model_copy(update={"vocab_size": rows})
    config = LlavaConfig.parse(config.model_dump() | {"language": wide.model_dump()}, where)
    with shapes_only():
        Llava(config)  # refuses parts that do not fit together
    made_of = {"vision_tower": str(vision_tower), "language_model": str(language_model)}
    said = Description(
        folder,
        config,
        found,
        Own(template=template, image_markers=image_markers, connector=connector, provenance=made_of),
        template,
        ends_of(folder),
    )
    language_weights = Grown(own_weights(folder), (WORDS, HEAD), rows)
    # The first tensor's type is the model's: the language model's, not the tower's.
    return Source(said, tokenizer, Joined(_connector(config, seed), tower.tensors(), language_weights))


def _connector(config: LlavaConfig, seed: int) -> Tensors:
    with torch.random.fork_rng(devices=()):
        torch.manual_seed(seed)
        module = CONNECTORS[config.connector](
            config.vision.hidden_size,
            config.language.hidden_size,
            config.connector_act,
            config.connector_bias,
        )
    return Held({f"connector.{name}": weight for name, weight in module.state_dict().items()})


def check_numbers(said: Strict, found: Strict, section: str, where: str) -> None:
    """A LLaVA's table of words may have more rows than its language model's, for the tokens it adds.

    Raises:
        UsageError: the files have other numbers than `section` of a recipe says; names the first field.
    """
    theirs = found.model_dump()
    for field, value in said.model_dump().items():
        if field == "vocab_size" and value <= theirs[field] <= value + _ADDED:
            continue
        if theirs[field] != value:
            raise UsageError(
                f"[{section}] says {field} = {value!r}, but {where} has {theirs[field]!r}: correct the recipe"
            )


class Grown(Widened):
    """`Widened`, with the mean of the rows that are there in each new one."""

    def below(self, stored: Tensor) -> Tensor:
        return stored.mean(dim=0, dtype=torch.float32)
