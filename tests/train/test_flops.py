"""Operations are counted as torch counts them on the real modules; a GPU that is not known is not guessed."""

import peft
import pytest
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from llavakit.config import LlavaConfig, TextTowerConfig
from llavakit.data.contrast import ContrastiveBatch
from llavakit.train.flops import GPUS, Work, gpu_named, peak_flops, step_flops
from llavakit.train.objectives import contrastive_loss
from llavakit.train.organs import Trainee, initialise
from llavakit.train.recipe import Stage
from model.reference import hf_llava, pictures, prompt

ORGANS = [
    ("connector",),
    ("connector", "language_model"),
    ("language_model",),
    ("vision_tower", "connector", "language_model"),
    ("vision_tower",),
]


def stage(**values: object) -> Stage:
    return Stage.model_validate({"name": "s", "data": "d", "steps": 1, "batch": 2, "lr": 1.0} | values)


def counted(trainee: Trainee, config: LlavaConfig) -> tuple[int, Work]:
    """What torch counts in a step of two conversations, whose last three tokens are supervised."""
    ids = torch.stack([prompt(config, "tit"), prompt(config, "tit")])
    pixels = pictures(config, 2)
    llava = trainee.llava
    # Only the plain products of this backend are counted alike forward and backward.
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        hidden = llava.hidden_states(ids, pixels)
        torch.autograd.backward(llava.language_model.logits(hidden[:, -3:].flatten(0, 1)).sum())
    return counter.get_total_flops(), Work(tokens=ids.numel(), supervised=6, examples=2, views=2)


@pytest.mark.parametrize("connector", ["linear", "mlp2x_gelu"])
@pytest.mark.parametrize("trainable", ORGANS)
def test_a_step_is_counted_as_torch_counts_it(trainable: tuple[str, ...], connector: str) -> None:
    _, config = hf_llava("llama", "clip", connector=connector)
    learning = stage(trainable=trainable)
    trainee = Trainee(initialise(config, seed=0), None, 16)
    trainee.freeze_all_but(learning.trainable)
    torch_says, work = counted(trainee, config)
    assert sum(step_flops(config, learning, work).values()) == pytest.approx(torch_says)


def test_a_lora_costs_its_own_products_and_the_gradients_that_pass_through_the_frozen_layers() -> None:
    _, config = hf_llava("llama", "clip")
    learning = stage(trainable=("connector",), lora={"rank": 4})
    trainee = Trainee(initialise(config, seed=0), None, 16)
    trainee.freeze_all_but(("connector",))
    names = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
    peft.inject_adapter_in_model(peft.LoraConfig(r=4, target_modules=names), trainee.llava.language_model)
    torch_says, work = counted(trainee, config)
    assert sum(step_flops(config, learning, work).values()) == pytest.approx(torch_says)


def test_a_tower_whose_features_are_cached_costs_nothing() -> None:
    _, config = hf_llava("llama", "clip")
    learning = stage(trainable=("connector",))
    opened = step_flops(config, learning, Work(tokens=40, supervised=8, examples=2, views=2))
    cached = step_flops(config, learning, Work(tokens=40, supervised=8, examples=2, views=0, cached=2))
    assert opened.pop("vision_tower") > 0
    assert cached == opened


def test_clips_two_towers_are_counted_but_for_what_is_next_to_nothing() -> None:
    _, config = hf_llava("llama", "clip")
    text = TextTowerConfig(vocab_size=50, hidden_size=32, intermediate_size=64, num_hidden_layers=2,
                           num_attention_heads=2, max_position_embeddings=16, eos_token_id=49)  # fmt: skip
    trainee = Trainee(initialise(config, seed=0), text, 16)
    learning = stage(objective="contrastive", trainable=("vision_tower", "text_tower"))
    trainee.freeze_all_but(learning.trainable)
    assert trainee.clip is not None
    captions = torch.full((4, 12), 49)
    batch = ContrastiveBatch(pictures(config, 4), captions, {})
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        torch.autograd.backward(contrastive_loss(trainee.clip, batch))
    ours = step_flops(config, learning, Work(tokens=48, supervised=0, examples=4, views=4), text)
    # Under 5 %: the scores and the projections.
    assert sum(ours.values()) == pytest.approx(counter.get_total_flops(), rel=0.05)


def test_a_gpu_is_known_by_the_name_that_its_driver_gives() -> None:
    assert gpu_named("NVIDIA H100 80GB HBM3") is GPUS["H100"]
    assert gpu_named("NVIDIA A100-SXM4-40GB") is GPUS["A100-40"]
    assert gpu_named("Tesla T4") is GPUS["T4"]
    assert gpu_named("NVIDIA L4") is not gpu_named("NVIDIA L40S")


@pytest.mark.parametrize("name", ["NVIDIA A100-SXM4-40GB MIG 1g.5gb", "NVIDIA H300", "AMD Instinct MI300X"])
def test_a_gpu_that_is_not_in_the_table_is_not_guessed(name: str) -> None:
    assert gpu_named(name) is None


def test_no_two_gpus_have_one_name() -> None:
    names = [name for gpu in GPUS.values() for name in gpu.device_names]
    assert len(set(names)) == len(names)


def test_a_cpus_peak_is_measured_and_other_devices_have_none() -> None:
    assert 1e8 < (peak_flops(torch.device("cpu"), "float32") or 0) < 1e15
    assert peak_flops(torch.device("mps"), "bfloat16") is None
