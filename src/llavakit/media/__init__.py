"""Pictures in: opened safely from anywhere, and turned into the pixels a vision tower sees.

NumPy and Pillow only; knows nothing of prompts, models or torch.
"""

from llavakit.media.open import ImageSource, Limits, open_image, read_encoded
from llavakit.media.process import preprocess, within
from llavakit.media.tiles import views

__all__ = ["ImageSource", "Limits", "open_image", "preprocess", "read_encoded", "views", "within"]
