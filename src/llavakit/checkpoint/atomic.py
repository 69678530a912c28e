"""A model folder is replaced whole or not at all, and nothing but a model folder is ever replaced."""

import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from fnmatch import fnmatch
from pathlib import Path

from safetensors import SafetensorError

from llavakit.checkpoint.locate import PATTERNS, TORCH_PATTERNS, is_llava
from llavakit.errors import CheckpointError


def _is_model(folder: Path) -> bool:
    return is_llava(folder / "config.json")


@contextmanager
def atomic_folder(
    folder: Path,
    patterns: Sequence[str] = (*PATTERNS, *TORCH_PATTERNS),
    is_model: Callable[[Path], bool] = _is_model,
) -> Iterator[Path]:
    """A folder to write into that becomes `folder` only when the block ends without error.

    A model folder that is there already stays until the new one is whole.

    Args:
        patterns: files that a model folder of this layout holds
        is_model: whether a folder that holds no others is one

    Raises:
        CheckpointError: `folder` holds anything but a model (it would be lost), or cannot be written.
    """
    folder = folder.resolve()
    _check_replaceable(folder, patterns, is_model)
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        partial = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
    except OSError as error:
        raise CheckpointError(f"{folder} cannot be written: {error.strerror}") from None
    try:
        yield partial
        partial.chmod(0o755)  # mkdtemp's is for the owner alone, and so are safetensors' files
        for path in partial.iterdir():
            path.chmod(0o644)
        _replace(folder, partial)
    except (OSError, SafetensorError) as error:
        raise CheckpointError(f"{folder} could not be written ({error}): nothing was changed") from None
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _check_replaceable(folder: Path, patterns: Sequence[str], is_model: Callable[[Path], bool]) -> None:
    if folder.exists() and not folder.is_dir():
        raise CheckpointError(f"{folder} is a file: choose a new folder")
    there = [path.name for path in folder.iterdir()] if folder.exists() else []
    foreign = [name for name in there if not any(fnmatch(name, pattern) for pattern in patterns)]
    if foreign or (there and not is_model(folder)):
        raise CheckpointError(
            f"{folder} holds other files, such as {(foreign or there)[0]}: choose an empty or new folder"
        )


def _replace(folder: Path, new: Path) -> None:
    old = new.with_name(f"{new.name}.old")
    if folder.exists():
        folder.rename(old)
    try:
        new.rename(folder)
    except OSError:
        if old.exists():
            old.rename(folder)
        raise
    shutil.rmtree(old, ignore_errors=True)
