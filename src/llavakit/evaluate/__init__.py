"""Scores with their uncertainty."""

from llavakit.evaluate.score import Score, accuracy, f1, ratio

__all__ = ["Score", "accuracy", "f1", "ratio"]
