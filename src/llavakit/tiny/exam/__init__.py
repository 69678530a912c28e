"""The examination: questions on scenes that no training run has seen, marked by exact rules.

`lines` are what is asked, `ask` puts it to a model, `retrieval` examines the towers alone.
"""

from llavakit.tiny.exam.ask import examine
from llavakit.tiny.exam.item import Item, Line, Marked, Result
from llavakit.tiny.exam.lines import LINES, chosen, notes
from llavakit.tiny.exam.retrieval import RETRIEVAL, examine_retrieval

__all__ = [
    "LINES", "RETRIEVAL", "Item", "Line", "Marked", "Result", "chosen", "examine", "examine_retrieval",
    "notes",
]  # fmt: skip
