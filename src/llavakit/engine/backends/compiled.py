"""The decoder through torch.compile: its small kernels fused, one compilation for all layers.

Whole layers where the step's shape is fixed (see `fixed`), else what comes before and after attention: a
prompt has any length and any mask, so attention itself stays as it is. A break in a graph counts as an
error, for it would cost more than compiling gains; what fails is said once and computed plainly from then on.
"""

import logging
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from llavakit.engine.backend import Interrupted
from llavakit.model.fused import FEW
from llavakit.model.language.decoder import Cache, Decoder, DecoderLayer

log = logging.getLogger(__name__)

# For one token, or a few: weights are read once, by kernels that do all there is to do on the way.
ONE_TOKEN: dict[str, Any] = {
    # A product with one vector is a sum that the compiler tunes, and fuses with what is beside it.
    "coordinate_descent_tuning": True,
    # What is used more than once is computed once, and not by each kernel anew …
    "realize_reads_threshold": 1,
    # … but a weight of four bits, however long the expression that unpacks it, is never written out.
    "realize_acc_reads_threshold": 64,
    "realize_opcount_threshold": 400,
}


def compiled(function: Callable[..., Any], options: dict[str, Any] | None = None) -> Callable[..., Any]:
    """The function, to be compiled for each combination of shapes that are not marked to vary."""
    return torch.compile(function, fullgraph=True, dynamic=False, options=options)


def varies(tensor: Tensor, dimension: int) -> None:
    """One compilation is to do for all sizes that this dimension may have."""
    torch._dynamo.maybe_mark_dynamic(tensor, dimension)


def reason(error: Exception) -> str:
    """For a line in a log."""
    return next(iter(str(error).splitlines()), "") or type(error).__name__


class Reader:
    """A decoder that reads prompts with compiled layers."""

    def __init__(self, decoder: Decoder) -> None:
        self._decoder = decoder
        self._fails = False

    def __call__(self, embeds: Tensor, positions: Tensor, cache: Cache) -> Tensor:
        """See `Decoder.forward`."""
        if not self._fails and embeds.shape[1] > FEW:  # fewer would each be compiled by themselves
            try:
                return self._read(embeds, positions, cache)
            except (Interrupted, torch.OutOfMemoryError):
                raise
            except Exception as error:
                self._fails = True
                log.warning("prompts cannot be read with compiled layers: %s", reason(error))
        out: Tensor = self._decoder(embeds, positions, cache=cache)
        return out

    def _read(self, x: Tensor, positions: Tensor, cache: Cache) -> Tensor:
        before, after = compiled(_before), compiled(_after)
        rope = self._decoder.angles(positions, x.dtype)
        varies(x, 1)
        for angles in rope:
            varies(angles, 2)
        for i, layer in enumerate(self._decoder.layers):
            seen = cache.attend(i, *before(layer, x, rope))
            varies(seen, 2)
            x = after(layer, x, seen)
        out: Tensor = self._decoder.norm(x)
        return out


def _before(layer: DecoderLayer, x: Tensor, rope: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor, Tensor]:
    return layer.self_attn.project(layer.input_layernorm(x), rope)


def _after(layer: DecoderLayer, x: Tensor, seen: Tensor) -> Tensor:
    return layer.finish(x, layer.self_attn.merge(seen))
