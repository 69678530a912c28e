"""Checks of what a teacher wrote, against the scene it was told of."""

from llavakit.synth.check.checker import Checker

__all__ = ["Checker"]
