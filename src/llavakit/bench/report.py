"""A run's result as a person sees it: a table, a picture."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from llavakit.errors import UsageError

if TYPE_CHECKING:
    from rich.table import Table

_OURS = "ours"
_HUGE = 10.0  # seconds from which they are shown as such


def table(result: dict[str, Any]) -> "Table":
    """A row for each figure; behind it in brackets its share of what the machine can do at best."""
    from rich.table import Table

    names = list(result["contenders"])
    peers = [name for name in names if name != _OURS]
    made = Table(box=None, pad_edge=False)
    for head in ("", *names, *(f"x {name}" for name in (*peers, *result["missing"]))):
        made.add_column(head, justify="right" if head else "left", no_wrap=True)
    for line in result["rows"]:
        cells = [_cell(line, name) for name in names]
        ratios = [f"{line['ratios'][name]:.2f}" if name in line["ratios"] else "-" for name in peers]
        made.add_row(line["name"], *cells, *ratios, *("missing" for _ in result["missing"]))
    return made


def notes(result: dict[str, Any]) -> list[str]:
    """What the table does not say: ceilings, who is missing and how to get them."""
    ceilings, machine = result["ceilings"], result["machine"]
    products = ", ".join(f"{rate / 1e9:.0f} {name}" for name, rate in ceilings["products"].items())
    weights = ", ".join(
        f"{name} {found['load']['weights']}"
        for name, found in result["contenders"].items()
        if "weights" in found["load"]
    )
    said = [
        "x: how many times faster (or smaller) ours is. In brackets: the share of the machine's ceiling.",
        f"ceilings: reads {ceilings['read'] / 1e9:.1f} GB/s; products {products} GFLOP/s "
        f"({machine['processor']}, {machine['threads']} threads)",
        f"weights: {weights}; {result['settings']['language_layers']} language layers; "
        f"medians of {result['settings']['rounds']} rounds",
    ]
    return said + [f"{name} is not installed: {install}" for name, install in result["missing"].items()]


def _cell(line: dict[str, Any], name: str) -> str:
    if name not in line["medians"]:
        return "-"
    value = _UNITS[line["unit"]](line["medians"][name])
    share = line["shares"].get(name)
    return value if share is None else f"{value} ({100 * share:.0f} %)"


def _seconds(value: float) -> str:
    return f"{value:.1f} s" if value >= _HUGE else f"{1000 * value:,.1f} ms"


_UNITS: dict[str, Callable[[float], str]] = {
    "s": _seconds,
    "1/s": lambda value: f"{value:,.1f}",
    "B": lambda value: f"{value / 1e9:.2f} GB",
}


def check_plot(path: Path) -> None:
    """Say early what `plot` would say late.

    Raises:
        UsageError: matplotlib is not installed, or does not write such files.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise UsageError("--plot needs matplotlib: pip install 'llavakit[bench]'") from None
    kinds = Figure().canvas.get_supported_filetypes()
    if path.suffix.removeprefix(".") not in kinds:
        raise UsageError(f"--plot {path}: end its name with one of {', '.join(sorted(kinds))}")


def plot(result: dict[str, Any], path: Path) -> None:
    """Bars of the ratios, a group for each row; 1 is a tie.

    Raises:
        UsageError: there is nothing to compare; as `check_plot`.
    """
    check_plot(path)
    from matplotlib.figure import Figure

    lines = [line for line in result["rows"] if line["ratios"]]
    peers = list(dict.fromkeys(name for line in lines for name in line["ratios"]))
    if not peers:
        raise UsageError("--plot shows ratios to peers, and none was measured")
    figure = Figure(figsize=(9, 1 + 0.5 * len(lines)), layout="constrained")
    axes = figure.subplots()
    thick = 0.8 / len(peers)
    for i, peer in enumerate(peers):
        shown = [
            (at + i * thick, line["ratios"][peer]) for at, line in enumerate(lines) if peer in line["ratios"]
        ]
        places, ratios = zip(*shown, strict=True)
        lengths = [ratio - 1 for ratio in ratios]
        bars = axes.barh(places, lengths, thick, left=1, label=f"beside {peer}")
        axes.bar_label(bars, [f"{ratio:.2f}" for ratio in ratios], padding=2, fontsize="small")
    middle = 0.4 - thick / 2
    axes.set_yticks([at + middle for at in range(len(lines))], [line["name"] for line in lines])
    axes.invert_yaxis()
    axes.set_xscale("log")
    axes.axvline(1, color="black", linewidth=1)
    axes.margins(x=0.15)
    axes.set_xlabel("how many times faster, or smaller, llavakit is")
    axes.set_title(f"{result['settings']['model']} on {result['machine']['processor']}", fontsize="medium")
    axes.legend()
    figure.savefig(path, dpi=150)
