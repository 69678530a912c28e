"""The parts of the page that tell what is asked, what is answered, and in which words."""

from llavakit.markup import Content, Markup, element, join, section
from llavakit.synth.report.answers import NUMBERS
from llavakit.synth.report.charts import bar, count, percent
from llavakit.synth.report.findings import Findings, share
from llavakit.synth.report.sunburst import sunburst
from llavakit.synth.report.tables import bars, table

_MOST_BARS = 16
_MOST_THINGS = 48
_MOST_PAIRS = 60
_YES, _NO = "c2", "c1"


def questions(found: Findings) -> Markup:
    asked = found.asked
    rows = [
        (root or "none found", noun or "–", count(times), percent(share(times, asked.total)))
        for (root, noun), times in asked.pairs[:_MOST_PAIRS]
    ]
    listed = element(
        "details", element("summary", f"The {len(rows)} most frequent pairs as a table"),
        table(("begins with", "asks of", "questions", "share"), rows, "Pairs", "pairs"),
    )  # fmt: skip
    first = bars(("first word", "questions"), asked.first[:_MOST_BARS], asked.total, "c0")
    two = bars(("first two words", "questions"), asked.openings[:_MOST_BARS], asked.total, "c0")
    return section(
        "questions", "Questions",
        sunburst(asked),
        element("p", _ROOTS, class_="note"), listed, element("div", first, two, class_="beside"),
    )  # fmt: skip


_ROOTS = (
    "Within: a question's first word of asking, or a request's verb. Around it: the noun that belongs to it "
    "(“what color”), or else the first thing named. Read by lists of English words, not by a parser: of 100 "
    "questions labelled by hand, 96 nouns were right."
)


def answers(found: Findings) -> Markup | None:
    parts = [_balance(found), _numbers(found), _letters(found)]
    shown = [each for each in parts if each is not None]
    return section("answers", "Answers", *shown) if shown else None


def _balance(found: Findings) -> Markup | None:
    listed = [*found.kinds, *([found.all] if len(found.kinds) > 1 else [])]
    rows: list[tuple[Content, ...]] = []
    for each in listed:
        total = each.yes + each.no + each.neither
        if total:
            drawn = bar((each.yes / total, _YES), (each.no / total, _NO))
            rows.append((
                each.name, drawn, count(each.yes), count(each.no), count(each.neither),
                percent(share(each.yes, each.yes + each.no)),
            ))  # fmt: skip
    if not rows:
        return None
    heads = ("kind", "", "yes", "no", "neither", "yes, of both")
    key = element(
        "p", element("span", class_=f"dot {_YES}"), "yes ", element("span", class_=f"dot {_NO}"), "no ",
        "— answers to questions that begin with “is”, “do”, “can” and the like.", class_="note",
    )  # fmt: skip
    return join(element("h3", "Yes or no"), table(heads, rows, "Yes or no", "wide-bar balance"), key)


def _numbers(found: Findings) -> Markup | None:
    total = sum(found.numbers.values())
    if not total:
        return None
    counts = [(name, found.numbers.get(name, 0)) for name in NUMBERS]
    return join(
        element("h3", "Answers to “how many”"),
        element("div", bars(("number", "answers"), counts, total, "c5"), class_="narrow"),
    )


def _letters(found: Findings) -> Markup | None:
    if not found.letters:
        return None
    most = max([max(each.right, each.expected) for each in found.letters] or [1]) or 1
    rows = [
        (
            each.name,
            bar((each.right / most, "c3")),
            count(each.right),
            f"{each.expected:,.1f}",
            count(each.offered),
        )
        for each in found.letters
    ]
    heads = ("option", "", "right", "if drawn evenly", "offered")
    told = f"{found.choices:,} questions with options; of {found.unclear:,} the answer is none of them."
    return join(
        element("h3", "Letters of right options"), table(heads, rows, "Options", "wide-bar"),
        element("p", told, class_="note"),
    )  # fmt: skip


def words(found: Findings) -> Markup:
    shown = found.things[:_MOST_THINGS]
    third = -(-len(shown) // 3)
    total = found.things_total
    columns = [
        bars(("thing", "times"), shown[at : at + third], total, "c4")
        for at in range(0, len(shown), third or 1)
    ]
    parts: list[Content] = [element("div", *columns, class_="beside") if columns else element("p", "None.")]
    if found.unsupported:
        parts += [
            element("h3", "Named without support"),
            element(
                "div", bars(("thing", "times"), found.unsupported[:_MOST_BARS], found.all.unsupported, "c1"),
                class_="narrow",
            ),
        ]  # fmt: skip
    rows = [
        (each.name, count(each.answers.total), count(each.vocabulary),
         "–" if (ratio := share(each.vocabulary, each.answers.total)) is None else f"{ratio:.3f}",
         *((count(each.unsupported), percent(share(each.unsupported, each.named))) if found.checked else ()))
        for each in found.kinds if each.rows
    ]  # fmt: skip
    heads = ("kind", "words of answers", "different words", "type-token ratio")
    heads_more = ("unsupported", "of things named") if found.checked else ()
    return section(
        "words", "Words", element("h3", "Named most often in answers"), *parts,
        element("p", _THINGS, class_="note"), element("h3", "Vocabulary"),
        table((*heads, *heads_more), rows, "Vocabulary"), element("p", _ratios(found), class_="note"),
    )  # fmt: skip


_THINGS = "Things are heads of noun phrases, in the singular, without words for pictures and their parts."


def _ratios(found: Findings) -> str:
    told = "The type-token ratio, different words of all words, falls as texts grow"
    fresh = found.words.fresh
    if fresh is None:
        return f"{told}: compare kinds of about as many words."
    return f"{told}; among 1,000 words in a row, of all kinds, it is {fresh:.3f} on average."
