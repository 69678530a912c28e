"""Parameter names: Hugging Face's, in all their generations, and ours.

| generation | language model | vision tower |
|---|---|---|
| transformers 4, as published | language_model.model.layers… | vision_tower.vision_model.encoder… |
| transformers 5 | model.language_model.layers… | model.vision_tower.[vision_model.]encoder… |
| ours | language_model.layers… | vision_tower.encoder… |

The feature that ends a row of tiles is `image_newline`, and `model.image_newline` in transformers 5.
"""

import re
from collections.abc import Iterable

_TO_OURS = [
    (re.compile(r"^model\.(?=language_model\.|vision_tower\.|multi_modal_projector\.|image_newline$)"), ""),
    (re.compile(r"^lm_head\."), "language_model.lm_head."),
    (re.compile(r"^language_model\.model\."), "language_model."),
    (re.compile(r"^vision_tower\.vision_model\."), "vision_tower."),
    (re.compile(r"^multi_modal_projector\."), "connector."),
]
# SigLIP's pooling head and stored position indices: published files hold them, LLaVA has no use for them.
_UNUSED = re.compile(r"^vision_tower\.(head\.|embeddings\.position_ids)|\.rotary_emb\.inv_freq$")


def ours_to_theirs(stored: Iterable[str]) -> dict[str, str]:
    """{our name: the name in the file} for the tensors of a LLaVA, unused ones left out."""
    names = {}
    for theirs in stored:
        ours = theirs
        for pattern, replacement in _TO_OURS:
            ours = pattern.sub(replacement, ours)
        if not _UNUSED.search(ours):
            names[ours] = theirs
    return names


def to_hf(ours: str) -> str:
    """The name as published checkpoints have it: every version of transformers and vLLM reads it."""
    if ours.startswith("language_model.") and not ours.startswith("language_model.lm_head."):
        return ours.replace("language_model.", "language_model.model.", 1)
    if ours.startswith("vision_tower."):
        return ours.replace("vision_tower.", "vision_tower.vision_model.", 1)
    return ours.replace("connector.", "multi_modal_projector.", 1)


def to_transformers(ours: str) -> str:
    """The name inside a LLaVA of transformers 5, which is how PEFT's files call it."""
    if ours.startswith("language_model.lm_head."):
        return ours.removeprefix("language_model.")
    return "model." + ours.replace("connector.", "multi_modal_projector.", 1)
