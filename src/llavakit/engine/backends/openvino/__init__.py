"""The CPU backend: a model as two OpenVINO graphs, its weights memory-mapped from where they are stored."""

from typing import TYPE_CHECKING

from llavakit.checkpoint.source import Source
from llavakit.errors import UsageError

if TYPE_CHECKING:
    from llavakit.engine.backends.openvino.backend import OpenVINOBackend

# The paged attention is OpenVINO's own business, and its inputs change from one release to the next.
_RELEASE = "2026.4"


def open_backend(
    source: Source,
    *,
    exact: bool,
    tokens: int,
    cache_bits: int | None = None,
    threads: int | None = None,
) -> "OpenVINOBackend":
    """Build the graphs of a model and let OpenVINO lay its weights out for this processor.

    Args:
        source: with the weights as they are to be, in files best (`checkpoint.kept`)
        exact: everything in float32, the cache of keys and values too: for tests. Else in what the
            processor is fast at: 16 bits between the layers, 8 inside packed ones and in the cache
        tokens: positions that the pool holds, of all sequences together
        cache_bits: of each key's and value's numbers: 8, 16 or 32; None: 32 where exact, else 8
        threads: None: as many as OpenVINO finds right

    Raises:
        UsageError: OpenVINO is not there, is another release, or cannot compute with such weights.
        CheckpointError: a file of the source is damaged.
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
    config = source.said.config
    if config.quantization is not None and config.quantization.scheme not in ("int8", "int4"):
        raise UsageError(
            f"the backend openvino has no {config.quantization.scheme}: take int8 or int4, "
            "or the backend torch"
        )
    from llavakit.engine.backends.openvino.backend import OpenVINOBackend

    bits = cache_bits or (32 if exact else 8)
    return OpenVINOBackend(config, source.tensors, exact=exact, tokens=tokens, bits=bits, threads=threads)
