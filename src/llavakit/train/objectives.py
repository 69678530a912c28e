"""What a stage minimises: the next token (LLaVA) or the distance of pairs (CLIP).

A loss is the sum of a batch's `weight` terms, so that batches of any size add up to the same step. Nothing
here waits for a GPU.
"""

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

from llavakit.data.collate import TokenBatch
from llavakit.data.contrast import ContrastiveBatch
from llavakit.model import CLIP, Llava
from llavakit.train.labels import LabelHead

# Logits that are in memory at a time, twelve bytes each with what their gradient takes: 4096 positions of a
# vocabulary of 128,000 took 6.3 GB at once and 1.7 GB in four chunks, and no longer.
_LOGITS = 2**27


def next_token_loss(llava: Llava, batch: TokenBatch) -> Tensor:
    """Sum of the cross-entropy over the supervised tokens, in float32; 0 where there are none.

    Only supervised positions go through the vocabulary head: the others would be thrown away.
    """
    assert batch.targets is not None  # found when the batch was made
    hidden = llava.hidden_states(
        batch.ids,
        batch.pixels,
        layouts=batch.layouts,
        lengths=batch.blocks,
        features=batch.features,
        places=batch.places,
    )
    states = hidden.flatten(0, 1).index_select(0, batch.targets - 1)
    wanted = batch.labels.flatten().index_select(0, batch.targets)
    chunk = max(1, _LOGITS // llava.config.language.vocab_size)
    if len(states) <= chunk:
        return _cross_entropy(llava, states, wanted)
    chunks = zip(torch.split(states, chunk), torch.split(wanted, chunk), strict=True)
    # A chunk's logits are made again on the way back.
    sums = [checkpoint(_cross_entropy, llava, s, w, use_reentrant=False) for s, w in chunks]
    return torch.stack(sums).sum()


def _cross_entropy(llava: Llava, states: Tensor, wanted: Tensor) -> Tensor:
    logits = llava.language_model.logits(states)
    return F.cross_entropy(logits.float(), wanted, reduction="sum")


def contrastive_loss(clip: CLIP, batch: ContrastiveBatch, head: LabelHead | None = None) -> Tensor:
    """CLIP's symmetric loss on (picture, caption), plus what the patches get wrong of their labels.

    CLIP's own objective teaches the class token, and LLaVA reads the patches: each has to know what it is
    part of.
    """
    features = clip.vision_model(batch.pixels)  # (image, class + patch, vision)
    captions = clip.encode_text(batch.captions)
    scale = clip.logit_scale.clamp(max=4.6052).exp()  # at most 100, as CLIP
    similarity = scale * clip.project_vision(features[:, 0]).float() @ captions.float().T
    pairs = torch.arange(len(features), device=similarity.device)
    loss = (F.cross_entropy(similarity, pairs) + F.cross_entropy(similarity.T, pairs)) / 2
    return loss if head is None else loss + head(features[:, 1:], batch.answers)
