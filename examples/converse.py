"""Holds the conversations of `pictures.toml` with a model, as Markdown: `python examples/converse.py`.

An answer that breaks its question's rule is marked with a cross.
"""

import sys
from collections.abc import Iterator

from draw import SITTINGS, files

from llavakit import LLaVA
from llavakit.tiny.exam.newcomers import Sitting, load, marks


def main(model: str = "tiny") -> None:
    llava = LLaVA.from_pretrained(model)
    for sitting in load(SITTINGS):
        print(f"**{', '.join(path.name for path in files(sitting))}**\n")
        for question, answer, right in converse(llava, sitting):
            print(f"- {question} → {answer}{'' if right else ' ✗'}", flush=True)
        print()


def converse(llava: LLaVA, sitting: Sitting) -> Iterator[tuple[str, str, bool]]:
    """Question, answer, and whether that keeps to the question's rule."""
    present = frozenset(thing.kind for sketch in sitting.pictures for thing in sketch.scene().things)
    chat = llava.chat(images=files(sitting))
    for question in sitting.questions:
        answer = chat.ask(question.ask).text.replace("\n", " ")
        yield question.ask, answer, marks(question.rule(present), answer)


if __name__ == "__main__":
    main(*sys.argv[1:])
