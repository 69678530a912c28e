"""The CPU backend: a model as two OpenVINO graphs, its weights memory-mapped from where they are stored."""

from pathlib import Path
from typing import TYPE_CHECKING

from llavakit.checkpoint.source import Source
from llavakit.config import Quantization
from llavakit.errors import UsageError

if TYPE_CHECKING:
    from llavakit.engine.backends.openvino.backend import OpenVINOBackend

# The paged attention is OpenVINO's own business, and its inputs change from one release to the next.
_RELEASE = "2026.4"


def open_backend(
    source: Source,
    plan: Quantization | None,
    *,
    exact: bool,
    tokens: int,
    cache: Path | None = None,
    threads: int | None = None,
) -> "OpenVINOBackend":
    """Build the graphs of a model and let OpenVINO lay its weights out for this processor.

    Args:
        plan: bits of the weights; None: as the source has them
        exact: everything in float32, the cache of keys and values too: for tests. Else in what the
            processor is fast at: 16 bits between the layers, 8 inside packed ones and in the cache
        tokens: positions that the pool holds, of all sequences together
        cache: where packed weights are kept; None: see `convert.cache_folder`
        threads: None: as many as OpenVINO finds right

    Raises:
        UsageError: OpenVINO is not there, is another release, or cannot compute what `plan` asks for.
        CheckpointError: a file of the source is damaged, or the cache cannot be written.
        LlavaError: there is no memory for so many tokens.
    """
    try:
        import openvino
    except ImportError:
        raise UsageError("the backend openvino needs OpenVINO: pip install 'llavakit[cpu]'") from None
    if not openvino.__version__.startswith(f"{_RELEASE}."):
        raise UsageError(
            f"OpenVINO {openvino.__version__.partition('-')[0]} is installed, and the backend openvino needs "
            f"{_RELEASE}: pip install 'llavakit[cpu]'"
        )
    from llavakit.engine.backends.openvino.backend import OpenVINOBackend
    from llavakit.engine.backends.openvino.convert import opened

    config, tensors = opened(source, plan, cache)
    return OpenVINOBackend(config, tensors, exact=exact, tokens=tokens, threads=threads)
