"""The report in a real browser, from a file. Skipped where there is none."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from browsing import FAINT, in_browser, playwright
from evaluate.reports import HOSTILE, picture_uri, two_runs
from llavakit.evaluate.report import write_report

pytestmark = in_browser


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("report") / "report.html"
    write_report(path, two_runs(tasks=("pope", "gqa", "vqav2")), thumbnails=picture_uri)
    return path


def ids(tab: Any) -> list[str]:
    return [text.split(" ")[1] for text in tab.locator(".example .about").all_inner_texts()]


def test_examples_are_paged_by_buttons_and_by_keys(opened: Callable[..., Any]) -> None:
    tab = opened()
    assert ids(tab) == [f"q{number}" for number in range(10)]
    tab.get_by_role("button", name="Next").first.click()
    assert ids(tab)[0] == "q10"
    tab.locator("h1").click()
    tab.keyboard.press("ArrowRight")
    assert ids(tab) == ["q20", "q21", "q22", "q23"]
    playwright.expect(tab.get_by_role("button", name="Next").first).to_be_disabled()
    tab.keyboard.press("ArrowLeft")
    playwright.expect(tab.locator("#found")).to_have_text("11–20 of 24")


def test_examples_are_filtered_and_searched(opened: Callable[..., Any]) -> None:
    tab = opened()
    tab.get_by_label("Show").select_option("models differ")
    assert "q0" not in ids(tab)
    playwright.expect(tab.locator("#found")).to_have_text("1–10 of 23 that fit (of 24)")
    tab.get_by_label("Show").select_option("right, every model")
    playwright.expect(tab.locator("#found")).to_have_text("None of 24 fits.")
    tab.get_by_label("Show").select_option("wrong: first")
    tab.get_by_label("Category").select_option("indoor")
    playwright.expect(tab.locator("#found")).to_have_text("1–10 of 12 that fit (of 24)")
    tab.locator("h1").click()
    tab.keyboard.press("/")
    tab.keyboard.type("Picture 18")
    assert ids(tab) == ["q18"]


def test_each_task_has_its_examples(opened: Callable[..., Any]) -> None:
    tab = opened()
    tab.get_by_label("Search").fill("18")
    tab.get_by_label("Task").select_option("GQA (24)")
    playwright.expect(tab.locator("#held")).to_contain_text("All 24 questions are in this file.")
    assert ids(tab) == ["q18"]


def test_the_radar_shows_who_is_ticked(opened: Callable[..., Any]) -> None:
    tab = opened()
    drawn = tab.locator("[data-series='second']")
    playwright.expect(drawn).to_be_visible()
    tab.get_by_role("checkbox", name="second").uncheck()
    playwright.expect(drawn).to_be_hidden()
    tab.get_by_role("checkbox", name="LLaVA-NeXT 34B").check()
    playwright.expect(tab.locator("[data-series='LLaVA-NeXT 34B']")).to_be_visible()


def test_what_a_model_says_is_shown_as_it_is(opened: Callable[..., Any]) -> None:
    tab = opened()
    first = tab.locator(".example").first
    playwright.expect(first.locator("dd").nth(2)).to_contain_text(HOSTILE)
    assert tab.title() == "Evaluation"
    playwright.expect(tab.locator(".example").nth(1).locator("dd").nth(2)).to_contain_text("no answer")
    picture = first.locator("img")
    assert picture.evaluate("node => node.naturalWidth") == 32
    assert picture.get_attribute("alt") == "Picture 1 of question q0: 0.jpg"


def test_the_policy_stops_scripts_that_get_in_all_the_same(chromium: Any, tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    write_report(path, two_runs())
    page = path.read_text(encoding="utf-8")
    path.write_text(page.replace("<main>", f"<main>{HOSTILE}"), encoding="utf-8")
    tab = chromium.new_page()
    tab.goto(path.as_uri())
    tab.wait_for_selector(".example")
    assert tab.title() == "Evaluation"
    tab.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 1280])
def test_the_page_fits_its_window_and_can_be_read(
    opened: Callable[..., Any], scheme: str, width: int
) -> None:
    tab = opened(viewport={"width": width, "height": 800}, color_scheme=scheme)
    assert tab.evaluate("document.documentElement.scrollWidth") <= width
    assert tab.evaluate(FAINT) == []
