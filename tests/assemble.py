"""A small LLaVA with random weights and a tokenizer of bytes, put together in a moment.

What it says means nothing, but it says it in printable ASCII, so that its words become the same
tokens again when they return as a conversation's history.
"""

import string
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from tokenizers import Tokenizer as Backend
from tokenizers import decoders, models, pre_tokenizers, processors

from llavakit.checkpoint import Checkpoint, save
from llavakit.checkpoint.folder import as_source
from llavakit.checkpoint.packed import quantised
from llavakit.checkpoint.weights import load_into
from llavakit.config import ImageConfig, LanguageConfig, LlavaConfig, Quantization, VisionConfig
from llavakit.engine import Engine
from llavakit.engine.backends.torch_backend import TorchBackend
from llavakit.llava import LLaVA
from llavakit.model import Llava
from llavakit.prompt.tokenizer import Tokenizer

SIZE, PATCHES = 32, 16


def byte_tokenizer() -> Tokenizer:
    """One token a byte (0 to 255), then `<s>`, `</s>`, `<pad>`, `<image>`."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    backend = Backend(models.BPE(vocab={letter: i for i, letter in enumerate(alphabet)}, merges=[]))
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    backend.decoder = decoders.ByteLevel()
    backend.add_special_tokens(["<s>", "</s>", "<pad>", "<image>"])
    backend.post_processor = processors.TemplateProcessing(
        single="<s> $A", special_tokens=[("<s>", backend.token_to_id("<s>"))]
    )
    return Tokenizer(backend, bos_token="<s>", eos_token="</s>", pad_token="<pad>", image_token="<image>")


def random_llava(template: str = "chatml", seed: int = 0, **language: Any) -> LLaVA:
    """`language` changes fields of the `LanguageConfig`."""
    tokenizer = byte_tokenizer()
    numbers: dict[str, Any] = {
        "vocab_size": tokenizer.vocab_size, "hidden_size": 32, "intermediate_size": 48,
        "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 8,
        "max_position_embeddings": 1024,
    }  # fmt: skip
    config = LlavaConfig(
        vision=VisionConfig(
            image_size=SIZE, patch_size=8, hidden_size=24, intermediate_size=40, num_hidden_layers=3,
            num_attention_heads=3,
        ),
        language=LanguageConfig(**(numbers | language)),
        image_token_id=tokenizer.image_token_id,
    )  # fmt: skip
    torch.manual_seed(seed)
    model = Llava(config).eval()
    say = torch.tensor(tokenizer.encode_plain(string.ascii_letters + string.digits, first=True).ids)
    with torch.no_grad():
        for weight in model.parameters():
            if weight.ndim == 2:
                weight *= 2.5  # a livelier start than torch's, so that what was read decides what is said
        head = torch.zeros_like(model.language_model.lm_head.weight)
        head[say] = model.language_model.lm_head.weight[say]
        model.language_model.lm_head.weight.copy_(head)  # the likeliest of many is never a 0
    checkpoint = Checkpoint(
        model, tokenizer, ImageConfig(size=SIZE), template, eos_token_ids=(tokenizer.eos_id,)
    )
    return LLaVA(checkpoint, "random")


def saved(llava: LLaVA, folder: Path) -> Path:
    """The folder, with the model in it; it talks as Vicuna."""
    save(Checkpoint(llava.model, llava.tokenizer, llava.encoder.image_config, "vicuna_v1"), folder)
    return folder


def fresh_engine(llava: LLaVA, ends: Sequence[int] = (), model: Llava | None = None, **values: Any) -> Engine:
    """An engine of its own for a model, that of `llava` unless another is given; nothing is remembered."""
    return Engine(TorchBackend(model or llava.model, 4096), llava.encoder, ends, **values)


def packed(model: Llava, plan: Quantization) -> Llava:
    """The same model with its weights quantised."""
    checkpoint = Checkpoint(model, byte_tokenizer(), ImageConfig(size=SIZE), "chatml")
    source = quantised(as_source(checkpoint), plan)
    with torch.device("meta"):
        llava = Llava(source.said.config)
    head = "language_model.lm_head.weight"
    tied = {head: "language_model.embed_tokens.weight"} if model.config.language.tie_word_embeddings else {}
    load_into(llava, source.tensors, torch.float32, torch.device("cpu"), "random", tied)
    llava.language_model.reset_buffers()
    return llava.eval()


def picture(seed: int = 0) -> Image.Image:
    """Coloured noise, 40 x 30."""
    noise = np.random.default_rng(seed).integers(0, 256, (30, 40, 3), dtype=np.uint8)
    return Image.fromarray(noise)
