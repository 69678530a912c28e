"""LLaVA-Bench (Liu et al. 2023): open questions on pictures; a judge compares answers with GPT-4's.

The judge reads what the picture shows as text, the reference answer and the model's, in this order, and
gives both a score from 1 to 10; the figure is the model's sum in percent of the reference's, as LLaVA's
`summarize_gpt_review.py` has it. Answers are judged in our wording unless LLaVA's own rules lie in the data
folder: scores of one wording, or one judge, do not compare with those of another.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

from llavakit.errors import UsageError
from llavakit.evaluate import vqa
from llavakit.evaluate.answers import Answers, Question, identity
from llavakit.evaluate.judge import Judge, Request
from llavakit.evaluate.judged import JudgedTask, Wording, check_usable, told
from llavakit.evaluate.outcome import Outcome
from llavakit.evaluate.reviews import Pair, Review, read_reviews, relative, relative_interval, two_scores
from llavakit.evaluate.rows import Row, field, find, read_json, read_rows
from llavakit.evaluate.task import Task

CATEGORIES = ("conv", "detail", "complex")
_PREFIX = "llava_bench_"  # of the categories of In-the-Wild, in reviews and in the rules

# Ours; another number with every change.
_VERSION = "llavakit llava-bench 1"
_SYSTEM = "You compare answers of assistants, carefully and without favour."
_RULE = """\
Two assistants have answered the question above, which a user asked about a picture. The context tells what \
the picture shows, {how}. Judge how helpful, to the point, right and detailed each answer is; which one \
stands first must not matter. Write nothing but two numbers from 1 (worst) to 10 (best) on the first line, \
with one space between them: the first is Assistant 1's, the second Assistant 2's. Give your reasons on the \
lines below."""

# With LLaVA's rules goes the system message of its eval_gpt_review_bench.py, and its temperature.
_OFFICIAL_SYSTEM = "You are a helpful and precise assistant for checking the quality of the answer."
_TEMPERATURE = 0.2


class LlavaBench(JudgedTask):
    """`overall`, and `conv`, `detail`, `complex`. A judgement that is missing is in none of them; a question
    without an answer is judged as one answered with nothing.
    """

    max_new_tokens = 1024
    asked: ClassVar[str]  # the file of questions
    how: ClassVar[str]
    prefix: ClassVar[str]

    def score_file(self, path: Path, data: Path) -> Outcome:
        """A file of reviews, as LLaVA's scripts write it; of data it needs the categories, if it has none."""
        reviews, duplicates = read_reviews(path, stored=True)
        if not all(review.category for review in reviews):
            known = self._categories(data)
            reviews = [
                replace(review, category=review.category or known.get(review.id, "")) for review in reviews
            ]
        missing = sum(review.pair is None for review in reviews)
        notes = []
        if missing:
            notes.append(f"{missing} of {len(reviews)} reviews hold no two scores and are left out")
        if nameless := sum(not review.category for review in reviews):
            notes.append(
                f"{nameless} reviews have no category, nor has {self.asked} in {data}: they count in overall "
                "alone"
            )
        return _outcome(self.name, reviews, duplicates, notes=tuple(notes))

    def _categories(self, data: Path) -> dict[str, str]:
        """By question id, where the file of questions is here."""
        path = vqa.seek(data, self.asked)
        rows = [] if path is None else read_rows(path)
        return {identity(row.get("question_id")): str(row.get("category", "")) for row in rows}

    def judged(self, questions: Sequence[Question], answers: Answers, judge: Judge, data: Path) -> Outcome:
        rules = _official(data)
        if rules is None:
            rule = _RULE.format(how=self.how)
            wording, system = Wording(_VERSION, _SYSTEM + rule), _SYSTEM
            rules = {self.prefix + name: {"role": "Assistant", "prompt": rule} for name in CATEGORIES}
        else:
            wording, system = Wording("official rule.json", json.dumps(rules)), _OFFICIAL_SYSTEM
        requests = []
        for question in questions:
            category = self.prefix + question.groups[0]
            if category not in rules:
                raise UsageError(f"question {question.id}: there is no rule to judge {category!r} by")
            content = _content(question, answers.get(question) or "", **rules[category])
            messages = ({"role": "system", "content": system}, {"role": "user", "content": content})
            requests.append(Request(question.id, wording.prompt, messages, _TEMPERATURE))
        judgements = judge.ask(requests, _scores)
        check_usable(judge, judgements)
        notes = told(judge, wording, judgements)
        if unanswered := answers.missing(questions):
            notes += (f"{unanswered} questions have no answer: the judge was shown an empty one",)
        reviews = [
            Review(question.id, question.groups[0], judgement.value)
            for question, judgement in zip(questions, judgements, strict=True)
        ]
        return _outcome(self.name, reviews, answers.duplicates, answers.strangers, notes)

    def _question(
        self, row: Row, path: Path, number: int, image: str, context: str, references: Mapping[str, str]
    ) -> Question:
        name = identity(field(row, ("question_id",), path, number))
        category = str(field(row, ("category",), path, number)).removeprefix(_PREFIX)
        if name not in references:
            raise UsageError(f"{path}: question {name} has no answer of GPT-4 to compare with")
        text = str(field(row, ("text",), path, number))
        return Question(name, text, (image,), [context, references[name]], groups=(category,))


class Wild(LlavaBench):
    name = "llava-bench-wild"
    title = "LLaVA-Bench (In-the-Wild): 60 questions on 24 pictures; score relative to GPT-4's, by a judge"
    folder = "llava-bench-in-the-wild"
    asked = "questions.jsonl"
    how = "in a few sentences"
    prefix = _PREFIX
    where = """\
https://huggingface.co/datasets/liuhaotian/llava-bench-in-the-wild, all of it. To judge with LLaVA's own
wording, put https://github.com/haotian-liu/LLaVA/blob/main/llava/eval/table/rule.json there as well.
A file of reviews (`tuple`, `category`) needs none of this.

DIR/questions.jsonl  DIR/context.jsonl  DIR/answers_gpt4.jsonl
DIR/images/001.jpg …
DIR/rule.json   (optional)"""

    def questions(self, data: Path) -> list[Question]:
        path = find(data, self.asked)
        at = find(data, "context.jsonl")
        contexts = {
            str(field(row, ("image",), at, number)): _lines(field(row, ("caption", "captions"), at, number))
            for number, row in enumerate(read_rows(at), 1)
        }
        references = _references(find(data, "answers_gpt4.jsonl"))
        found = []
        for number, row in enumerate(read_rows(path), 1):
            image = str(field(row, ("image",), path, number))
            if image not in contexts:
                raise UsageError(f"{at}: says nothing of {image}, which {path.name} asks about")
            found.append(self._question(row, path, number, image, contexts[image], references))
        return found


class Coco(LlavaBench):
    name = "llava-bench-coco"
    title = "LLaVA-Bench (COCO): 90 questions on 30 pictures; score relative to GPT-4's, by a judge"
    images = "val2014"
    asked = "qa90_questions*.jsonl"
    how = (
        "in sentences, and in boxes of its objects (left, top, right, bottom, as shares of width and height)"
    )
    prefix = ""
    where = """\
https://github.com/haotian-liu/LLaVA: playground/data/coco2014_val_qa_eval/qa90_questions.jsonl and
qa90_gpt4_answer.jsonl, llava/eval/table/caps_boxes_coco2014_val_80.jsonl (and rule.json beside it, to judge
with LLaVA's own wording). Pictures: http://images.cocodataset.org/zips/val2014.zip
A file of reviews (`tuple`, `category`) needs none of this.

DIR/qa90_questions.jsonl  DIR/qa90_gpt4_answer.jsonl  DIR/caps_boxes_coco2014_val_80.jsonl
DIR/val2014/COCO_val2014_000000441147.jpg …
DIR/rule.json   (optional)"""

    def questions(self, data: Path) -> list[Question]:
        path = find(data, self.asked)
        at = find(data, "caps_boxes_coco2014_val_80.jsonl")
        contexts = {
            str(field(row, ("image",), at, number)): _captions_and_boxes(row, at, number)
            for number, row in enumerate(read_rows(at), 1)
        }
        references = _references(find(data, "qa90_gpt4_answer*.jsonl"))
        found = []
        for number, row in enumerate(read_rows(path), 1):
            image = str(field(row, ("image",), path, number)).removeprefix("COCO_val2014_")
            if image not in contexts:
                raise UsageError(f"{at}: says nothing of {image}, which {path.name} asks about")
            named = image if (data / self.images / image).exists() else f"COCO_val2014_{image}"
            found.append(self._question(row, path, number, named, contexts[image], references))
        return found


def _lines(value: Any) -> str:
    return "\n".join(map(str, value)) if isinstance(value, list) else str(value)


def _captions_and_boxes(row: Row, path: Path, number: int) -> str:
    captions = _lines(field(row, ("captions",), path, number))
    try:
        boxes = [f"{each['category']}: {each['bbox']}" for each in field(row, ("instances",), path, number)]
    except (KeyError, TypeError):
        raise UsageError(f"{path}: the instances of {row.get('image')} have no category and bbox") from None
    return captions + "\n\n" + "\n".join(boxes)


def _references(path: Path) -> dict[str, str]:
    return {
        identity(field(row, ("question_id",), path, number)): str(field(row, ("text",), path, number))
        for number, row in enumerate(read_rows(path), 1)
    }


def _official(data: Path) -> Mapping[str, Mapping[str, str]] | None:
    """LLaVA's rules, where they lie in the data folder: a role and a prompt by category."""
    path = data / "rule.json"
    if not path.is_file():
        return None
    held = read_json(path)
    try:
        return {
            name: {"role": str(rule["role"]), "prompt": str(rule["prompt"])} for name, rule in held.items()
        }
    except (AttributeError, LookupError, TypeError):
        raise UsageError(f"{path}: a 'role' and a 'prompt' by category are expected here") from None


def _content(question: Question, answer: str, role: str, prompt: str) -> str:
    """What the judge reads, laid out as LLaVA's scripts do."""
    context, reference = question.truth
    return (
        f"[Context]\n{context}\n\n[Question]\n{question.text}\n\n"
        f"[{role} 1]\n{reference}\n\n[End of {role} 1]\n\n"
        f"[{role} 2]\n{answer}\n\n[End of {role} 2]\n\n"
        f"[System]\n{prompt}\n\n"
    )


def _scores(request: Request, text: str) -> Pair | None:
    return two_scores(text)


def _outcome(
    task: str, reviews: Sequence[Review], duplicates: int, strangers: int = 0, notes: tuple[str, ...] = ()
) -> Outcome:
    pairs: dict[str, list[Pair]] = {}
    marks = {}
    for review in reviews:
        if review.pair is not None:
            pairs.setdefault(review.category.removeprefix(_PREFIX), []).append(review.pair)
            marks[review.id] = min(1.0, review.pair[1] / 10)
    counted = [pair for some in pairs.values() for pair in some]
    named = [name for name in (*CATEGORIES, *sorted(set(pairs) - {*CATEGORIES, ""})) if name in pairs]
    metrics = {"overall": relative(counted)} | {name: relative(pairs[name]) for name in named}
    missing = len(reviews) - len(counted)
    return Outcome(
        task, metrics["overall"], len(reviews), missing, relative_interval(counted), metrics,
        duplicates=duplicates, strangers=strangers, marks=marks, notes=notes,
    )  # fmt: skip


TASKS: Mapping[str, Task] = {Wild.name: Wild(), Coco.name: Coco()}
