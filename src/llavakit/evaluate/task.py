"""What a benchmark is: where its files are, what it asks, and what answers are worth."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

from llavakit.errors import UsageError
from llavakit.evaluate.answers import Answers, Question, read_answers
from llavakit.evaluate.outcome import Outcome

SHORT = "Answer the question using a single word or phrase."
LETTER = "Answer with the option's letter from the given choices directly."
LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"


class Task(ABC):
    """One benchmark; a subclass for each, in `tasks/`.

    Attributes:
        name: as the command line knows it
        title: what it is, in a line
        where: what to download, from where, and how the folder looks; for people
        folder: what LLaVA's instructions call the data folder, where that is not the name
        images: the folder of pictures, below the data folder
        max_new_tokens: that an answer may have
    """

    name: ClassVar[str]
    title: ClassVar[str]
    where: ClassVar[str]
    folder: ClassVar[str] = ""
    images: ClassVar[str] = "images"
    max_new_tokens: ClassVar[int] = 128

    @abstractmethod
    def questions(self, data: Path) -> list[Question]:
        """All it asks, from the official files below `data`.

        Raises:
            UsageError: files are missing or malformed.
        """

    @abstractmethod
    def score(self, questions: Sequence[Question], answers: Answers) -> Outcome:
        """By the official rules.

        Raises:
            UsageError: its own server alone knows the truth: see `upload`.
        """

    def read(self, path: Path, questions: Sequence[Question]) -> Answers:
        """Answers in any of the task's formats.

        Raises:
            UsageError: malformed, or answers of something else.
        """
        return read_answers(path, questions)

    def score_file(self, path: Path, data: Path) -> Outcome:
        """Score somebody's answers; overridden where the file holds all that is needed.

        Raises:
            UsageError: as `questions`, `read` and `score`.
        """
        questions = self.questions(data)
        return self.score(questions, self.read(path, questions))

    def to_upload(self, data: Path) -> list[Question]:
        """The questions whose answers the upload must hold, where those are more or others than are asked.

        Raises:
            UsageError: as `questions`.
        """
        return self.questions(data)

    def upload(self, path: Path, questions: Sequence[Question], answers: Answers) -> None:
        """Write what the benchmark's own server scores.

        Raises:
            UsageError: it has none.
        """
        raise UsageError(f"{self.name} is scored here: there is nothing to upload")


def lettered(choices: Sequence[str]) -> str:
    """As LLaVA writes choices: a line each, "A. red"."""
    return "\n".join(f"{letter}. {choice}" for letter, choice in zip(LETTERS, choices, strict=False))
