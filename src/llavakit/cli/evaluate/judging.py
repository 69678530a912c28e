"""Who judges open answers, for the tasks that need it."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from llavakit.cli.telling import progress_bar

if TYPE_CHECKING:
    from llavakit.evaluate.answers import Answers, Question
    from llavakit.evaluate.outcome import Outcome
    from llavakit.evaluate.task import Task


@dataclass(frozen=True)
class Judging:
    """Who judges open answers, if anybody."""

    model: str | None
    url: str

    def score(
        self, task: "Task", questions: "Sequence[Question]", answers: "Answers", folder: Path, kept: Path
    ) -> "Outcome":
        from llavakit.evaluate.judge import Judge
        from llavakit.evaluate.judged import JudgedTask

        if not isinstance(task, JudgedTask) or self.model is None:
            return task.score(questions, answers)
        with progress_bar() as progress:
            bar = progress.add_task(f"{task.name}: {self.model} judges", total=None)
            judge = Judge(
                self.model, self.url, kept=kept,
                progress=lambda done, of: progress.update(bar, completed=done, total=of),
            )  # fmt: skip
            return task.judged(questions, answers, judge, folder)
