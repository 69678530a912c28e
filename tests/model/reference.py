"""Small random LLaVAs built twice: by transformers, the oracle, and by our own configuration.

`hf_llava` gives the pair, `copy_weights` carries the oracle's weights into ours. It does not use our
checkpoint reader on purpose, so that the reader can be tested against it.
"""

import math
from typing import Any

import torch
import transformers
from torch import Tensor, nn

from llavakit import config as ours
from llavakit.model import Llava

VOCAB = 97
PAD, IMAGE = 0, VOCAB - 1

# Large enough that an eps left at its default shows in the logits.
EPS = 1e-2

TEXT_NUMBERS: dict[str, Any] = {
    "vocab_size": VOCAB, "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2,
    "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 8, "rms_norm_eps": EPS,
    "rope_theta": 700.0, "max_position_embeddings": 256,
}  # fmt: skip

TEXT_CLASSES: dict[str, Any] = {
    "llama": transformers.LlamaConfig,
    "mistral": transformers.MistralConfig,
    "qwen2": transformers.Qwen2Config,
    "qwen3": transformers.Qwen3Config,
}

# What sets each family apart, in the words of our LanguageConfig.
TEXT_TRAITS: dict[str, dict[str, Any]] = {
    "llama": {},
    "mistral": {"sliding_window": 7},  # shorter than any prompt of these tests
    "qwen2": {"qkv_bias": True},
    "qwen3": {"qk_norm": True, "head_dim": 16},  # heads x head_dim is not hidden_size
}

VISION_NUMBERS: dict[str, Any] = {
    "patch_size": 8, "hidden_size": 24, "intermediate_size": 40, "num_hidden_layers": 3,
    "num_attention_heads": 3, "layer_norm_eps": EPS,
}  # fmt: skip

VISION_CLASSES: dict[str, Any] = {
    "clip": transformers.CLIPVisionConfig,
    "siglip": transformers.SiglipVisionConfig,
}

VISION_TRAITS: dict[str, dict[str, Any]] = {
    "clip": {"image_size": 24, "hidden_act": "quick_gelu"},
    # 26 is no multiple of the patch, as SigLIP-so400m's 384 is none of 14: the rest is cut off.
    "siglip": {"image_size": 26, "hidden_act": "gelu_pytorch_tanh"},
}


def hf_llava(
    text: str = "llama", vision: str = "clip", *, tower: dict[str, Any] | None = None, seed: int = 0,
    **overrides: Any,
) -> tuple[transformers.LlavaForConditionalGeneration, ours.LlavaConfig]:  # fmt: skip
    """transformers' model in float32 with random weights, and our configuration of the same network.

    Args:
        text: a key of `TEXT_CLASSES`
        vision: a key of `VISION_CLASSES`
        tower: fields of our `VisionConfig` to change
        overrides: fields of our `LanguageConfig` or `LlavaConfig` to change
    """
    join = {name: overrides.pop(name) for name in list(overrides) if name in ours.LlavaConfig.model_fields}
    # transformers' "default" cuts off the first position, which is a patch where there is no class token.
    join.setdefault("feature_select", "patch" if vision == "clip" else "full")
    mine = ours.LlavaConfig(
        vision=ours.VisionConfig(kind=vision, **(VISION_NUMBERS | VISION_TRAITS[vision] | (tower or {}))),
        language=ours.LanguageConfig(**(TEXT_NUMBERS | TEXT_TRAITS[text] | overrides)),
        image_token_id=IMAGE,
        **join,
    )
    theirs = transformers.LlavaConfig(
        vision_config=VISION_CLASSES[vision](**mine.vision.model_dump(exclude={"kind"})),
        text_config=_text_config(text, mine.language),
        image_token_index=IMAGE,
        image_seq_length=mine.tokens_per_image,
        projector_hidden_act=mine.connector_act,
        multimodal_projector_bias=mine.connector_bias,
        vision_feature_layer=mine.feature_layer,
        vision_feature_select_strategy="full" if mine.feature_select == "full" else "default",
    )
    # The eager attention writes softmax(qk)v out, so the oracle shares no kernel with us.
    model = transformers.LlavaForConditionalGeneration._from_config(theirs, attn_implementation="eager")
    return randomise(model, seed).eval(), mine


def _text_config(family: str, language: ours.LanguageConfig) -> Any:
    values = language.model_dump(exclude={"qkv_bias", "qk_norm", "rope_theta", "rope_scaling"})
    if family != "mistral":
        values.pop("sliding_window")
    rope = {"rope_type": "default", "rope_theta": language.rope_theta}
    if language.rope_scaling is not None:
        rope |= language.rope_scaling.model_dump(exclude_none=True)
    return TEXT_CLASSES[family](
        **values, rope_parameters=rope, bos_token_id=None, eos_token_id=None, pad_token_id=PAD
    )


def randomise(model: nn.Module, seed: int = 0) -> Any:
    """Weights that keep activations near 1 and leave no bias at 0 and no norm at 1.

    transformers' own start (deviation 0.02) makes attention so flat that a wrong mask would hide
    below the tolerance.
    """
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            noise = torch.randn(weight.shape, generator=generator)
            if "embedding" in name or "embed_tokens" in name:
                # The head may share the embedding, so keep logits near 1 there too.
                weight.copy_(noise if "embed_tokens" not in name else noise / math.sqrt(weight.shape[1]))
            elif weight.ndim >= 2:
                weight.copy_(noise * 1.5 / math.sqrt(weight[0].numel()))
            else:
                weight.copy_(noise * 0.3 + float("norm" in name and name.endswith("weight")))
    return model


def our_names(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """transformers' state dict of a LLaVA under our names, without SigLIP's unused pooling head."""
    renamed = {}
    for name, weight in state.items():
        if name.startswith("model.vision_tower.head."):
            continue
        name = name.removeprefix("model.").replace("multi_modal_projector.", "connector.")
        renamed["language_model.lm_head.weight" if name == "lm_head.weight" else name] = weight
    return renamed


def copy_weights(hf_model: nn.Module, model: nn.Module) -> None:
    """Load every weight of the oracle into ours; a name too many or too few is an error."""
    model.load_state_dict(our_names(hf_model.state_dict()), strict=True)


def pair(text: str = "llama", vision: str = "clip", **overrides: Any) -> tuple[Any, Llava]:
    """The oracle and our model with the same weights."""
    hf_model, config = hf_llava(text, vision, **overrides)
    model = Llava(config).eval()
    copy_weights(hf_model, model)
    return hf_model, model


def prompt(config: ours.LlavaConfig, layout: str, seed: int = 0) -> Tensor:
    """Ids (token,) for a layout such as "tti": each `t` a random word, each `i` a picture."""
    generator = torch.Generator().manual_seed(seed)
    ids: list[int] = []
    for piece in layout:
        if piece == "i":
            ids += [config.image_token_id] * config.tokens_per_image
        else:
            ids.append(int(torch.randint(PAD + 1, IMAGE, (), generator=generator)))
    return torch.tensor(ids)


def pictures(config: ours.LlavaConfig, count: int, seed: int = 0) -> Tensor:
    """Random pixels (image, 3, size, size)."""
    size = config.vision.image_size
    return torch.randn(count, 3, size, size, generator=torch.Generator().manual_seed(seed))


def pad(rows: list[Tensor], side: str) -> tuple[Tensor, Tensor]:
    """Rows of unequal length as ids and valid, both (batch, token)."""
    ids = nn.utils.rnn.pad_sequence(rows, batch_first=True, padding_value=PAD, padding_side=side)
    lengths = [torch.ones(len(row), dtype=torch.bool) for row in rows]
    return ids, nn.utils.rnn.pad_sequence(lengths, batch_first=True, padding_side=side)


@torch.no_grad()
def hf_logits(hf_model: Any, ids: Tensor, pixels: Tensor | None, valid: Tensor | None = None) -> Tensor:
    """The oracle's logits (batch, token, vocab), positions counted as its `generate` counts them."""
    valid = torch.ones_like(ids, dtype=torch.bool) if valid is None else valid
    positions = (valid.long().cumsum(dim=1) - 1).clamp(min=0)
    out = hf_model(
        input_ids=ids, pixel_values=pixels, attention_mask=valid.long(), position_ids=positions,
        use_cache=False,
    )  # fmt: skip
    return out.logits


def gap(a: Tensor, b: Tensor) -> float:
    """The largest absolute difference; shapes must agree, and NaN is not hidden."""
    assert a.shape == b.shape, f"{tuple(a.shape)} against {tuple(b.shape)}"
    return float((a - b).detach().abs().max())
