"""ScienceQA by a model and a judge together: see `ensemble.py`."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from llavakit.evaluate.answers import Answers, Question
from llavakit.evaluate.ensemble import ALONE, SETTLE, answered_alone, letter, settled
from llavakit.evaluate.judge import Judge
from llavakit.evaluate.judged import JudgedTask, check_usable, told
from llavakit.evaluate.outcome import Outcome, percent
from llavakit.evaluate.task import Task
from llavakit.evaluate.tasks.scienceqa import ScienceQA

_OWN = ("judge_answers.json", "judge_answers.jsonl")


class ScienceQAEnsemble(JudgedTask, ScienceQA):
    """`ensemble` is the accuracy of the final answers, ScienceQA's groups are parts of it; `agreement` is the
    share of questions that both answer with the same letter; `model` and `judge` have what each scores alone,
    `complement` the judge's answers filled up with the model's, `upper_bound` where either is right.
    """

    name = "scienceqa-ensemble"
    title = "ScienceQA with a judge that settles where its own answer and the model's differ"
    where = f"""\
{ScienceQA.where}
DIR/judge_answers.jsonl   (optional: the judge's own answers, as scienceqa reads them; else asked for)"""

    def judged(self, questions: Sequence[Question], answers: Answers, judge: Judge, data: Path) -> Outcome:
        notes: tuple[str, ...] = ()
        given = next((data / name for name in _OWN if (data / name).is_file()), None)
        if given is not None:
            own = self.read(given, questions)
            notes += (f"the judge's own answers are those of {given.name}",)
        else:
            own, alone = answered_alone(questions, judge)
            check_usable(judge, alone)
            notes += told(judge, ALONE, alone)
        final = settled(questions, answers, own, judge)
        notes += told(judge, SETTLE, final.judgements)
        outcome = ScienceQA.score(self, questions, final.answers)

        def right(question: Question, *those: Answers) -> bool:
            """The first of those that names a letter counts."""
            named = (letter(question, one) for one in those)
            return bool(next((one for one in named if one is not None), None) == question.truth)

        unsettled = sum(each.value is None for each in final.judgements)
        if unsettled:
            notes += (
                f"they differ on {len(final.judgements)}; on {unsettled} of these nothing was settled: the "
                "model's answer stands",
            )
        groups = {name: value for name, value in outcome.metrics.items() if name != "accuracy"}
        metrics = {
            "ensemble": outcome.score,
            "agreement": percent(question.id in final.agreed for question in questions),
            "model": percent(right(question, answers) for question in questions),
            "judge": percent(right(question, own) for question in questions),
            "complement": percent(right(question, own, answers) for question in questions),
            "upper_bound": percent(right(one, answers) or right(one, own) for one in questions),
        } | groups  # fmt: skip
        return replace(
            outcome, metrics=metrics, missing=outcome.missing + unsettled, notes=(*outcome.notes, *notes)
        )


TASKS: Mapping[str, Task] = {ScienceQAEnsemble.name: ScienceQAEnsemble()}
