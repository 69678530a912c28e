"""Training: a recipe's stages, one after another, resumable at any step.

It knows the model, data and checkpoints; it does not know the engine or any benchmark (whoever
calls passes hooks). From the command line: `llava train recipes/tiny.toml`.
"""

from llavakit.train.loop import Step
from llavakit.train.recipe import Recipe, Stage
from llavakit.train.run import train

__all__ = ["Recipe", "Stage", "Step", "train"]
