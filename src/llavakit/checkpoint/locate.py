"""From a model's name to its folder: the embedded model, a folder, or the Hugging Face hub."""

import json
import re
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
# What a model needs; `.bin` weights and other frameworks' files stay on the hub.
PATTERNS = ["*.json", "*.safetensors", "*.model", "*.jinja", "*.txt"]
_HUB_NAME = re.compile(r"[\w.-]+/[\w.-]+")


def embedded_folder() -> Path:
    """The folder of the model that ships with the package."""
    return Path(str(files("llavakit.tiny"))) / "weights"


def locate(model: str | Path, revision: str | None = None) -> Path:
    """The folder of `model`, downloaded first where need be (resumable, cached, offline honoured).

    Raises:
        UsageError: no such folder, and not the name of a model on the hub.
        CheckpointError: the hub cannot be reached, or refuses.
    """
    if str(model) == EMBEDDED:
        return embedded_folder()
    path = Path(model).expanduser()
    if str(model) and path.is_dir():
        return path
    if path.is_file():
        raise UsageError(f"{path} is a file: a model is a folder with a config.json, or a name on the hub")
    if not isinstance(model, str) or not _HUB_NAME.fullmatch(model):
        raise UsageError(
            f"no model {str(model)!r}: give '{EMBEDDED}', a folder that exists, "
            "or a hub name such as llava-hf/llava-1.5-7b-hf"
        )
    return _download(model, revision)


def _download(name: str, revision: str | None) -> Path:
    try:
        # Asked first because snapshot_download itself waits for it without limit.
        HfApi().model_info(name, revision=revision, timeout=HF_HUB_ETAG_TIMEOUT)
        return _snapshot(name, revision)
    except HFValidationError:
        raise UsageError(f"{name!r} cannot be the name of a model on the hub") from None
    except (httpx2.HTTPError, OSError, ValueError) as error:
        try:
            return _snapshot(name, revision, local_files_only=True)
        except (LocalEntryNotFoundError, ValueError):
            raise _explained(name, revision, error) from None


def _snapshot(name: str, revision: str | None, local_files_only: bool = False) -> Path:
    """The cached folder; files in folders within it are other frameworks' or copies."""
    return Path(
        snapshot_download(
            name,
            revision=revision,
            allow_patterns=PATTERNS,
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
