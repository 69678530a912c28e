"""The conversation in the terminal: a line editor around a `Chat`."""

import json
import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from prompt_toolkit import PromptSession
from prompt_toolkit.completion import CompleteEvent, Completer, Completion, PathCompleter
from prompt_toolkit.document import Document
from prompt_toolkit.history import FileHistory
from rich.console import Console

from llavakit.chat import Chat
from llavakit.cli.options import usage_line
from llavakit.errors import LlavaError, UsageError, nearest

_HELP = """\
/image PATH   show a picture (a path or URL) with the next question
/new          forget the conversation and its pictures
/save FILE    write the conversation to FILE (.md, or .json with every turn)
/help         this list
/quit         end (so does Ctrl-D); Ctrl-C stops an answer and keeps the conversation"""


class Terminal:
    """Reads questions and commands, prints answers as they come."""

    def __init__(self, chat: Chat, sampling: dict[str, Any], shown: Iterable[str], stats: bool) -> None:
        self.chat = chat
        self.sampling = sampling
        self.stats = stats
        self.pictures = list(shown)
        self.turns: list[dict[str, Any]] = []
        self._new_pictures = list(self.pictures)
        self.console = Console(stderr=True, highlight=False)
        self.commands: dict[str, Callable[[str], None]] = {
            "image": self._image,
            "new": self._new,
            "save": self._save,
            "help": lambda _: self.console.print(_HELP),
        }

    def run(self) -> None:
        """Until /quit or Ctrl-D."""
        session: PromptSession[str] = PromptSession(
            history=FileHistory(str(_history())), completer=_Commands([*self.commands, "quit"])
        )
        pictures = f", {len(self.pictures)} picture{'s' * (len(self.pictures) != 1)}" if self.pictures else ""
        self.console.print(f"{self.chat.llava.name}{pictures}. /help lists the commands.", style="dim")
        while True:
            try:
                line = session.prompt("> ").strip()
            except KeyboardInterrupt:
                continue
            except EOFError:
                return
            if line == "/quit":
                return
            if line:
                self.take(line)

    def take(self, line: str) -> None:
        """One line: a command or a question. Errors are told; the conversation goes on."""
        try:
            if line.startswith("/"):
                self._command(line[1:])
            else:
                self._ask(line)
        except LlavaError as error:
            self.console.print(str(error), style="red")

    def _command(self, line: str) -> None:
        name, _, argument = line.partition(" ")
        if name not in self.commands:
            raise UsageError(f"unknown command /{name} ({nearest(name, [*self.commands, 'quit'])})")
        self.commands[name](argument.strip())

    def _ask(self, question: str) -> None:
        output = Console(highlight=False, soft_wrap=True, markup=False)
        pieces, before = self.chat.stream(question, **self.sampling), self.chat.last
        try:
            for piece in pieces:
                output.print(piece, end="")
        except KeyboardInterrupt:
            pieces.close()
            output.print(" [stopped]", end="")
        output.print()
        reply = self.chat.last
        if reply is None or reply is before or not reply.text:  # stopped before a word: as if never asked
            return
        turn = {"question": question, "pictures": self._new_pictures, "answer": reply.text}
        self.turns.append(turn)
        self._new_pictures = []
        if self.stats:
            self.console.print(usage_line(reply.usage), style="dim")

    def _image(self, source: str) -> None:
        if not source:
            raise UsageError("which picture? /image PATH")
        self.chat.add_image(source)
        self.pictures.append(source)
        self._new_pictures.append(source)
        self.console.print(f"{source} goes with the next question", style="dim")

    def _new(self, _: str) -> None:
        system = next((m.text for m in self.chat.messages if m.role == "system"), None)
        self.chat = self.chat.llava.chat(system_prompt=system)
        self.pictures, self._new_pictures, self.turns = [], [], []
        self.console.print("a new conversation", style="dim")

    def _save(self, name: str) -> None:
        if not name:
            raise UsageError("where to? /save FILE")
        path = Path(name).expanduser()
        if path.suffix == ".json":
            text = json.dumps(
                {"model": self.chat.llava.name, "turns": self.turns}, indent=2, ensure_ascii=False
            )
        else:
            text = "\n\n".join(_markdown(turn) for turn in self.turns)
        partial = path.with_name(f".{path.name}.partial")
        try:
            partial.write_text(text + "\n", encoding="utf-8")
            partial.replace(path)
        except OSError as error:
            raise UsageError(f"cannot write {path}: {error.strerror}") from None
        self.console.print(f"saved to {path}", style="dim")


def _markdown(turn: dict[str, Any]) -> str:
    pictures = "".join(f"![]({picture})\n\n" for picture in turn["pictures"])
    return f"{pictures}**You:** {turn['question']}\n\n**LLaVA:** {turn['answer']}"


def _history() -> Path:
    """Where earlier questions are kept, readable by their owner alone."""
    state = Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state") / "llavakit"
    state.mkdir(parents=True, exist_ok=True, mode=0o700)
    return state / "history"


class _Commands(Completer):
    """Tab completes commands, and paths after /image and /save."""

    def __init__(self, names: list[str]) -> None:
        self._names = names
        self._paths = PathCompleter(expanduser=True)

    def get_completions(self, document: Document, event: CompleteEvent) -> Iterable[Completion]:
        text = document.text_before_cursor
        name, space, argument = text.partition(" ")
        if space and name in ("/image", "/save"):
            yield from self._paths.get_completions(Document(argument, len(argument)), event)
        elif text.startswith("/") and not space:
            for command in self._names:
                if command.startswith(text[1:]):
                    yield Completion(command, start_position=1 - len(text))
