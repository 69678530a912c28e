"""Checkpoints that are not whole: a connector, or a LoRA, for a base that is somewhere else.

The original repository's training writes both: the alignment stage `mm_projector.bin`, LoRA tuning PEFT's
files with the connector beside them in `non_lora_trainables.bin`. A config.json stands with them that says
everything about the model; weights and tokenizer are the base's. PEFT on a Hugging Face LLaVA writes no
config.json, or one of that layout: there the base is a whole LLaVA, and says it.
"""

import hashlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import torch

from llavakit.checkpoint.folder import OWN, WORDS, read_own
from llavakit.checkpoint.json_file import read_json
from llavakit.checkpoint.locate import locate
from llavakit.checkpoint.lora import CONFIG, Adapter, Merged, read_adapter, trained_whole
from llavakit.checkpoint.original import ours_to_original, own_weights, read_small_files
from llavakit.checkpoint.original_config import is_original
from llavakit.checkpoint.source import Source
from llavakit.checkpoint.tensors import Joined, Renamed, Tensors, TorchFiles
from llavakit.errors import CheckpointError, LlavaError, UsageError
from llavakit.prompt.tokenizer import Tokenizer

CONNECTOR = "mm_projector.bin"
TRAINED = "non_lora_trainables.bin"
FINGERPRINT = "base_fingerprint"  # in the provenance of an adapter's llavakit.json
_TOKENIZERS = ("tokenizer.json", "tokenizer.model")
_SAMPLED = 512  # values at each end of a tensor

Open = Callable[[Path], Source]  # any whole LLaVA


def fingerprint(tensors: Tensors) -> str:
    """What tells a base from another: SHA-256 over each tensor's name, shape, and first and last values.

    512 of them at either end, as float32, in the order of the names. A fine-tune moves every tensor it
    trains, all through, so that two models that differ differ here, and a 7B takes a second instead of the
    minute that all its bytes would.

    Args:
        tensors: the base's, under our names
    """
    digest = hashlib.sha256()
    for name in sorted(tensors):
        digest.update(f"{name} {list(tensors.shape(name))}\n".encode())
        values = tensors.read(name).flatten()
        ends = torch.cat([values[:_SAMPLED], values[-_SAMPLED:]]).float()
        digest.update(ends.contiguous().numpy().tobytes())
    return digest.hexdigest()


def open_projector(
    path: Path, open_whole: Open, base: str | Path | None = None, vision_tower: str | Path | None = None
) -> Source:
    """Open a connector alone, `mm_projector.bin` or its folder, on a base.

    Args:
        open_whole: opens a base that is a LLaVA
        base: folder or hub name of the language model, or of a LLaVA whose connector is replaced

    Raises:
        UsageError: no base is given.
        CheckpointError: a file is missing or damaged, or the parts do not fit together.
    """
    file = path / CONNECTOR if path.is_dir() else path
    files = TorchFiles([file])
    own = Renamed(files, ours_to_original(files))
    if not any(name.startswith("connector.") for name in own):
        raise CheckpointError(f"{file} holds no connector: its tensors are {', '.join(list(files)[:3])} …")
    if base is None:
        raise UsageError(
            f"{file} is a connector without a language model: name the one it was trained for with --base"
        )
    return _on_base(file.parent, own, locate(base), open_whole, vision_tower)


def open_lora(
    folder: Path, open_whole: Open, base: str | Path | None = None, vision_tower: str | Path | None = None
) -> Source:
    """Open a LoRA on its base; the two are merged as weights are read.

    Args:
        open_whole: opens a base that is a LLaVA
        base: folder or hub name; None: the one that the adapter's own configuration names

    Raises:
        CheckpointError: a file is missing or damaged, the base cannot be had or is another than the one it
            was trained on.
    """
    adapter = read_adapter(folder)
    trained = folder / TRAINED
    own: Tensors = adapter.whole
    if trained.is_file():
        files = TorchFiles([trained])
        own = Joined(own, Renamed(files, trained_whole(files)))
    own = Renamed(own, ours_to_original(own))
    place = locate(base) if base is not None else _named_base(adapter)
    source = _on_base(folder, own, place, open_whole, vision_tower)
    names = ours_to_original(adapter.deltas)
    deltas = {ours: adapter.deltas[theirs] for ours, theirs in names.items()}
    merged = Merged(source.tensors, deltas, adapter.files, f"{adapter.path} on {place}")
    return replace(source, tensors=merged)


def _named_base(adapter: Adapter) -> Path:
    where = adapter.path.parent / CONFIG
    if not adapter.base:
        raise UsageError(f"{where} names no base: give the model it was trained on with --base")
    try:
        return locate(adapter.base, adapter.revision)
    except LlavaError as error:
        raise CheckpointError(
            f"{where} names the base {adapter.base!r}, which could not be had ({error}): give it with --base"
        ) from None


def _on_base(
    folder: Path, own: Tensors, base: Path, open_whole: Open, vision_tower: str | Path | None
) -> Source:
    """The weights of `folder` over those of `base`, which is a LLaVA or a language model."""
    mine = read_own(folder)
    recorded = mine.provenance.get(FINGERPRINT)
    whole = open_whole(base) if _is_llava(base) else None
    under = own_weights(base) if whole is None else whole.tensors
    if recorded is not None and recorded != fingerprint(under):
        raise CheckpointError(
            f"{folder} was trained on another base than {base}: the weights differ from those that "
            f"{OWN} remembers; give the right one with --base"
        )
    if WORDS in set(own) and WORDS in set(under) and own.shape(WORDS)[0] < under.shape(WORDS)[0]:
        raise CheckpointError(
            f"{folder} holds embeddings of its new tokens alone, which is not supported: "
            "merge it with the original code"
        )
    tensors = Joined(own, under)
    config = folder / "config.json"
    if config.is_file() and is_original(read_json(config)):
        tokens: Path | Tokenizer = base if whole is None else whole.tokenizer
        if any((folder / name).is_file() for name in _TOKENIZERS):
            tokens = folder
        return read_small_files(folder, tokens, tensors, vision_tower).source(tensors)
    if whole is None:
        raise CheckpointError(
            f"{folder} has no config.json of a LLaVA and {base} is none: nothing says how the two are joined"
        )
    # Tuned here, it may have another template than its base; how the parts are joined is the base's.
    template = mine.template or whole.said.template
    provenance = mine.provenance or whole.said.own.provenance
    own_file = whole.said.own.model_copy(update={"template": template, "provenance": provenance})
    said = replace(whole.said, own=own_file, template=template)
    return replace(whole, said=said, tensors=tensors)


def _is_llava(base: Path) -> bool:
    if base.is_file() or (base / CONFIG).is_file():  # GGUF; a LoRA of its own
        return True
    hf = read_json(base / "config.json")
    return is_original(hf) or "vision_config" in hf or "llava" in str(hf.get("model_type"))
