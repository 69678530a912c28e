"""LLaVA (Liu et al. 2023): a picture's features take the place of words in the prompt."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from llavakit.config import Layout, LlavaConfig
from llavakit.errors import PromptError, UsageError, nearest
from llavakit.model.connectors import CONNECTORS
from llavakit.model.language.decoder import Decoder, causal_mask
from llavakit.model.language.packing import Packing
from llavakit.model.quantised import swap_in
from llavakit.model.vision.vit import VisionTower


class Llava(nn.Module):
    """Vision tower, connector, language model.

    1. `encode_images`: pixels -> tower -> connector -> one feature per image token; a picture seen in
       several views has them put together.
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
        if config.tiling is not None and config.tiling.newline:
            self.image_newline = nn.Parameter(torch.empty(text).normal_(std=text**-0.5))
        if config.quantization is not None:
            swap_in(self, config.quantization)

    def encode_images(self, pixels: Tensor, layouts: Sequence[Layout] | None = None) -> Sequence[Tensor]:
        """(view, 3, size, size) -> for each picture (token, text).

        Args:
            layouts: of each picture, where the configuration has a tiling; else a view is a picture
        """
        return self.connect(self.see(pixels), layouts)

    def see(self, pixels: Tensor) -> Tensor:
        """What the tower tells the connector: (view, 3, size, size) -> (view, [class +] patch, vision)."""
        features: Tensor = self.vision_tower(pixels, self.config.feature_layer)
        return features[:, 1:] if self.config.drops_first else features

    def connect(self, features: Tensor, layouts: Sequence[Layout] | None = None) -> Sequence[Tensor]:
        """What `see` gave -> for each picture (token, text); `layouts` as for `encode_images`."""
        projected: Tensor = self.connector(features)
        if layouts is None:
            return projected.unbind()
        parts = torch.split(projected, [layout.views for layout in layouts])
        newline = getattr(self, "image_newline", None)
        return [joined(views, layout, newline) for views, layout in zip(parts, layouts, strict=True)]

    def embed(
        self, ids: Tensor, image_features: Sequence[Tensor] | None = None, places: Tensor | None = None
    ) -> Tensor:
        """Words and pictures as one sequence of embeddings.

        Args:
            ids: (batch, token), `image_token_id` wherever a feature goes
            image_features: (token, text) of each picture, in the order of their placement
            places: (feature,), where in `ids` flattened the image tokens are, in order; None: they are looked
                for, which waits for a GPU

        Raises:
            PromptError: the number of image tokens is not the number of features.
        """
        embeds: Tensor = self.language_model.embed_tokens(ids)
        if places is None:
            places = (ids == self.config.image_token_id).flatten().nonzero().squeeze(1)
        given = sum(map(len, image_features or ()))
        if len(places) != given:
            raise PromptError(
                f"the prompt has {len(places)} image tokens but the pictures give {given} features"
            )
        if not image_features:
            return embeds
        flat = torch.cat(list(image_features)).to(embeds.dtype)
        return embeds.flatten(0, 1).index_copy(0, places, flat).view_as(embeds)

    def hidden_states(
        self,
        ids: Tensor,
        pixels: Tensor | None = None,
        valid: Tensor | None = None,
        layouts: Sequence[Layout] | None = None,
        *,
        lengths: Sequence[int] | None = None,
        features: Tensor | None = None,
        places: Tensor | None = None,
    ) -> Tensor:
        """Final hidden states (batch, token, hidden) of whole sequences, without a cache.

        Args:
            ids: (batch, token)
            pixels: (view, 3, size, size), all pictures of the batch in order, or None
            valid: (batch, token) bool, False at padding on either side; None: no padding
            layouts: of each picture, where the configuration has a tiling
            lengths: of the sequences that lie end to end in `ids`, then (1, token): each sees itself alone
            features: what `see` gives for the pictures, in place of `pixels`
            places: as for `embed`. An empty tensor: the pictures stand nowhere, and change nothing but that
                tower and connector are run and get gradients of 0, as processes that wait for each other need
        """
        if features is None and pixels is not None:
            features = self.see(pixels)
        pictures = None if features is None else self.connect(features, layouts)
        if pictures is not None and places is not None and not len(places):
            pictures = [picture[:0] for picture in pictures]
        embeds = self.embed(ids, pictures, places)
        window = self.config.language.sliding_window
        if lengths is not None:
            if valid is not None or ids.shape != (1, sum(lengths)):
                raise ValueError(f"{sum(lengths)} tokens end to end do not make ids {tuple(ids.shape)}")
            packing = Packing(lengths, window, ids.device)
            packed: Tensor = self.language_model(embeds, packing.positions, packing)
            return packed
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

    def forward(
        self,
        ids: Tensor,
        pixels: Tensor | None = None,
        valid: Tensor | None = None,
        layouts: Sequence[Layout] | None = None,
    ) -> Tensor:
        """Logits (batch, token, vocab); arguments as for `hidden_states`."""
        return self.language_model.logits(self.hidden_states(ids, pixels, valid, layouts))


def joined(views: Tensor, layout: Layout, newline: Tensor | None) -> Tensor:
    """A picture's features (view, patch, text) -> (token, text): the whole's, then the tiles' by row.

    Args:
        newline: (text,), which ends each row where `layout` says so
    """
    ends = newline if layout.newline else None
    whole, tiles = views[0], views[1:]
    if not len(tiles):
        return whole if ends is None else torch.cat([whole, ends[None]])
    side, (down, across) = math.isqrt(len(whole)), layout.tiles
    grid = tiles.view(down, across, side, side, -1).transpose(1, 2)  # (down, row, across, column, text)
    grid = grid.reshape(down * side, across * side, -1)  # (row, column, text)
    grid = grid[slice(*layout.rows), slice(*layout.columns)]
    if layout.shrunk is not None:
        shrunk = F.interpolate(grid.permute(2, 0, 1)[None], layout.shrunk, mode="bilinear")
        grid = shrunk[0].permute(1, 2, 0)
    if ends is not None:
        grid = torch.cat([grid, ends.expand(len(grid), 1, -1)], dim=1)
    return torch.cat([whole, grid.flatten(0, 1)])
