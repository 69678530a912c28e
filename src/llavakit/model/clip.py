"""CLIP (Radford et al. 2021): two towers that map pictures and sentences into one space.

LLaVA needs the picture's tower only. The pair is what is trained contrastively before it, and
what retrieval uses after. Parameter names are those of transformers' `CLIPModel`.
"""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from llavakit.config import TextTowerConfig
from llavakit.model.encoder import Encoder
from llavakit.model.vision.vit import VisionTower


class TokenEmbeddings(nn.Module):
    """Token plus learned position."""

    def __init__(self, config: TextTowerConfig) -> None:
        super().__init__()
        self.token_embedding = nn.Embedding(config.vocab_size, config.hidden_size)
        self.position_embedding = nn.Embedding(config.max_position_embeddings, config.hidden_size)

    def forward(self, ids: Tensor) -> Tensor:
        embedded: Tensor = self.token_embedding(ids) + self.position_embedding.weight[: ids.shape[1]]
        return embedded


class TextTower(nn.Module):
    """ids (text, length) -> the state at each text's first end token, (text, hidden)."""

    def __init__(self, config: TextTowerConfig) -> None:
        super().__init__()
        self.config = config
        self.embeddings = TokenEmbeddings(config)
        self.encoder = Encoder(config)
        self.final_layer_norm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)

    def forward(self, ids: Tensor) -> Tensor:
        x = self.final_layer_norm(self.encoder(self.embeddings(ids), causal=True))
        end = (ids == self.config.eos_token_id).int().argmax(dim=1)
        pooled: Tensor = x[torch.arange(len(ids), device=ids.device), end]
        return pooled


class CLIP(nn.Module):
    """Two towers and the projections into their common space."""

    def __init__(self, vision_tower: VisionTower, text: TextTowerConfig, projection_dim: int) -> None:
        super().__init__()
        self.vision_model = vision_tower
        self.text_model = TextTower(text)
        self.visual_projection = nn.Linear(vision_tower.config.hidden_size, projection_dim, bias=False)
        self.text_projection = nn.Linear(text.hidden_size, projection_dim, bias=False)
        self.logit_scale = nn.Parameter(torch.tensor(math.log(1 / 0.07)))

    def encode_image(self, pixels: Tensor) -> Tensor:
        """(image, 3, size, size) -> unit vectors (image, projection_dim), from the class token."""
        return self.project_vision(self.vision_model(pixels)[:, 0])

    def project_vision(self, features: Tensor) -> Tensor:
        """Last-block features (..., vision hidden) -> unit vectors (..., projection_dim)."""
        projected = self.visual_projection(self.vision_model.post_layernorm(features))
        return F.normalize(projected, dim=-1)

    def encode_text(self, ids: Tensor) -> Tensor:
        """(text, length) -> unit vectors (text, projection_dim)."""
        return F.normalize(self.text_projection(self.text_model(ids)), dim=-1)
