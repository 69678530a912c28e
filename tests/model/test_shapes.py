"""Models without weights cost nothing: no memory, no random numbers, no compiler."""

import subprocess
import sys

import torch

from llavakit.config import LanguageConfig, LlavaConfig, VisionConfig
from llavakit.model import Llava
from llavakit.model.shapes import shapes_only

SMALL = LlavaConfig(
    vision=VisionConfig(image_size=28, hidden_size=8, intermediate_size=8, num_hidden_layers=2,
                        num_attention_heads=2),
    language=LanguageConfig(vocab_size=11, hidden_size=8, intermediate_size=8, num_hidden_layers=1,
                            num_attention_heads=2, num_key_value_heads=2, head_dim=4),
    image_token_id=0,
)  # fmt: skip


def test_shapes_are_those_of_the_model_itself() -> None:
    with shapes_only():
        empty = Llava(SMALL)
    whole = Llava(SMALL)
    assert {p.device.type for p in empty.parameters()} == {"meta"}
    assert {n: p.shape for n, p in empty.named_parameters()} == {
        n: p.shape for n, p in whole.named_parameters()
    }


def test_outside_modules_get_first_values_again() -> None:
    with shapes_only():
        torch.nn.Linear(3, 3)
    assert torch.nn.Linear(3, 3).weight.abs().sum() > 0


def test_loading_a_model_does_not_import_the_compiler() -> None:
    """torch._dynamo and sympy cost two seconds before the first answer."""
    code = "import sys; from llavakit.checkpoint import load; load('tiny'); "
    code += "print(*{'sympy', 'torch._dynamo'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""
