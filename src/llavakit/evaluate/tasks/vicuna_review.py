"""Reviews of two chat models' answers to Vicuna's 80 questions (Chiang et al. 2023): texts, no pictures.

Scored by what each review's first line says, which must be two numbers: a `score` that the row holds beside
it may be −1, or have been put there by hand.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

from llavakit.errors import UsageError
from llavakit.evaluate.answers import Answers, Question
from llavakit.evaluate.outcome import Outcome
from llavakit.evaluate.reviews import read_reviews, relative, relative_interval
from llavakit.evaluate.task import Task


class VicunaReview(Task):
    """`first` and `second` are sums of scores, `relative` the second in percent of the first: over 100 where
    the second is the better one. Rows without two scores are `missing`, and in neither sum.
    """

    name = "vicuna-review"
    title = "Vicuna's review tables: two assistants' scores; the second's in percent of the first's"
    where = """\
Nothing: a table of reviews is scored as it is. Those of Vicuna's authors are in
https://github.com/haotian-liu/LLaVA/tree/main/llava/eval/table/review (review_*.jsonl)."""

    def questions(self, data: Path) -> list[Question]:
        raise UsageError(f"{self.name} asks a model nothing: give it a table of reviews")

    def score(self, questions: Sequence[Question], answers: Answers) -> Outcome:
        raise UsageError(f"{self.name} scores a table of reviews, not answers")

    def score_file(self, path: Path, data: Path) -> Outcome:
        reviews, duplicates = read_reviews(path, stored=False)
        pairs = [review.pair for review in reviews if review.pair]
        missing = [review.id for review in reviews if not review.pair]
        metrics = {
            "first": sum(pair[0] for pair in pairs), "second": sum(pair[1] for pair in pairs),
            "missing": float(len(missing)), "relative": relative(pairs),
        }  # fmt: skip
        notes = []
        if missing:
            notes.append(
                f"{len(missing)} of {len(reviews)} reviews do not begin with two scores and are left out "
                f"(question {', '.join(missing[:5])}{' …' if len(missing) > 5 else ''})"
            )
        marks = {review.id: min(1.0, review.pair[1] / 10) for review in reviews if review.pair}
        return Outcome(
            self.name, metrics["relative"], len(reviews), len(missing), relative_interval(pairs), metrics,
            duplicates=duplicates, marks=marks, notes=tuple(notes),
        )  # fmt: skip


TASKS: Mapping[str, Task] = {VicunaReview.name: VicunaReview()}
