"""llavakit: the complete LLaVA. `LLaVA.from_pretrained("tiny").generate("What is this?", images=[...])`."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from llavakit.chat import Chat, LLaVAChatBot
    from llavakit.engine import Reply
    from llavakit.llava import LLaVA
    from llavakit.pipelines import pipeline

__version__ = "0.1.0"
__all__ = ["Chat", "LLaVA", "LLaVAChatBot", "Reply", "__version__", "pipeline"]

# Resolved on first use, so that `import llavakit` and `llava --help` do not pay for torch.
_HOMES = {
    "Chat": "llavakit.chat",
    "LLaVA": "llavakit.llava",
    "LLaVAChatBot": "llavakit.chat",
    "Reply": "llavakit.engine",
    "pipeline": "llavakit.pipelines",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'llavakit' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
