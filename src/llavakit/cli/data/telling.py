"""What `llava data make` says as it goes, and at the end."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from llavakit.cli.telling import say

if TYPE_CHECKING:
    from rich.console import Console

    from llavakit.synth.estimate import Estimate
    from llavakit.synth.make import Tally


def show_tally(tally: "Tally", found: Mapping[str, Any], as_json: bool) -> None:
    """What came of a run."""
    from rich.console import Console
    from rich.table import Table

    if as_json:
        _print(found)
        return
    console = Console(highlight=False, soft_wrap=True)
    table = Table(box=None, pad_edge=False)
    for column in ("kind", "asked", "made", "accepted", "rejected for"):
        table.add_column(column, justify="left" if column in ("kind", "rejected for") else "right")
    for kind, told in found["kinds"].items():
        why = ", ".join(f"{reason} {count:,}" for reason, count in told["rejected"].items())
        table.add_row(kind, f"{told['asked']:,}", f"{told['made']:,}", f"{told['accepted']:.1%}", why)
    console.print(table)
    for kind, reasons in found["not_asked"].items():
        for why, count in reasons.items():
            console.print(f"{kind}: not asked of {count:,} scenes: {why}", markup=False)
    if tally.open:
        console.print(f"{tally.open:,} rows were not asked for")
    if tally.faulty:
        faults = ", ".join(f"{kind} {count:,}" for kind, count in tally.faulty.most_common())
        console.print(f"{tally.faulty.total():,} scenes could not be used: {faults}; the first of each:")
        for fault in found["faults"]:
            console.print(f"  {fault}", markup=False)
    if tally.named:
        console.print(
            f"answers name {tally.named:,} things; their scenes do not tell of {tally.unsupported:,} of them "
            f"({tally.unsupported / tally.named:.1%})"
        )
    if found.get("usd_spent") is not None:
        console.print(f"spent so far: ${found['usd_spent']:.4f}")
    rejected = tally.rejected.total()
    console.print(f"{found['out']}: {found['rows']:,} rows of {tally.scenes:,} scenes", markup=False)
    if rejected:
        console.print(f"{found['rejected_to']}: {rejected:,} that were put aside", markup=False)


def show_estimate(teacher: str, found: "Estimate", hours: float, as_json: bool) -> None:
    """What asking will cost."""
    from rich.console import Console
    from rich.table import Table

    kinds = {
        kind: {
            "requests": need.requests, "kept": need.kept, "waiting": need.waiting,
            "prompt_tokens": round(need.prompt_tokens), "completion_tokens": round(need.completion_tokens),
            "measured": kind in found.measured,
        }
        for kind, need in found.kinds.items()
    }  # fmt: skip
    if as_json:
        _print({
            "teacher": teacher, "requests": found.requests, "prompt_tokens": round(found.prompt_tokens),
            "completion_tokens": round(found.completion_tokens), "usd": found.usd,
            "usd_batch": found.usd_batch, "usd_at_most": found.usd_most, "hours": round(hours, 3),
            "kinds": kinds,
        })  # fmt: skip
        return
    console = Console(highlight=False, soft_wrap=True)
    table = Table(box=None, pad_edge=False)
    for column in ("kind", "requests", "kept already", "tokens in", "tokens out", ""):
        table.add_column(column, justify="left" if column in ("kind", "") else "right")
    for kind, need in kinds.items():
        counted = (f"{need[name]:,}" for name in ("requests", "kept", "prompt_tokens", "completion_tokens"))
        table.add_row(kind, *counted, "as measured so far" if need["measured"] else "typical")
    total = (f"{round(n):,}" for n in (found.prompt_tokens, found.completion_tokens))
    kept = sum(need["kept"] for need in kinds.values())
    table.add_row("in all", f"{found.requests:,}", f"{kept:,}", *total, "")
    console.print(table)
    _print_money(console, teacher, found)
    console.print(f"some {hours:.1f} hours, if a reply takes as long as is usual; nothing was sent")


def show_batch(written: Sequence[Path], replies: Path, as_json: bool) -> None:
    """Where the requests are."""
    if as_json:
        _print({"files": [str(path) for path in written], "replies_in": str(replies)})
        return
    for path in written:
        typer.echo(str(path))
    if written:
        say("send them to the Batch API; then --batch-in OUTPUT… (and the error files) makes the rows")
    else:
        say("there is nothing to ask for: all is kept, or stands in a batch")


def _print_money(console: "Console", teacher: str, found: "Estimate") -> None:
    if found.usd is None:
        console.print(f"what {teacher} costs is not known: --price IN,OUT tells", markup=False)
        return
    price = found.price
    batch = "" if found.usd_batch is None else f", ${found.usd_batch:,.2f} in batches"
    console.print(f"${found.usd:,.2f}{batch}; ${found.usd_most:,.2f} if every reply is as long as it may be")
    if price is not None and price.source:
        console.print(
            f"at ${price.input:g} in and ${price.output:g} out for a million tokens "
            f"({price.source}, {price.date})", markup=False,
        )  # fmt: skip


def _print(told: Mapping[str, Any]) -> None:
    typer.echo(json.dumps(told, indent=2, ensure_ascii=False))
