"""The Hugging Face hub: a model's files, fetched once, resumed, kept in the hub's own cache.

A module of its own because its library takes a tenth of a second to import, which only those pay who name
a model of the hub.
"""

from collections.abc import Iterable
from fnmatch import filter as matching
from pathlib import Path

import httpx2
from huggingface_hub import HfApi, scan_cache_dir, snapshot_download, try_to_load_from_cache
from huggingface_hub.constants import HF_HUB_ETAG_TIMEOUT
from huggingface_hub.errors import (
    CacheNotFound,
    GatedRepoError,
    HfHubHTTPError,
    HFValidationError,
    LocalEntryNotFoundError,
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

from llavakit.checkpoint.locate import EMBEDDED, PATTERNS, SMALL_PATTERNS, TORCH_PATTERNS, is_llava
from llavakit.errors import CheckpointError, LlavaError, UsageError


def download(name: str, revision: str | None, weights: bool) -> Path:
    """The cached folder of the model of that name; arguments and errors are those of `locate`."""
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
