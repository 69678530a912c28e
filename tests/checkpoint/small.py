"""Model folders of a few hundred kilobytes, written by transformers or by us."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers
from PIL import Image
from tokenizers import Tokenizer as Backend
from tokenizers import models, pre_tokenizers, processors

from llavakit.checkpoint import Checkpoint
from llavakit.config import ImageConfig, LlavaConfig
from llavakit.model import Llava
from llavakit.prompt.tokenizer import Tokenizer
from model.reference import IMAGE, VOCAB, copy_weights, hf_llava, pictures, prompt


def backend() -> Backend:
    """A tokenizer of 97 words; the last one is the image token, as the models of `reference` have it."""
    words = ["<pad>", "<s>", "</s>", "<unk>"]
    words += [f"w{i}" for i in range(IMAGE - len(words))]
    tokens = Backend(models.WordLevel({w: i for i, w in enumerate([*words, "<image>"])}, unk_token="<unk>"))
    tokens.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokens.add_special_tokens(["<pad>", "<s>", "</s>", "<image>"])
    tokens.post_processor = processors.TemplateProcessing(
        single="<s> $A", pair="<s> $A $B", special_tokens=[("<s>", 1)]
    )
    assert tokens.get_vocab_size() == VOCAB
    return tokens


def image_config(config: LlavaConfig) -> ImageConfig:
    if config.vision.kind == "siglip":
        half = (0.5, 0.5, 0.5)
        return ImageConfig(size=config.vision.image_size, resize="exact", mean=half, std=half)
    return ImageConfig(size=config.vision.image_size)


def checkpoint(text: str = "llama", vision: str = "clip", **overrides: Any) -> Checkpoint:
    """One of ours, with the random weights of `hf_llava`."""
    hf_model, config = hf_llava(text, vision, **overrides)
    model = Llava(config).eval()
    copy_weights(hf_model, model)
    return wrap(model)


def wrap(model: Llava, **values: Any) -> Checkpoint:
    tokenizer = Tokenizer(
        backend(), bos_token="<s>", eos_token="</s>", pad_token="<pad>", image_token="<image>"
    )
    given = {"template": "vicuna_v1", "image": image_config(model.config), "eos_token_ids": (2,)} | values
    return Checkpoint(model=model, tokenizer=tokenizer, **given)


def hf_folder(
    folder: Path, text: str = "llama", vision: str = "clip", *, shard: str = "5GB", **overrides: Any
) -> Any:
    """A folder all of whose files transformers wrote; returns its model."""
    hf_model, config = hf_llava(text, vision, **overrides)
    hf_model.save_pretrained(folder, max_shard_size=shard)
    tokenizer = transformers.PreTrainedTokenizerFast(
        tokenizer_object=backend(), bos_token="<s>", eos_token="</s>", pad_token="<pad>",
        extra_special_tokens={"image_token": "<image>"},
    )  # fmt: skip
    size = config.vision.image_size
    if vision == "clip":
        images = transformers.CLIPImageProcessorPil(size={"shortest_edge": size}, crop_size=size)
    else:
        images = transformers.SiglipImageProcessorPil(size={"height": size, "width": size})
    transformers.LlavaProcessor(
        images, tokenizer, patch_size=config.vision.patch_size,
        vision_feature_select_strategy="default" if vision == "clip" else "full",
        num_additional_image_tokens=int(vision == "clip"),
    ).save_pretrained(folder)  # fmt: skip
    return hf_model


def question(config: LlavaConfig) -> tuple[torch.Tensor, torch.Tensor]:
    """Ids (1, token) with one picture among words, and its pixels (1, 3, size, size)."""
    return prompt(config, "tttittttt")[None], pictures(config, 1)


def photo(width: int = 61, height: int = 37) -> Image.Image:
    noise = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return Image.fromarray(noise)


def edit_json(path: Path, **changes: Any) -> None:
    """Set keys of a JSON file; `...` removes one."""
    values = json.loads(path.read_text()) if path.exists() else {}
    values = {k: v for k, v in (values | changes).items() if v is not ...}
    path.write_text(json.dumps(values))
