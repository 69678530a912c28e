"""LoRA (Hu et al. 2021) in PEFT's files: `adapter_config.json` and `adapter_model`, merged as they are read.

PEFT names a layer as the model it trained did, behind "base_model.model.": `….q_proj.lora_A.weight` and
`lora_B` are the two factors, anything else is a weight that was trained whole.
"""

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from llavakit.checkpoint.json_file import read_json
from llavakit.checkpoint.tensors import Renamed, Safetensors, Tensors, TorchFiles, Wrapped
from llavakit.errors import CheckpointError, nearest

CONFIG = "adapter_config.json"
_PREFIX = "base_model.model."
_FACTOR = re.compile(r"\.lora_(A|B)\.(?:default\.)?weight$")
_REFUSED = {
    "use_dora": "DoRA",
    "fan_in_fan_out": "transposed weights",
    "layer_replication": "repeated layers",
}


@dataclass(frozen=True)
class Delta:
    """What LoRA adds to one weight: scale · B · A.

    Attributes:
        a, b: their names in the adapter's file, (rank, in) and (out, rank)
    """

    a: str
    b: str
    scale: float


@dataclass(frozen=True)
class Adapter:
    """An adapter's files, read but for the weights.

    Attributes:
        deltas: by the names of the layers' weights, as the trained model called them
        whole: weights that replace the base's
        base: what it was trained on, a name or a path
    """

    path: Path
    files: Tensors
    deltas: Mapping[str, Delta]
    whole: Tensors
    base: str | None
    revision: str | None


def read_adapter(folder: Path) -> Adapter:
    """Read a folder that PEFT wrote.

    Raises:
        CheckpointError: a file is missing or damaged, or holds another method than LoRA.
    """
    where = folder / CONFIG
    config = read_json(where)
    method = str(config.get("peft_type"))
    if method != "LORA":
        raise CheckpointError(f"{where}: adapters of type {method!r} are not supported, only 'LORA'")
    for field, what in _REFUSED.items():
        if config.get(field):
            raise CheckpointError(f"{where}: {what} ({field}) are not supported")
    path = next((p for p in map(folder.joinpath, _FILES) if p.is_file()), None)
    if path is None:
        raise CheckpointError(f"{folder} has no {_FILES[0]}: the adapter is only half there; fetch it again")
    files = TorchFiles([path]) if path.suffix == ".bin" else Safetensors([path])
    factors, whole = _sorted(files)
    deltas = {}
    for layer, pair in factors.items():
        if set(pair) != {"A", "B"}:
            raise CheckpointError(f"{path}: {layer} has one factor only: the adapter is damaged")
        rank = files.shape(pair["A"])[0]
        deltas[f"{layer}.weight"] = Delta(pair["A"], pair["B"], _scale(config, layer, rank, where))
    return Adapter(
        path,
        files,
        deltas,
        Renamed(files, whole),
        config.get("base_model_name_or_path"),
        config.get("revision"),
    )


_FILES = ("adapter_model.safetensors", "adapter_model.bin")


def trained_whole(stored: Iterable[str]) -> dict[str, str]:
    """{name in the trained model: name in the file} of a file of whole weights."""
    return {name.removeprefix(_PREFIX).removeprefix("base_model."): name for name in stored}


def _sorted(files: Tensors) -> tuple[dict[str, dict[str, str]], dict[str, str]]:
    """The factors, layer by layer, and the whole weights."""
    factors: dict[str, dict[str, str]] = {}
    whole = []
    for name in files:
        if (found := _FACTOR.search(name)) and len(files.shape(name)) == 2:
            layer = name[: found.start()].removeprefix(_PREFIX)
            factors.setdefault(layer, {})[found[1]] = name
        elif "lora_" in name:
            raise CheckpointError(f"{files.told(name)} is of a kind of LoRA that is not supported")
        else:
            whole.append(name)
    return factors, trained_whole(whole)


def _scale(config: dict[str, Any], layer: str, rank: int, where: Path) -> float:
    """alpha / rank, or alpha / √rank; some layers may have an alpha of their own."""
    patterns: dict[str, Any] = config.get("alpha_pattern") or {}
    own = [alpha for key, alpha in patterns.items() if re.fullmatch(rf"(.*\.)?({key})", layer)]
    alpha = own[0] if own else config.get("lora_alpha")
    if isinstance(alpha, bool) or not isinstance(alpha, int | float):
        hint = nearest("lora_alpha", config)
        raise CheckpointError(f"{where} has no number lora_alpha ({hint})")
    return alpha / (math.sqrt(rank) if config.get("use_rslora") else rank)


class Merged(Wrapped):
    """`base` with LoRA's deltas added: W + scale · B · A in float32, then in the type that is wanted.

    Args:
        deltas: by the names of `base`
        factors: where the deltas' factors are

    Raises:
        CheckpointError: the adapter was trained on another model: lists what does not fit.
    """

    def __init__(self, base: Tensors, deltas: Mapping[str, Delta], factors: Tensors, where: str) -> None:
        super().__init__(base)
        self._deltas, self._factors = deltas, factors
        there = set(base)
        wrong = []
        for name, delta in deltas.items():
            shape = (factors.shape(delta.b)[0], factors.shape(delta.a)[1])
            if name not in there:
                wrong.append(f"{name} is not there")
            elif base.shape(name) != shape:
                wrong.append(f"{base.told(name)} is {list(base.shape(name))}, the adapter's {list(shape)}")
        if wrong:
            more = f" and {len(wrong) - 1} more" if len(wrong) > 1 else ""
            raise CheckpointError(f"{where} was trained on another base: {wrong[0]}{more}")

    def read(self, name: str, dtype: torch.dtype | None = None, device: torch.device | str = "cpu") -> Tensor:
        if name not in self._deltas:
            return self._inner.read(name, dtype, device)
        delta = self._deltas[name]
        a, b = (self._factors.read(factor, torch.float32, device) for factor in (delta.a, delta.b))
        exact = torch.addmm(self._inner.read(name, torch.float32, device), b, a, alpha=delta.scale)
        return exact.to(dtype or self.dtype(name))

    def files(self) -> set[Path]:
        return self._inner.files() | self._factors.files()
