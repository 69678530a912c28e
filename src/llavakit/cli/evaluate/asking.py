"""A model is asked: here, behind an API, or on a Ray cluster."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from llavakit.cli import options
from llavakit.cli.evaluate.places import folder_of
from llavakit.cli.evaluate.telling import tell_failed
from llavakit.cli.telling import progress_bar, say
from llavakit.errors import UsageError

if TYPE_CHECKING:
    from llavakit.cli.evaluate.judging import Judging
    from llavakit.evaluate.answers import Question
    from llavakit.evaluate.pictures import Pictures
    from llavakit.evaluate.result import Result
    from llavakit.evaluate.run import Answerer, Asker, Shard
    from llavakit.evaluate.task import Task
    from llavakit.llava import LLaVA


@dataclass(frozen=True)
class Asking:
    """A model, and how it is asked."""

    model: str
    base_url: str | None
    ray: int
    ray_address: str | None
    loading: dict[str, Any]
    out: Path
    data: Path | None
    images: Path | None
    upload: Path | None
    limit: int | None
    batch: int
    max_new_tokens: int | None
    shard: "Shard"
    check_batching: int
    judging: "Judging"

    def run(self, tasks: "Sequence[Task]") -> "list[Result]":
        """The results of those tasks of which no other shard's answers are missing."""
        # All that can be wrong with any task's files is told before a model is loaded.
        plans = [(task, folder_of(task, self.data)) for task in tasks]
        asked = [self._questions(task, folder) for task, folder in plans]
        models = self._model()
        results = []
        for (task, folder), (questions, pictures) in zip(plans, asked, strict=True):
            result = self._one(task, folder, questions, pictures, *models(pictures, self._longest(task)))
            results += [result] if result is not None else []
        return results

    def _model(self) -> "Callable[[Pictures, int], tuple[Asker, Answerer | None]]":
        """The model, to be told of each task where its pictures are and how long answers may be.

        Also as one that can be asked a few questions alone, where that is to be had.
        """
        from llavakit.evaluate.run import in_batches

        if self.ray:
            return self._on_ray
        if self.base_url is not None:
            from llavakit.api import Api
            from llavakit.evaluate.remote import RemoteModel

            made: Callable[[Pictures, int], Answerer]
            made = partial(RemoteModel, Api(self.model, self.base_url), on_failed=tell_failed)
        else:
            made = partial(local, options.load(self.model, **self.loading))

        def model(pictures: "Pictures", longest: int) -> "tuple[Asker, Answerer | None]":
            answer = made(pictures, longest)
            return in_batches(answer, self.batch), answer

        return model

    def _on_ray(self, pictures: "Pictures", longest: int) -> "tuple[Asker, None]":
        from llavakit.cli.evaluate.cluster import OnRay

        where = pictures.folders
        asker = OnRay(self.model, self.loading, where, longest, self.batch, self.ray, self.ray_address)
        return asker, None

    def _longest(self, task: "Task") -> int:
        return self.max_new_tokens or task.max_new_tokens

    def _questions(self, task: "Task", folder: Path) -> "tuple[list[Question], Pictures]":
        from llavakit.evaluate.pictures import Pictures

        questions = task.questions(folder)
        if self.limit is not None and self.limit < len(questions):
            questions = [questions[i * len(questions) // self.limit] for i in range(self.limit)]
        pictures = Pictures([*([self.images] if self.images else []), folder / task.images, folder])
        pictures.check(questions)
        return questions, pictures

    def _one(
        self,
        task: "Task",
        folder: Path,
        questions: "list[Question]",
        pictures: "Pictures",
        asker: "Asker",
        alone: "Answerer | None",
    ) -> "Result | None":
        from llavakit.evaluate.answers import Answers
        from llavakit.evaluate.result import Result, slug
        from llavakit.evaluate.run import answered, ask, differing

        where = self.out / slug(self.model) / task.name
        followed = ("dtype", "quantize", "template", "base", "vision_tower", "image_tokens")
        settings = {"task": task.name, "model": self.model, "max_new_tokens": self._longest(task)}
        settings |= {"base_url": self.base_url} | {name: self.loading[name] for name in followed}
        own = self.shard.of(questions)
        with progress_bar() as progress:
            bar = progress.add_task(task.name, total=len(own))
            texts = ask(
                own, asker, self.shard.file(where), settings,
                on_answered=lambda count: progress.advance(bar, count),
            )  # fmt: skip
        for file in self.shard.files(where):
            texts |= answered(file)
        left = [question.id for question in questions if question.id not in texts]
        others = set(left) - {question.id for question in own}
        if others:
            say(f"{task.name}: this part is done; {len(others)} answers are up to the others")
            return None
        if left:
            say(
                f"{task.name}: {len(left)} questions got no answer and count as wrong; another run asks again"
            )
        if self.check_batching and alone is not None:
            some = own[: self.check_batching]
            other = differing(some, texts, alone)
            said = f"{len(other)} of {len(some)} replies differ when asked alone"
            say(f"{task.name}: {': '.join([said, *([' '.join(other)] if other else [])])}")
        answers = Answers({each.id: texts[each.id] for each in questions if each.id in texts})
        if self.upload is not None:
            task.upload(self.upload, task.to_upload(folder), answers)
            say(f"written: {self.upload}")
        try:
            outcome = self.judging.score(task, questions, answers, folder, where / "judgements.jsonl")
        except UsageError as error:  # a judge is wanted, or its own server alone knows the truth
            say(f"{error}; the answers are in {where}")
            return None
        result = Result(self.model, outcome, questions, answers.texts, pictures.folders)
        result.write(where)
        return result


def local(llava: "LLaVA", pictures: "Pictures", longest: int) -> "Callable[[Sequence[Question]], list[str]]":
    """An `Answerer`."""

    def answer(questions: "Sequence[Question]") -> list[str]:
        asked = [(question.text, pictures.opened(question.images)) for question in questions]
        return [reply.text for reply in llava.generate_batch(asked, max_new_tokens=longest)]

    return answer
