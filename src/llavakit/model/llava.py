"""LLaVA (Liu et al. 2023): a picture's features take the place of words in the prompt."""

import torch
from torch import Tensor, nn

from llavakit.config import LlavaConfig
from llavakit.errors import PromptError, UsageError, nearest
from llavakit.model.connectors import CONNECTORS
from llavakit.model.language.decoder import Decoder, causal_mask
from llavakit.model.vision.vit import VisionTower


class Llava(nn.Module):
    """Vision tower, connector, language model.

    1. `encode_images`: pixels -> tower -> connector -> one feature per image token.
    2. `embed`: words are looked up, image tokens replaced by the features, in order.
    3. The language model reads the result as it reads any sentence.
    """

    def __init__(self, config: LlavaConfig) -> None:
        super().__init__()
        if config.connector not in CONNECTORS:
            hint = nearest(config.connector, CONNECTORS)
            raise UsageError(f"unknown connector {config.connector!r} ({hint})")
        # A layer that does not exist would slice the blocks without complaint and give another's features.
        blocks = config.vision.num_hidden_layers
        if not -blocks - 1 <= config.feature_layer <= blocks:
            raise UsageError(f"feature_layer {config.feature_layer} is not among the vision tower's "
                             f"hidden states, -{blocks + 1} to {blocks}")  # fmt: skip
        self.config = config
        self.vision_tower = VisionTower(config.vision)
        vision, text = config.vision.hidden_size, config.language.hidden_size
        self.connector = CONNECTORS[config.connector](
            vision, text, config.connector_act, config.connector_bias
        )
        self.language_model = Decoder(config.language)

    def encode_images(self, pixels: Tensor) -> Tensor:
        """(image, 3, size, size) -> (image, token, text)."""
        features = self.vision_tower(pixels, self.config.feature_layer)  # (image, [class +] patch, vision)
        if self.config.vision.kind == "clip" and self.config.feature_select == "patch":
            features = features[:, 1:]
        projected: Tensor = self.connector(features)
        return projected

    def embed(self, ids: Tensor, image_features: Tensor | None = None) -> Tensor:
        """Words and pictures as one sequence of embeddings.

        Args:
            ids: (batch, token), `image_token_id` wherever a feature goes
            image_features: (image, token, text), pictures in the order of their placement

        Raises:
            PromptError: the number of image tokens is not the number of features.
        """
        embeds: Tensor = self.language_model.embed_tokens(ids)
        places = ids == self.config.image_token_id
        given = 0 if image_features is None else image_features.shape[0] * image_features.shape[1]
        if (wanted := int(places.sum())) != given:
            raise PromptError(f"the prompt has {wanted} image tokens but the pictures give {given} features")
        if image_features is None:
            return embeds
        flat = image_features.reshape(-1, image_features.shape[-1]).to(embeds.dtype)
        return embeds.masked_scatter(places[..., None], flat)

    def hidden_states(self, ids: Tensor, pixels: Tensor | None = None, valid: Tensor | None = None) -> Tensor:
        """Final hidden states (batch, token, hidden) of whole sequences, without a cache.

        Args:
            ids: (batch, token)
            pixels: (image, 3, size, size), all pictures of the batch in order, or None
            valid: (batch, token) bool, False at padding on either side; None: no padding
        """
        features = None if pixels is None else self.encode_images(pixels)
        embeds = self.embed(ids, features)
        window = self.config.language.sliding_window
        index = torch.arange(ids.shape[1], device=ids.device).expand_as(ids)
        if valid is None:
            positions = index
            mask = causal_mask(index, index, window) if window is not None else None
        else:
            positions = (valid.long().cumsum(dim=1) - 1).clamp(min=0)
            # A padding query sees itself: a row that sees nothing is NaN in some attention kernels.
            mask = causal_mask(index, index, window, valid) | torch.eye(
                ids.shape[1], dtype=torch.bool, device=ids.device
            )
        states: Tensor = self.language_model(embeds, positions, mask)
        return states

    def forward(self, ids: Tensor, pixels: Tensor | None = None, valid: Tensor | None = None) -> Tensor:
        """Logits (batch, token, vocab); arguments as for `hidden_states`."""
        return self.language_model.logits(self.hidden_states(ids, pixels, valid))
