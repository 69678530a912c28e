"""From a model's name to its folder or file: the embedded model, a path, or the Hugging Face hub."""

import json
import re
from collections.abc import Iterable
from fnmatch import filter as matching
from importlib.resources import files
from pathlib import Path

import httpx2
from huggingface_hub import HfApi, snapshot_download, try_to_load_from_cache
from huggingface_hub.constants import HF_HUB_ETAG_TIMEOUT
from huggingface_hub.errors import (
    GatedRepoError,
    HfHubHTTPError,
    HFValidationError,
    LocalEntryNotFoundError,
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

from llavakit.errors import CheckpointError, LlavaError, UsageError

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
    return _download(model, revision, weights)


def _download(name: str, revision: str | None, weights: bool) -> Path:
    try:
        # Asked first because snapshot_download itself waits for it without limit.
        info = HfApi().model_info(name, revision=revision, timeout=HF_HUB_ETAG_TIMEOUT)
        there = [file.rfilename for file in info.siblings or []]
        return _snapshot(name, revision, wanted(there) if weights else SMALL_PATTERNS)
    except HFValidationError:
        raise UsageError(f"{name!r} cannot be the name of a model on the hub") from None
    except (httpx2.HTTPError, OSError, ValueError) as error:
        try:
            kept = _snapshot(name, revision, ["config.json"], local_files_only=True)
            if not weights:
                return kept
            there = [path.name for path in kept.iterdir()]
            return _snapshot(name, revision, wanted(there), local_files_only=True)
        except (LocalEntryNotFoundError, ValueError):
            raise _explained(name, revision, error) from None


def wanted(there: Iterable[str]) -> list[str]:
    """Patterns of the files to fetch from a repository that holds those."""
    there = [name for name in there if "/" not in name]
    torch_only = [own for own, other in TORCH_PATTERNS.items() if not matching(there, other)]
    return [*PATTERNS, *torch_only]


def _snapshot(name: str, revision: str | None, patterns: list[str], local_files_only: bool = False) -> Path:
    """The cached folder; files in folders within it are other frameworks' or copies."""
    return Path(
        snapshot_download(
            name,
            revision=revision,
            allow_patterns=patterns,
            ignore_patterns=["*/*"],
            local_files_only=local_files_only,
        )
    )


def _explained(name: str, revision: str | None, error: Exception) -> LlavaError:
    if isinstance(error, GatedRepoError):
        return CheckpointError(
            f"{name} is gated: accept its licence on the hub, then log in with `hf auth login`"
        )
    if isinstance(error, RepositoryNotFoundError) or _status(error) == 401:
        return UsageError(
            f"no model {name!r}: no such folder here, and none on the hub that your login may see"
        )
    if isinstance(error, RevisionNotFoundError):
        return UsageError(f"{name} has no branch, tag or commit {revision!r} on the hub")
    if isinstance(error, (httpx2.TransportError, OfflineModeIsEnabled)):
        return CheckpointError(
            f"{name} is not (or not wholly) in the local cache, and the hub cannot be reached: "
            f"connect once to download it, or try the embedded model, {EMBEDDED!r}"
        )
    reason = (str(error).strip() or type(error).__name__).splitlines()[0]
    return CheckpointError(f"downloading {name} failed ({reason}): run again, it resumes")


def _status(error: Exception) -> int | None:
    return error.response.status_code if isinstance(error, HfHubHTTPError) else None


def cached_models() -> list[tuple[str, Path, int]]:
    """LLaVA models in the hub's local cache: (name, folder, bytes)."""
    from huggingface_hub import scan_cache_dir
    from huggingface_hub.errors import CacheNotFound

    try:
        cache = scan_cache_dir()
    except CacheNotFound:
        return []
    found = []
    for repo in sorted(cache.repos, key=lambda repo: repo.repo_id):
        config = try_to_load_from_cache(repo.repo_id, "config.json") if repo.repo_type == "model" else None
        if isinstance(config, str) and is_llava(Path(config)):
            found.append((repo.repo_id, Path(config).parent, repo.size_on_disk))
    return found


def is_llava(config: Path) -> bool:
    """Whether this is the `config.json` of a LLaVA, ours or a relative's."""
    try:
        return "llava" in json.loads(config.read_text(encoding="utf-8"))["model_type"]
    except (OSError, ValueError, LookupError, TypeError):
        return False
