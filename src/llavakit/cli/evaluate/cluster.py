"""A benchmark's questions, answered on the machines of a Ray cluster (Ray Data)."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from llavakit.evaluate.answers import Question

_BATCHES = 4  # of a block, which is what one worker is given at a time


@dataclass(frozen=True)
class OnRay:
    """An `Asker`. Each of `workers` loads the model once; every machine sees model and pictures.

    Attributes:
        model, loading: as `LLaVA.from_pretrained` takes them
        folders: of the pictures
        together: questions that a worker is asked at a time
        address: of a cluster; None: that of RAY_ADDRESS, or one on this machine
    """

    model: str
    loading: dict[str, Any]
    folders: tuple[str, ...]
    longest: int
    together: int
    workers: int
    address: str | None = None

    def __call__(self, questions: "Sequence[Question]") -> "Iterator[tuple[Question, str | None]]":
        """Replies as they come.

        Raises:
            UsageError: Ray is not installed, or does not answer.
        """
        if not questions:
            return
        from llavakit.train.ray import connected

        with connected(self.address) as ray:
            import ray.data

            ray.data.DataContext.get_current().enable_progress_bars = False
            gpu = ray.cluster_resources().get("GPU", 0) > 0
            rows = [
                {"number": i, "text": question.text, "images": json.dumps(question.images)}
                for i, question in enumerate(questions)
            ]
            blocks = max(self.workers, len(rows) // (_BATCHES * self.together))
            answered = ray.data.from_items(rows, override_num_blocks=min(blocks, len(rows))).map_batches(
                _Worker,
                fn_constructor_args=(self.model, self.loading, self.folders, self.longest),
                compute=ray.data.ActorPoolStrategy(size=self.workers),
                batch_size=self.together,
                num_cpus=1,
                num_gpus=1 if gpu else 0,
            )
            for row in answered.iter_rows():
                yield questions[row["number"]], row["reply"]


class _Worker:
    """Holds a model, in a process of Ray's."""

    def __init__(self, model: str, loading: dict[str, Any], folders: Sequence[str], longest: int) -> None:
        from llavakit.cli.evaluate.asking import local
        from llavakit.evaluate.pictures import Pictures
        from llavakit.llava import LLaVA

        llava = LLaVA.from_pretrained(model, **loading)
        self._answer = local(llava, Pictures(map(Path, folders)), longest)

    def __call__(self, batch: dict[str, Any]) -> dict[str, Any]:
        from llavakit.evaluate.answers import Question

        columns = zip(batch["number"], batch["text"], batch["images"], strict=True)
        questions = [Question(str(i), str(text), tuple(json.loads(images))) for i, text, images in columns]
        return {"number": batch["number"], "reply": np.array(self._answer(questions), dtype=object)}
