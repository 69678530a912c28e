"""Replies read in the forms that the prompts ask for. What is not in its form is not guessed at."""

import re
from collections.abc import Callable

from llavakit.synth.check.said import words_of
from llavakit.synth.check.talk import refusal
from llavakit.synth.task import RejectedError, Turns

INSTRUCTION = "Answer with the option's letter from the given choices directly."  # LLaVA-1.5's, for choices
_MOST_OPTIONS = 6
_LABEL = re.compile(r"^(Question|Answer):[ \t]*", re.MULTILINE)
_OPTION = re.compile(r"([A-Z])\. +(\S.*)")
# Headings, fences, tables, bold words, labels: a description is plain text.
_MARKED = re.compile(r"^(?:#{1,6} |```|\||(?:Question|Answer|Description|Caption) *:)|\*\*|__", re.MULTILINE)


def read_pairs(text: str, least: int = 1, most: int | None = None) -> Turns:
    """Blocks of `Question: …` and `Answer: …`; an answer may have several lines.

    Raises:
        RejectedError: another form, or not so many pairs.
    """
    labels = list(_LABEL.finditer(text))
    if not labels or text[: labels[0].start()].strip():
        raise RejectedError("form", "it does not begin with 'Question:'")
    ends = [label.start() for label in labels[1:]] + [len(text)]
    parts = [(label[1], text[label.end() : end].strip()) for label, end in zip(labels, ends, strict=True)]
    pairs = []
    for place in range(0, len(parts), 2):
        names = [name for name, _ in parts[place : place + 2]]
        if names != ["Question", "Answer"]:
            raise RejectedError("form", f"question {place // 2 + 1} and its answer do not follow each other")
        question, answer = parts[place][1], parts[place + 1][1]
        if not question or not answer:
            what = "answer" if question else "question"
            raise RejectedError("form", f"{what} {place // 2 + 1} is empty")
        if "\n" in question:
            raise RejectedError("form", f"question {place // 2 + 1} has several lines")
        pairs.append((question, answer))
    if len(pairs) < least or (most is not None and len(pairs) > most):
        raise RejectedError("form", f"it has {_so_many(len(pairs), 'question')}, not {_wanted(least, most)}")
    return tuple(pairs)


def read_choice(text: str) -> Turns:
    """`Question: …`, options as `A. …`, a line each, and `Answer: X`, as a row of LLaVA-1.5's form.

    Raises:
        RejectedError: another form.
    """
    lines = [line.strip() for line in text.strip().splitlines() if line.strip()]
    if not lines or not lines[0].startswith("Question:"):
        raise RejectedError("form", "it does not begin with 'Question:'")
    question = lines[0].removeprefix("Question:").strip()
    options = lines[1:-1]
    if not question:
        raise RejectedError("form", "the question is empty")
    for letter, line in zip("ABCDEFGHIJKLMNOPQRSTUVWXYZ", options, strict=False):
        option = _OPTION.fullmatch(line)
        if option is None or option[1] != letter:
            raise RejectedError("form", f"{line[:40]!r} stands where option {letter} should")
    if not 2 <= len(options) <= _MOST_OPTIONS:
        raise RejectedError("form", f"it has {_so_many(len(options), 'option')}, not 2 to {_MOST_OPTIONS}")
    answer = re.fullmatch(r"Answer: *([A-Z])\.?", lines[-1])
    if answer is None or ord(answer[1]) - ord("A") >= len(options):
        raise RejectedError("form", f"{lines[-1][:40]!r} stands where the right option's letter should")
    return (("\n".join((question, *options, INSTRUCTION)), answer[1]),)


def read_plain(text: str, question: str) -> Turns:
    """Text without headings, labels and the like, as an answer to `question`.

    Raises:
        RejectedError: it has such, or is empty.
    """
    said = text.strip()
    if not said:
        raise RejectedError("form", "it is empty")
    if marked := _MARKED.search(said):
        raise RejectedError("form", f"it is not plain text: {marked[0].strip()!r}")
    return ((question, said),)


def read_in_form(read: Callable[[str], Turns], text: str) -> Turns:
    """What `read` makes of a reply; one that is in another form because it is a refusal is called that.

    Raises:
        RejectedError: it cannot be read, or is a refusal.
    """
    try:
        return read(text.replace("\r\n", "\n"))
    except RejectedError as error:
        if said := refusal(text, set(words_of(text))):
            raise RejectedError("refusal", f"the teacher speaks of itself: {said!r}") from error
        raise


def _wanted(least: int, most: int | None) -> str:
    return str(least) if most == least else f"{least} or more"


def _so_many(count: int, what: str) -> str:
    return f"{count} {what}" if count == 1 else f"{count} {what}s"
