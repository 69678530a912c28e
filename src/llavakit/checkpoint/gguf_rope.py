"""Stretched rotary positions in GGUF: keys for `linear` and `yarn`, a tensor of factors for Llama 3's.

llama.cpp's converter writes of Llama 3's four numbers only what they come to: each frequency's divisor,
`rope_freqs.weight`. The numbers are found again from it.
"""

import math
from typing import Any

import torch
from torch import Tensor

from llavakit.checkpoint.gguf_file import GGUFFile, GGUFTensors
from llavakit.checkpoint.gguf_names import ROPE_FACTORS
from llavakit.config import LanguageConfig, RopeScaling
from llavakit.errors import CheckpointError
from llavakit.model.language.rope import rope_frequencies

_TOLERANCE = 1e-4  # relative, on frequencies; the divisors are stored in 32 bits


def read_scaling(file: GGUFFile, language: LanguageConfig) -> RopeScaling | None:
    """How positions are stretched.

    Raises:
        CheckpointError: in a way that is not supported.
    """

    def get(key: str, default: Any = None) -> Any:
        return file.metadata.get(f"{file.metadata['general.architecture']}.rope.{key}", default)

    if ROPE_FACTORS in file.tensors:
        divisors = GGUFTensors(file).read(ROPE_FACTORS, torch.float32)
        return _llama3(divisors, language, str(file.path))
    kind = get("scaling.type", "linear" if get("scale_linear") else "none")
    if kind == "none":
        return None
    values: dict[str, Any] = {"rope_type": kind, "factor": get("scaling.factor", get("scale_linear"))}
    if kind == "yarn":
        trained = get("scaling.original_context_length")
        values["original_max_position_embeddings"] = trained
        for ours, theirs in (("beta_fast", "yarn_beta_fast"), ("beta_slow", "yarn_beta_slow")):
            if (value := get(f"scaling.{theirs}")) is not None:
                values[ours] = value
        if (extra := get("scaling.attn_factor")) is not None:
            values["attention_factor"] = extra * _warmth(values["factor"])
    return RopeScaling.parse(values, str(file.path))


def _warmth(factor: float) -> float:
    """YaRN's own factor of cos and sin, to which llama.cpp's `attn_factor` is one more."""
    return 0.1 * math.log(factor) + 1.0


def scaling_metadata(architecture: str, scaling: RopeScaling | None, where: str) -> dict[str, Any]:
    """The keys of a scaling; Llama 3's has none, see `llama3_divisors`.

    Raises:
        CheckpointError: llama.cpp does not know it for this architecture.
    """
    if scaling is None:
        return {}
    if scaling.rope_type == "llama3":
        if architecture != "llama":
            raise CheckpointError(
                f"{where}: rope_scaling 'llama3' is not known for {architecture} in llama.cpp"
            )
        return {}
    values: dict[str, Any] = {"type": scaling.rope_type, "factor": scaling.factor}
    if scaling.rope_type == "yarn":
        values |= {"yarn_beta_fast": scaling.beta_fast, "yarn_beta_slow": scaling.beta_slow}
        if scaling.original_max_position_embeddings is not None:
            values["original_context_length"] = scaling.original_max_position_embeddings
        if scaling.attention_factor is not None:
            values["attn_factor"] = scaling.attention_factor / _warmth(scaling.factor)
    return {f"{architecture}.rope.scaling.{key}": value for key, value in values.items()}


def llama3_divisors(language: LanguageConfig) -> Tensor | None:
    """(head_dim / 2,): what each frequency is divided by; None where positions are not Llama 3's."""
    if language.rope_scaling is None or language.rope_scaling.rope_type != "llama3":
        return None
    plain, _ = rope_frequencies(language.model_copy(update={"rope_scaling": None}))
    stretched, _ = rope_frequencies(language)
    return plain / stretched


def _llama3(divisors: Tensor, language: LanguageConfig, where: str) -> RopeScaling | None:
    """The numbers behind the divisors.

    Long waves are divided by `factor`, short ones by 1. Between them the inverse of the divisor goes
    linearly with the inverse wave length, from which the two bounds follow; only their ratio to the
    trained length counts, so `low_freq_factor` is taken to be 1.
    """
    plain, _ = rope_frequencies(language)
    factor = float(divisors.max())
    if divisors.shape != plain.shape or factor < 1:
        raise _unknown(where)
    if factor == 1:
        return None
    if float(divisors.min()) == factor:
        return RopeScaling(rope_type="linear", factor=factor)
    turns = (plain / (2 * math.pi)).double()  # 1 / wave length
    kept = (1 / divisors.double() - 1 / factor) / (1 - 1 / factor)  # 1: not stretched, 0: wholly
    between = ((kept > 1e-3) & (kept < 1 - 1e-3)).nonzero().flatten()
    if len(between) >= 2:
        first, last = int(between[0]), int(between[-1])
        slope = float((kept[first] - kept[last]) / (turns[first] - turns[last]))
        low = float(slope * turns[first] - kept[first])  # of the bounds' distance
        trained, high = slope / low, 1 + 1 / low
    elif len(between) == 1:
        high = 4.0  # Llama 3's
        trained = float((kept[between] * (high - 1) + 1) / turns[between])
    else:
        long, short = turns[kept <= 1e-3].max(), turns[kept >= 1 - 1e-3].min()
        trained, high = float(1 / long), float(short / long)
    whole = max(round(trained), 1)
    scaling = RopeScaling(
        rope_type="llama3",
        factor=factor,
        low_freq_factor=round(whole / trained, 6),
        high_freq_factor=round(high * whole / trained, 6),
        original_max_position_embeddings=whole,
    )
    found, _ = rope_frequencies(language.model_copy(update={"rope_scaling": scaling}))
    if not torch.allclose(found, plain / divisors, rtol=_TOLERANCE, atol=0):
        raise _unknown(where)
    return scaling


def _unknown(where: str) -> CheckpointError:
    return CheckpointError(
        f"{where}: positions are stretched ({ROPE_FACTORS}) in a way that is not supported"
    )
