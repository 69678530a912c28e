"""A trainee made ready for a stage: what learns in it, and how its organs are held and run."""

import torch
from torch import nn

from llavakit.data.contrast import Labels
from llavakit.model.encoder import Encoder, EncoderLayer
from llavakit.model.language.decoder import Decoder, DecoderLayer
from llavakit.train.labels import LabelHead
from llavakit.train.lora import add_lora, merge_lora
from llavakit.train.organs import Trainee
from llavakit.train.recipe import Hardware, Stage


def dress(
    trainee: Trainee, stage: Stage, hardware: Hardware, labels: Labels, *, seed: int, device: torch.device
) -> None:
    """Put on the stage's LoRA and the head for its labels, freeze what does not learn, set how it all runs.

    Args:
        labels: what the stage asks patches
        seed: of the LoRA's first values
        device: where quantised layers are packed
    """
    if labels:
        trainee.head = LabelHead(labels, trainee.llava.config.vision.hidden_size)
    if stage.lora is not None:
        packed = device if stage.lora.quantize else None
        add_lora(trainee, stage.lora, seed=seed, device=packed)
    trainee.freeze_all_but(stage.trainable)
    frozen = torch.bfloat16 if hardware.frozen == "bfloat16" else torch.float32
    for parameter in trainee.parameters():
        _hold(parameter, torch.float32 if parameter.requires_grad else frozen)
    for module in trainee.modules():
        if isinstance(module, Encoder | Decoder):
            module.checkpoint_activations = hardware.checkpoint_activations
        if hardware.compile and isinstance(module, EncoderLayer | DecoderLayer):
            module.compile(dynamic=True)


def undress(trainee: Trainee) -> None:
    """Fold the stage's LoRA into the weights, for the next stage to find; its labels nobody asks again."""
    trainee.head = None
    if trainee.lora is not None:
        merge_lora(trainee)


def _hold(parameter: nn.Parameter, dtype: torch.dtype) -> None:
    if parameter.is_floating_point() and parameter.dtype != dtype:
        parameter.data = parameter.data.to(dtype)
