"""Pictures to begin with, and what to ask of them, in both languages.

All are drawn, so that the embedded model can see them too.
"""

from dataclasses import dataclass
from pathlib import Path

from llavakit.serve.page.words import Language

FOLDER = Path(__file__).parent / "examples"


@dataclass(frozen=True)
class Example:
    """A picture of the folder, and a question."""

    name: str
    english: str
    chinese: str

    @property
    def path(self) -> Path:
        return FOLDER / self.name

    def question(self, language: Language) -> str:
        return self.chinese if language == "zh" else self.english


# Each of them the embedded model answers rightly, in either language (tests/serve/test_page.py).
EXAMPLES = (
    Example("toys.png", "How many cars are there?", "图里有狗吗？"),
    Example("beach.png", "What colour is the sailboat?", "帆船是什么颜色？"),
    Example("street.png", "What is unusual about it?", "公交车是什么颜色？"),
    Example("desert.png", "What kind of fish is in the picture?", "图里有什么鱼？"),
    Example("kitchen.png", "Where was this picture taken?", "这是哪里？"),
    Example("chart.png", "What kind of chart is this?", "这是什么图？"),
)
