"""What teachers cost. The table beside this file says from where each price is known, and since when."""

import datetime
import re
from functools import cache
from importlib import resources
from pathlib import Path

from pydantic import Field

from llavakit.config import Strict
from llavakit.files import read_text

_DATED = re.compile(r"-(\d{4}-\d{2}-\d{2}|\d{8})$")  # gpt-4o-2024-08-06, claude-haiku-4-5-20251001


class Price(Strict):
    """USD for a million tokens.

    Attributes:
        input, output: of the tokens that are read, and of those that are written
        batch: the share that falls away in a batch
        source, date: the page that told it, and when that was looked up
    """

    input: float = Field(ge=0, allow_inf_nan=False)
    output: float = Field(ge=0, allow_inf_nan=False)
    batch: float = Field(0.0, ge=0, le=1)
    source: str = ""
    date: datetime.date | None = None

    def of(self, prompt_tokens: float, completion_tokens: float, *, batch: bool = False) -> float:
        """USD for so many tokens."""
        whole = (prompt_tokens * self.input + completion_tokens * self.output) / 1_000_000
        return whole * (1 - self.batch) if batch else whole


FREE = Price(input=0, output=0)  # a server of one's own


class _Table(Strict):
    models: dict[str, Price]


def price_of(model: str, file: Path | None = None) -> Price | None:
    """What a model costs; None where no table tells it.

    Args:
        file: a table of the user's, which goes before ours: `[models."name"]`, with input and output

    Raises:
        UsageError: no such file, or a fault in it.
    """
    tables = [] if file is None else [_Table.parse_toml(read_text(file), str(file)).models]
    for table in (*tables, known_prices()):
        for name in (model, _DATED.sub("", model)):
            if name in table:
                return table[name]
    return None


@cache
def known_prices() -> dict[str, Price]:
    """Those of the table that comes with the package, by model."""
    name = "prices.toml"
    return _Table.parse_toml(resources.files(__package__).joinpath(name).read_text("utf-8"), name).models
