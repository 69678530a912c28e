"""The vision transformer of CLIP (Radford et al. 2021) and SigLIP (Zhai et al. 2023).

The two differ in three places: CLIP has a class token and a norm before the first block,
SigLIP has a bias on the patch embedding. Parameter names are those of transformers.
"""

import torch
from torch import Tensor, nn

from llavakit.config import VisionConfig
from llavakit.model.encoder import Encoder


class PatchEmbeddings(nn.Module):
    """Cut the picture into patches, embed each, add the class token (CLIP) and positions."""

    def __init__(self, config: VisionConfig) -> None:
        super().__init__()
        is_clip = config.kind == "clip"
        self.patch_embedding = nn.Conv2d(
            config.num_channels, config.hidden_size, config.patch_size, config.patch_size, bias=not is_clip
        )
        if is_clip:
            self.class_embedding = nn.Parameter(torch.empty(config.hidden_size).normal_(std=0.02))
        self.position_embedding = nn.Embedding(config.num_patches + int(is_clip), config.hidden_size)

    def forward(self, pixels: Tensor) -> Tensor:
        patches = self.patch_embedding(pixels).flatten(2).transpose(1, 2)  # (image, patch, hidden)
        if hasattr(self, "class_embedding"):
            first = self.class_embedding.expand(len(pixels), 1, -1)
            patches = torch.cat([first, patches], dim=1)
        embedded: Tensor = patches + self.position_embedding.weight
        return embedded


class VisionTower(nn.Module):
    """pixels (image, 3, size, size) -> features (image, [class +] patch, hidden)."""

    def __init__(self, config: VisionConfig) -> None:
        super().__init__()
        self.config = config
        self.embeddings = PatchEmbeddings(config)
        if config.kind == "clip":
            self.pre_layrnorm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)  # (sic)
        self.encoder = Encoder(config)
        self.post_layernorm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)

    def forward(self, pixels: Tensor, layer: int = -1) -> Tensor:
        """The hidden state after block `layer`, counted as transformers counts `hidden_states`.

        0 is the embedding, -1 the last block; blocks behind the one asked for are not run.
        """
        depth = layer if layer >= 0 else self.config.num_hidden_layers + 1 + layer
        x = self.embeddings(pixels.to(self.embeddings.patch_embedding.weight.dtype))
        if self.config.kind == "clip":
            x = self.pre_layrnorm(x)
        features: Tensor = self.encoder(x, depth=depth)
        return features
