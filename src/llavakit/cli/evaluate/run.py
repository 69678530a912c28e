"""`llava eval TASK`: ask a model a benchmark's questions, or take somebody's answers, and score them."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from llavakit.cli import options
from llavakit.cli.evaluate.asking import Asking
from llavakit.cli.evaluate.judging import Judging
from llavakit.cli.evaluate.places import DATA, folder_of
from llavakit.cli.evaluate.telling import show
from llavakit.cli.telling import say
from llavakit.errors import UsageError, nearest

if TYPE_CHECKING:
    from llavakit.evaluate.result import Result
    from llavakit.evaluate.run import Shard
    from llavakit.evaluate.task import Task

_OUT = Path("eval")
_TINY = "tiny"  # has a command of its own


def run(
    tasks: Annotated[list[str] | None, typer.Argument(metavar="TASK…", help="See --list.")] = None,
    model: Annotated[
        str | None,
        typer.Option("--model", "-m", help="'tiny', a model folder, or a name on the Hugging Face hub."),
    ] = None,
    predictions: Annotated[
        Path | None,
        typer.Option(help="Score these answers instead of asking: the official format, or LLaVA's."),
    ] = None,
    data: Annotated[
        Path | None,
        typer.Option(
            envvar="LLAVAKIT_EVAL_DATA",
            help=f"The benchmark's files, a folder of such folders, or hub:DATASET; default: {DATA}.",
        ),
    ] = None,
    images: Annotated[Path | None, typer.Option(help="Pictures, where they lie elsewhere.")] = None,
    out: Annotated[
        Path | None,
        typer.Option(help=f"Answers and results go to OUT/MODEL/TASK; default: {_OUT}."),
    ] = None,
    upload: Annotated[
        Path | None, typer.Option(help="Write the file that the benchmark's own server scores.")
    ] = None,
    where: Annotated[
        bool, typer.Option("--where", help="Say what to download and where it goes, and stop.")
    ] = False,
    list_them: Annotated[bool, typer.Option("--list", help="Name all tasks, and stop.")] = False,
    limit: Annotated[
        int | None, typer.Option(min=1, help="Ask only so many, evenly spread: a first look.")
    ] = None,
    batch: Annotated[int, typer.Option(min=1, help="Questions that are put to the model together.")] = 16,
    max_new_tokens: Annotated[
        int | None, typer.Option(min=1, help="Tokens of an answer; default: the task's.")
    ] = None,
    shard: Annotated[
        str | None,
        typer.Option(metavar="I/N", help="Ask only the I-th of N parts, from 0; default: torchrun's."),
    ] = None,
    check_batching: Annotated[
        int, typer.Option(metavar="N", min=0, help="Ask N of them again one by one, and tell what differs.")
    ] = 0,
    base_url: Annotated[
        str | None,
        typer.Option(metavar="URL", help="Ask --model at this OpenAI-compatible API; key: OPENAI_API_KEY."),
    ] = None,
    ray: Annotated[
        int, typer.Option(metavar="N", min=0, help="Ask on a Ray cluster, N workers (extra 'ray').")
    ] = 0,
    ray_address: Annotated[
        str | None,
        typer.Option(help="With --ray: a cluster that runs; default: this machine, or RAY_ADDRESS."),
    ] = None,
    judge: Annotated[
        str | None,
        typer.Option(metavar="MODEL", help="The model that judges open answers, where a task needs one."),
    ] = None,
    judge_url: Annotated[
        str, typer.Option(help="The judge's OpenAI-compatible API; its key is OPENAI_API_KEY.")
    ] = "https://api.openai.com/v1",
    device: options.Device = "auto",
    dtype: options.Dtype = "auto",
    quantize: options.Quantize = None,
    template: options.TemplateName = None,
    base: options.Base = None,
    vision_tower: options.VisionTower = None,
    backend: options.Backend = "auto",
    image_tokens: options.ImageTokens = None,
    as_json: options.Json = False,
) -> None:
    """Ask a model the questions of benchmarks, or take somebody's answers, and score them officially.

    An interrupted run goes on where it was when it is started again.

    \b
    llava eval pope mme --model llava-hf/llava-1.5-7b-hf --data FOLDER
    llava eval scienceqa --predictions answers.jsonl --data FOLDER --json
    torchrun --nproc-per-node 8 -m llavakit eval gqa --model … --data FOLDER
    """
    from llavakit.evaluate.tasks import NAMES, get_task

    if list_them:
        for name in NAMES:
            typer.echo(f"{name:20} {get_task(name).title}")
        return
    if not tasks:
        raise UsageError("name a task: llava eval --list shows them")
    for name in tasks:
        if name == _TINY:
            raise UsageError("tiny is no benchmark of pictures in a folder: llava eval tiny, by itself")
        if name not in NAMES:
            raise UsageError(f"no task {name!r} ({nearest(name, (*NAMES, _TINY))})")
    chosen = [get_task(name) for name in dict.fromkeys(tasks)]
    if where:
        typer.echo("\n\n".join(f"{task.name}: {task.title}\n\n{task.where}" for task in chosen))
        return
    if (predictions is None) == (model is None):
        raise UsageError("name a model that is asked (--model), or a file of answers (--predictions)")
    if len(chosen) > 1 and (predictions is not None or upload is not None):
        raise UsageError("--predictions and --upload are for one task: name one")
    judging = Judging(judge, judge_url)
    if predictions is not None:
        scored = _scored(chosen[0], predictions, data, out, upload, judging)
        results = [] if scored is None else [scored]
    else:
        loading = {
            "device": device, "dtype": dtype, "quantize": quantize, "template": template, "base": base,
            "vision_tower": vision_tower, "backend": backend, "image_tokens": image_tokens,
        }  # fmt: skip
        asking = Asking(
            str(model), base_url, ray, ray_address, loading, out or _OUT, data, images, upload, limit, batch,
            max_new_tokens, _shard(shard), check_batching, judging,
        )  # fmt: skip
        results = asking.run(chosen)
    show(results, as_json)


def _shard(given: str | None) -> "Shard":
    from llavakit.evaluate.run import Shard

    if given is None:
        return Shard(int(os.environ.get("RANK", 0)), int(os.environ.get("WORLD_SIZE", 1)))
    index, slash, count = given.partition("/")
    if not (slash and index.isdecimal() and count.isdecimal()):
        raise UsageError(f"--shard {given}: say which of how many, as 0/4")
    return Shard(int(index), int(count))


# Somebody's answers -------------------------------------------------------------------------------------


def _scored(
    task: "Task",
    predictions: Path,
    data: Path | None,
    out: Path | None,
    upload: Path | None,
    judging: Judging,
) -> "Result | None":
    """None: it is scored elsewhere."""
    from llavakit.evaluate.judged import JudgedTask
    from llavakit.evaluate.result import Result

    if not predictions.exists():
        raise UsageError(f"{predictions}: there is no such file")
    if upload is not None:
        questions = task.to_upload(folder_of(task, data))
        task.upload(upload, questions, task.read(predictions, questions))
        say(f"written: {upload}")
    if isinstance(task, JudgedTask) and judging.model is not None:
        folder = folder_of(task, data)
        questions = task.questions(folder)
        answers = task.read(predictions, questions)
        kept = predictions.with_name(f"{predictions.stem}.judgements.jsonl")
        outcome = judging.score(task, questions, answers, folder, kept)
    else:
        # Some files hold all that is needed, whether or not the data is here.
        folder = folder_of(task, data) if data is not None or DATA.is_dir() else DATA
        try:
            outcome = task.score_file(predictions, folder)
        except UsageError as error:
            if upload is None:
                raise
            say(str(error))  # its own server alone knows the truth: what goes there is written
            return None
    result = Result(predictions.stem, outcome)
    if out is not None:
        result.write(out)
    return result
