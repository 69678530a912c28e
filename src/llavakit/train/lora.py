"""LoRA and QLoRA through PEFT: factors beside the linear layers of a trainee, folded in or written as files.

What is written is what `PeftModel.from_pretrained` reads on top of a LLaVA of transformers, and what
`LLaVA.from_pretrained` reads here (`checkpoint/adapters.py`).
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import nn

from llavakit.checkpoint import Checkpoint, open_source
from llavakit.checkpoint.adapters import FINGERPRINT, fingerprint
from llavakit.checkpoint.atomic import atomic_folder
from llavakit.checkpoint.folder import OWN
from llavakit.checkpoint.json_file import write_json
from llavakit.checkpoint.lora import CONFIG
from llavakit.checkpoint.names import to_transformers
from llavakit.checkpoint.source import Own
from llavakit.checkpoint.tensors import Held
from llavakit.checkpoint.weights import write_file
from llavakit.config import LlavaConfig
from llavakit.errors import LlavaError, UsageError
from llavakit.model import Llava
from llavakit.train.organs import FACTOR, Trainee, owner
from llavakit.train.recipe import LoRA, Organ, Recipe

WEIGHTS = "adapter_model.safetensors"
_ADAPTER = "default"  # PEFT's name for the only one
# The linear layers of an organ, as our modules and transformers' (4 and 5) are called.
_LAYERS: dict[Organ, str] = {
    "language_model": (
        r"language_model\.(model\.)?layers\.\d+\.(self_attn\.[qkvo]_proj|mlp\.(gate|up|down)_proj)"
    ),
    "vision_tower": (
        r"vision_tower\.(vision_model\.)?encoder\.layers\.(BLOCKS)\."
        r"(self_attn\.(q_proj|k_proj|v_proj|out_proj)|mlp\.fc[12])"
    ),
    "connector": r"(connector|multi_modal_projector)\.linear_\d+",
}
# What transformers calls them, for PEFT's `modules_to_save`.
_MODULES: dict[Organ, tuple[str, ...]] = {
    "vision_tower": ("vision_tower",),
    "connector": ("multi_modal_projector",),
    "language_model": ("language_model", "lm_head"),
}


def pattern(config: LlavaConfig, lora: LoRA) -> str:
    """A regular expression of the layers that `lora` is about, for our names and transformers'.

    All linear layers of the blocks and the connector, not the output head (as the official code). Blocks
    of the tower behind the one whose features are taken are left out: no gradient would reach them.
    """
    layer, blocks = config.feature_layer, config.vision.num_hidden_layers
    run = layer if layer >= 0 else blocks + 1 + layer
    told = "|".join(map(str, range(run)))
    each = [_LAYERS[organ].replace("BLOCKS", told) for organ in lora.targets]
    return rf"(model\.)?({'|'.join(each)})"


def layers_of(llava: Llava, lora: LoRA) -> Iterator[tuple[str, nn.Linear]]:
    """The linear layers that `lora` is about, with their names."""
    wanted = re.compile(pattern(llava.config, lora))
    for name, module in llava.named_modules():
        if isinstance(module, nn.Linear) and wanted.fullmatch(name):
            yield name, module


def add_lora(
    trainee: Trainee, lora: LoRA, *, seed: int = 0, device: torch.device | str | None = None
) -> list[nn.Parameter]:
    """Put factors beside the linear layers that `lora` names; at first they change nothing.

    What was frozen stays frozen. With `lora.quantize` the layers' own weights are packed by bitsandbytes;
    nf4 computes in bfloat16, and packs its scales too, as QLoRA (Dettmers et al. 2023).

    Args:
        seed: of the first values of the factors A; B begins at 0
        device: where layers are packed, and stay; None: where they are

    Returns:
        the factors, in float32

    Raises:
        UsageError: PEFT or bitsandbytes is not installed.
        LlavaError: the trainee has a LoRA already, or weights that nothing can be added to.
    """
    peft = _peft()
    llava = trainee.llava
    if trainee.lora is not None:
        raise LlavaError("the model has a LoRA already: merge it first")
    if llava.config.quantization is not None:
        raise LlavaError(
            "a LoRA cannot be trained on weights that llavakit packed: begin from the model as published, "
            "and set lora.quantize"
        )
    thawed = {name for name, parameter in llava.named_parameters() if parameter.requires_grad}
    settings = _settings(llava.config, lora, None, [])
    if lora.quantize is not None:
        _quantise(llava, lora, device)
    with torch.random.fork_rng(devices=()), _told_quantised(llava, lora):
        torch.manual_seed(seed)
        peft.inject_adapter_in_model(settings, llava, adapter_name=_ADAPTER)
    trainee.lora = lora
    factors = []
    for name, parameter in llava.named_parameters():
        if FACTOR in name:
            parameter.data = parameter.data.float()  # PEFT makes them of the layer's type
            factors.append(parameter)
        else:
            parameter.requires_grad_(name in thawed)
    return factors


def check_libraries(lora: LoRA) -> None:
    """Say early what `add_lora` would say late.

    Raises:
        UsageError: PEFT or bitsandbytes is not installed.
    """
    _peft()
    if lora.quantize is not None:
        _bitsandbytes()


def _peft() -> Any:
    try:
        import peft
    except ImportError:
        raise UsageError("LoRA needs PEFT: pip install 'llavakit[train]'") from None
    return peft


@contextmanager
def _told_quantised(llava: Llava, lora: LoRA) -> Iterator[None]:
    """PEFT looks for packed layers only where the model says that it has some."""
    flag = {"bnb-nf4": "is_loaded_in_4bit", "bnb-int8": "is_loaded_in_8bit"}.get(lora.quantize or "")
    if flag is None:
        yield
        return
    setattr(llava, flag, True)
    try:
        yield
    finally:
        delattr(llava, flag)


def _quantise(llava: Llava, lora: LoRA, device: torch.device | str | None) -> None:
    """Put bitsandbytes' layers in the places of the linear layers that `lora` names."""
    bnb = _bitsandbytes()
    for name, linear in list(layers_of(llava, lora)):
        height, width = linear.weight.shape
        values = linear.weight.detach()
        if lora.quantize == "bnb-nf4":
            packed = bnb.nn.Linear4bit(
                width, height, bias=False, compute_dtype=torch.bfloat16, compress_statistics=True,
                quant_type="nf4", device="meta",
            )  # fmt: skip
            # On some processors it repacks weights at the first forward pass outside training, for good.
            packed.support_avx512bf16_for_cpu = False
            packed.weight = bnb.nn.Params4bit(
                values, requires_grad=False, compress_statistics=True, quant_type="nf4"
            )
        else:
            packed = bnb.nn.Linear8bitLt(width, height, bias=False, has_fp16_weights=False, device="meta",
                                         threshold=_OUTLIER)  # fmt: skip
            packed.weight = bnb.nn.Int8Params(values, requires_grad=False, has_fp16_weights=False)
        packed.bias = linear.bias
        parent, _, last = name.rpartition(".")
        # Packing happens on the way to a device, the processor included.
        setattr(llava.get_submodule(parent), last, packed.to(device or values.device))


def _bitsandbytes() -> Any:
    try:
        import bitsandbytes
    except ImportError:
        raise UsageError(
            "lora.quantize needs bitsandbytes: pip install 'llavakit[bnb]', or leave it out"
        ) from None
    return bitsandbytes


_OUTLIER = 6.0  # inputs beyond it are multiplied in 16 bits: LLM.int8's threshold


def merge_lora(trainee: Trainee) -> None:
    """Fold the factors into the weights they stand beside; the layers are as they were before `add_lora`.

    Raises:
        LlavaError: there is no LoRA, or its layers are packed and so have no weights to fold into.
    """
    if trainee.lora is None:
        raise LlavaError("the model has no LoRA to merge")
    if trainee.lora.quantize is not None:
        raise LlavaError(
            f"a LoRA on {trainee.lora.quantize} is not merged into rounded weights: save the adapter, then "
            "`llava export ADAPTER --merge`, which merges it into the base in 16 bits"
        )
    for name, layer in list(_layers(trainee.llava)):
        weight = layer.get_base_layer().weight
        with torch.no_grad():
            weight.copy_(weight.float() + layer.get_delta_weight(_ADAPTER).float())
        parent, _, last = name.rpartition(".")
        setattr(trainee.llava.get_submodule(parent), last, layer.get_base_layer())
    trainee.lora = None


def _layers(llava: Llava) -> Iterator[tuple[str, Any]]:
    """PEFT's layers, with their names."""
    from peft.tuners.lora import LoraLayer

    return ((name, module) for name, module in llava.named_modules() if isinstance(module, LoraLayer))


def base_of(recipe: Recipe) -> str | None:
    """The model that the adapter of the last stage is for, where that is one that exists already.

    None: earlier stages trained more than the adapter's files hold, or there was no LLaVA to begin with; the
    model as the last stage found it has to be saved beside the adapter.
    """
    last, held = recipe.stages[-1], {"connector", *recipe.stages[-1].trainable}
    earlier = {organ for stage in recipe.stages[:-1] for organ in stage.learning}
    return recipe.init if last.lora is not None and earlier <= held else None


def save_adapter(trainee: Trainee, checkpoint: Checkpoint, base: str | Path, folder: Path) -> None:
    """Write the LoRA, and whole the organs that learned beside it and the connector, as PEFT's files.

    A feature that ends rows of tiles (`image_newline`) goes along; PEFT has no place for it and leaves it
    unread.

    Args:
        base: what the adapter is for, a folder or hub name; its fingerprint is recorded

    Raises:
        LlavaError: there is no LoRA.
        CheckpointError: the base cannot be read; the folder holds other files, or cannot be written.
    """
    lora, config = trainee.lora, trainee.llava.config
    if lora is None:
        raise LlavaError("the model has no LoRA to save")
    whole: set[Organ] = {
        size.organ
        for size in trainee.summary()
        if size.organ not in (*lora.targets, "text_tower") and (size.learning or size.organ == "connector")
    }
    held = {}
    for path, tensor in trainee.state_dict().items():
        name = path.removeprefix("llava.")
        if name == path:  # CLIP's
            continue
        if FACTOR in name:
            held[_in_file(name.replace(f".{_ADAPTER}.", "."))] = tensor
        elif owner(path) in whole:
            held[_in_file(name)] = tensor
    modules = [module for organ in sorted(whole) for module in _MODULES[organ]]
    place = Path(base).expanduser()
    settings = _settings(config, lora, str(place.resolve() if place.exists() else base), modules)
    source = open_source(base)
    own = Own(
        template=checkpoint.template,
        image_markers=checkpoint.image_markers,
        connector=config.connector,
        provenance={**checkpoint.provenance, FINGERPRINT: fingerprint(source.tensors)},
    )
    with atomic_folder(folder, _FILES, lambda place: (place / CONFIG).is_file()) as partial:
        write_file(Held(held), partial / WEIGHTS)
        settings.save_pretrained(str(partial))
        write_json(partial, {OWN: own.model_dump(exclude_none=True)})


_FILES = (WEIGHTS, CONFIG, OWN, "README.md")


def _settings(config: LlavaConfig, lora: LoRA, base: str | None, whole: list[str]) -> Any:
    return _peft().LoraConfig(
        r=lora.rank,
        lora_alpha=lora.alpha,
        lora_dropout=lora.dropout,
        use_rslora=lora.rank_stabilised,
        target_modules=pattern(config, lora),
        modules_to_save=whole or None,
        bias="none",
        base_model_name_or_path=base,
        inference_mode=base is not None,
    )


def _in_file(ours: str) -> str:
    return f"base_model.model.{to_transformers(ours)}"
