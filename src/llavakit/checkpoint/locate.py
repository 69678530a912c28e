"""From a model's name to its folder or file: the embedded model, a path, or the Hugging Face hub."""

import json
import re
from importlib.resources import files
from pathlib import Path

from llavakit.errors import UsageError

EMBEDDED = "tiny"
# What a model needs; other frameworks' files stay on the hub.
PATTERNS = [
    "*.json", "*.safetensors", "*.model", "*.jinja", "*.txt", "mm_projector.bin", "non_lora_trainables.bin"
]  # fmt: skip
# `torch.save`'s files, wanted only where the same weights are not there as safetensors.
TORCH_PATTERNS = {
    "pytorch_model*.bin": "model*.safetensors", "pytorch_model.bin.index.json": "model*.safetensors",
    "adapter_model.bin": "adapter_model.safetensors",
}  # fmt: skip
# What describes a model; the indices tell in which format its weights are.
SMALL_PATTERNS = ["*.json", "*.model", "*.jinja", "*.txt"]
_FILES = (".bin", ".gguf")  # formats of a single file
_HUB_NAME = re.compile(r"[\w.-]+/[\w.-]+")


def embedded_folder() -> Path:
    """The folder of the model that ships with the package."""
    return Path(str(files("llavakit.tiny"))) / "weights"


def locate(model: str | Path, revision: str | None = None, *, weights: bool = True) -> Path:
    """The folder of `model`, downloaded first where need be (resumable, cached, offline honoured).

    A path may also be that of a file, for formats that are one.

    Args:
        weights: False: of a model that is on the hub fetch only what describes it

    Raises:
        UsageError: no such folder or file, and not the name of a model on the hub.
        CheckpointError: the hub cannot be reached, or refuses.
    """
    if str(model) == EMBEDDED:
        return embedded_folder()
    path = Path(model).expanduser()
    if str(model) and path.is_dir():
        return path
    if path.is_file() and path.suffix in _FILES:
        return path
    if path.is_file():
        raise UsageError(f"{path} is a file: a model is a folder with a config.json, or a name on the hub")
    if not isinstance(model, str) or not _HUB_NAME.fullmatch(model):
        raise UsageError(
            f"no model {str(model)!r}: give '{EMBEDDED}', a folder that exists, "
            "or a hub name such as llava-hf/llava-1.5-7b-hf"
        )
    from llavakit.checkpoint.hub import download

    return download(model, revision, weights)


def is_llava(config: Path) -> bool:
    """Whether this is the `config.json` of a LLaVA, ours or a relative's."""
    try:
        return "llava" in json.loads(config.read_text(encoding="utf-8"))["model_type"]
    except (OSError, ValueError, LookupError, TypeError):
        return False
