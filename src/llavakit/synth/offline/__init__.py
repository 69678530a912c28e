"""The offline teacher."""

from llavakit.synth.offline.teacher import OfflineTeacher

__all__ = ["OfflineTeacher"]
