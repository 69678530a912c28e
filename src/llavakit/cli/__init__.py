"""The command `llava`: one file per verb. A verb parses, wires and prints; the work is elsewhere.

Heavy imports stand inside the verbs, so that `llava --help` answers without torch.
"""

import os
import sys

import typer

from llavakit.cli import bench, chat, data, doctor, evaluate, export, models, serve, train
from llavakit.errors import LlavaError

app = typer.Typer(
    name="llava",
    help="LLaVA: ask about pictures, train the model that answers, measure how well it does.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


def _version(wanted: bool) -> None:
    if wanted:
        from llavakit import __version__

        typer.echo(f"llavakit {__version__}")
        raise typer.Exit


@app.callback()
def _llava(
    version: bool = typer.Option(
        False, "--version", callback=_version, is_eager=True, help="Show the version."
    ),
) -> None: ...


app.command("chat")(chat.chat)
app.command("serve")(serve.serve)
app.command("train")(train.train)
app.add_typer(data.app, name="data")
app.add_typer(evaluate.app, name="eval")
app.command("export")(export.export)
app.add_typer(bench.app, name="bench")
app.command("models")(models.models)
app.command("doctor")(doctor.doctor)


def main() -> None:
    """Run the command line: 0 done, 1 the work failed, 2 the user's words were wrong."""
    try:
        app()
    except LlavaError as error:
        typer.echo(f"llava: {error}", err=True)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        sys.exit(130)
    except BrokenPipeError:  # the reader of our output has gone: `llava … | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
