"""The network in pure torch: vision tower, connector, language model. No files, no tokenizer."""

from llavakit.model.clip import CLIP
from llavakit.model.llava import Llava

__all__ = ["CLIP", "Llava"]
