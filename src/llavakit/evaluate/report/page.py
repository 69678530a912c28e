"""`report.html`: scores, charts and examples in one file, which asks nothing of any network.

What models and benchmarks say is hostile text: it is escaped (`markup.py`), or carried as JSON that the
page's script puts in as text.
"""

from collections.abc import Sequence
from pathlib import Path

from llavakit.evaluate.published import title
from llavakit.evaluate.report.charted import bars_section, radar_section
from llavakit.evaluate.report.charts import colour, swatch
from llavakit.evaluate.report.examples import Thumbnails, payload
from llavakit.evaluate.report.runs import Run, named_apart, task_names
from llavakit.evaluate.report.scores import comparisons, scores
from llavakit.files import write_whole
from llavakit.markup import Markup, element, head, join, section, with_paging

MOST_BYTES = 19_000_000  # of the file
MOST_EXAMPLES = 400  # of a task
_HERE = Path(__file__).parent


def write_report(
    path: Path,
    runs: Sequence[Run],
    *,
    thumbnails: Thumbnails | None = None,
    most_examples: int = MOST_EXAMPLES,
    most_bytes: int = MOST_BYTES,
    heading: str = "Evaluation",
) -> None:
    """Write the report of one or more models, whole or not at all.

    The file stays below `most_bytes`: of each task it holds at most `most_examples` questions, of texts
    the first 3000 characters, and pictures of 60 kB or less, 1000 at most, as long as there is room. The
    page says how many questions and pictures were left out.

    Args:
        thumbnails: from a task's name and the file of a question's picture to a data URI, such as
            `thumbnail` makes; None where there is none

    Raises:
        UsageError: there is nothing to report.
        LlavaError: the file cannot be written.
    """
    page = _page(named_apart(runs), thumbnails, most_examples, most_bytes, heading)
    write_whole(path, page)


def _page(
    runs: Sequence[Run], thumbnails: Thumbnails | None, most: int, most_bytes: int, heading: str
) -> bytes:
    style = (_HERE / "page.css").read_text(encoding="utf-8")
    script = with_paging((_HERE / "page.js").read_text(encoding="utf-8"))
    top = head(heading, style, script)
    sections = join(
        scores(runs), comparisons(runs), radar_section(runs), bars_section(runs), _examples_section(runs)
    )
    header = element("header", element("h1", heading), _legend(runs), _links(runs))
    static = join(header, element("main", sections)).encode("utf-8", "replace")
    room = most_bytes - len(static) - len(top) - len(script) - 1000
    data = payload(runs, {task: title(task) for task in task_names(runs)}, thumbnails, max(0, room), most)
    return b"".join((
        b'<!doctype html>\n<html lang="en">\n', top.encode("utf-8", "replace"), b"\n<body>\n", static,
        b'\n<script type="application/json" id="data">', data.encode("ascii"),
        b"</script>\n<script>", script.encode(), b"</script>\n</body>\n</html>\n",
    ))  # fmt: skip


def _legend(runs: Sequence[Run]) -> Markup:
    items = (element("li", swatch(colour(index)), run.model) for index, run in enumerate(runs))
    return element("ul", *items, class_="legend", aria_label="Models")


def _links(runs: Sequence[Run]) -> Markup:
    names = ["Scores", *(["Compared"] if len(runs) > 1 else []), "Radar", "Categories", "Examples"]
    links = (element("a", name, href=f"#{name.lower()}") for name in names)
    return element("nav", *links, aria_label="Parts of this page")


def _examples_section(runs: Sequence[Run]) -> Markup:
    """What the script fills; without it the section says so."""
    shows = [
        ("all", "all"),
        ("wrong", "wrong, any model" if len(runs) > 1 else "wrong"),
        ("right", "right, every model" if len(runs) > 1 else "right"),
    ]
    if len(runs) > 1:
        shows.append(("differ", "models differ"))
        shows += [(f"wrong {index}", f"wrong: {run.model}") for index, run in enumerate(runs)]
    options = [element("option", name, value=key) for key, name in shows]
    controls = element(
        "form",
        element("label", "Task", element("select", id="task")),
        element("label", "Show", element("select", *options, id="show")),
        element("label", "Category", element("select", id="category")),
        element("label", "Search", element("input", id="search", type="search", autocomplete="off",
                placeholder="words, or a question's id")),
        class_="controls", role="search", hidden=True,
    )  # fmt: skip
    paging = [
        element(
            "nav",
            element("button", "← Previous", type="button", data_step="-1"),
            element("span", data_where=True),
            element("button", "Next →", type="button", data_step="1"),
            class_="paging", aria_label=label, hidden=True,
        )
        for label in ("Pages", "Pages, below the examples")
    ]  # fmt: skip
    listed = element("ol", id="list", class_="examples")
    return section(
        "examples", "Examples", element("p", id="held", class_="note"), controls,
        element("p", id="found", role="status"), paging[0], listed, paging[1],
        element("p", _KEYS, class_="note keys", hidden=True), element("noscript", element("p", _NO_SCRIPT)),
    )  # fmt: skip


_KEYS = "Keys: ← and → turn pages, / searches. A graded mark of 0.5 or more is taken for right."
_NO_SCRIPT = "Examples are shown by the script of this page, which is switched off here."
