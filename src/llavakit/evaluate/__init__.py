"""Scores with their uncertainty."""

from llavakit.evaluate.score import Score, accuracy, f1

__all__ = ["Score", "accuracy", "f1"]
