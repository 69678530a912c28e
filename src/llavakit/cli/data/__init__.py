"""`llava data`: instruction data is made, looked over, mended and shown."""

import typer

from llavakit.cli.data.looking import check, show
from llavakit.cli.data.making import make
from llavakit.cli.data.reporting import prompts, report

app = typer.Typer(
    help="Training data: made from captions and boxes, looked over, mended, shown as the model reads it.",
    no_args_is_help=True,
    rich_markup_mode=None,
)
app.command()(make)
app.command()(check)
app.command()(show)
app.command()(report)
app.command()(prompts)
