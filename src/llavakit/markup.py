"""HTML from values. Text is escaped unless it was made here, so that forgetting it is not possible."""

import base64
import hashlib
import html
from pathlib import Path

_VOID = ("br", "img", "input", "meta")


class Markup(str):
    """Text that is HTML already."""

    __slots__ = ()


Content = Markup | str | float | None


def element(name: str, /, *children: Content, **attributes: str | float | bool | None) -> Markup:
    """`element("td", "a < b", class_="number")`; an attribute of None or False is left out."""
    told = []
    for key, value in attributes.items():
        if value is None or value is False:
            continue
        attribute = key.rstrip("_").replace("_", "-")
        told.append(f" {attribute}" if value is True else f' {attribute}="{_escaped(_text(value))}"')
    opening = f"<{name}{''.join(told)}>"
    return Markup(opening if name in _VOID else f"{opening}{join(*children)}</{name}>")


def join(*children: Content) -> Markup:
    texts = (
        child if isinstance(child, Markup) else _escaped(_text(child))
        for child in children
        if child is not None
    )
    return Markup("".join(texts))


def _text(value: Content) -> str:
    return f"{value:.2f}".rstrip("0").rstrip(".") if isinstance(value, float) else str(value)


def _escaped(text: str) -> str:
    return html.escape(text)


def section(name: str, heading: str, *content: Content) -> Markup:
    return element("section", element("h2", heading, id=name), *content, aria_labelledby=name)


def scrolling(table: Markup, label: str) -> Markup:
    """A wide table, which moves by itself; keyboards can move it too."""
    return element("div", table, class_="wide", tabindex=0, role="region", aria_label=label)


def head(heading: str, style: str, script: str = "") -> Markup:
    """Of a page by itself; a policy allows no script or style but these, by hash, and no network.

    Args:
        style: comes behind `markup.css`, which all pages have
    """
    style = Path(__file__).with_suffix(".css").read_text(encoding="utf-8") + style
    policy = (
        f"default-src 'none'; img-src data:; style-src '{_hash(style)}'; script-src '{_hash(script)}'; "
        "base-uri 'none'; form-action 'none'; require-trusted-types-for 'script'"
    )
    return element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", http_equiv="Content-Security-Policy", content=policy),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("meta", name="referrer", content="no-referrer"),
        element("meta", name="color-scheme", content="light dark"),
        element("title", heading),
        element("style", Markup(style)),
    )


def with_paging(own: str) -> str:
    """A page's own script behind `markup.js`, which both reports page their rows with."""
    return Path(__file__).with_suffix(".js").read_text(encoding="utf-8") + own


def _hash(text: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"
