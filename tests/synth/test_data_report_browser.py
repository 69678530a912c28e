"""The report in a real browser, from a file. Skipped where there is none."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from browsing import FAINT, in_browser, playwright
from llavakit.synth.report import write_report
from synth.test_data_report_page import HOSTILE, everything

pytestmark = in_browser


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("report") / "report.html"
    write_report(path, everything())
    return path


def test_rows_are_paged_by_buttons_and_by_keys(opened: Callable[..., Any]) -> None:
    tab = opened()
    cards = tab.locator(".card:visible")
    playwright.expect(cards).to_have_count(10)
    first = cards.first.inner_text()
    tab.get_by_role("button", name="Next").first.click()
    playwright.expect(tab.locator("#found")).to_have_text("11–20 of 151")
    assert cards.first.inner_text() != first
    tab.locator("h1").click()
    tab.keyboard.press("ArrowLeft")
    playwright.expect(tab.locator("#found")).to_have_text("1–10 of 151")
    playwright.expect(tab.get_by_role("button", name="Previous").first).to_be_disabled()


def test_rows_are_filtered_and_searched(opened: Callable[..., Any]) -> None:
    tab = opened()
    tab.get_by_label("Show").select_option("rejected: leak")
    playwright.expect(tab.locator("#found")).to_have_text("1–10 of 10 that fit (of 151)")
    tab.get_by_label("Show").select_option("rejected")
    playwright.expect(tab.locator("#found")).to_have_text("1–10 of 31 that fit (of 151)")
    tab.locator("#kind").select_option("choice")
    playwright.expect(tab.locator("#found")).to_have_text("None of 151 fits.")
    tab.get_by_label("Show").select_option("all")
    playwright.expect(tab.locator(".card:visible").first).to_contain_text("A. a dog")
    tab.locator("#kind").select_option("all")
    tab.locator("h1").click()
    tab.keyboard.press("/")
    tab.keyboard.type("says 17.")
    playwright.expect(tab.locator(".card:visible")).to_have_count(1)


def test_hostile_text_is_shown_as_it_is(opened: Callable[..., Any]) -> None:
    tab = opened()
    tab.locator("#kind").select_option(index=6)  # named by hostile text
    playwright.expect(tab.locator(".card:visible")).to_have_count(1)
    playwright.expect(tab.locator(".card:visible .asked")).to_contain_text(HOSTILE)
    assert tab.title().startswith("Instruction data: rows </script>")
    assert tab.locator("img").count() == 0


def test_the_policy_stops_scripts_that_get_in_all_the_same(
    chromium: Any, report: Path, tmp_path: Path
) -> None:
    path = tmp_path / "report.html"
    path.write_text(
        report.read_text(encoding="utf-8").replace("<main>", f"<main>{HOSTILE}"), encoding="utf-8"
    )
    tab = chromium.new_page()
    tab.goto(path.as_uri())
    tab.wait_for_selector(".paging button")
    assert tab.title() != "taken"
    tab.close()


def test_without_its_script_the_page_shows_all_rows(opened: Callable[..., Any]) -> None:
    tab = opened(java_script_enabled=False)
    assert tab.locator(".card:visible").count() == 151
    playwright.expect(tab.locator(".controls")).to_be_hidden()


def test_a_sector_tells_its_number_when_pointed_at(opened: Callable[..., Any]) -> None:
    tab = opened()
    hint = tab.locator(".sunburst .inner title").first.text_content()
    assert hint.startswith("is: 8")
    assert (
        tab.locator(".sunburst")
        .get_attribute("aria-label")
        .startswith("Sunburst of what questions begin with: is")
    )
    tab.locator("summary", has_text="pairs as a table").focus()
    tab.keyboard.press("Enter")
    playwright.expect(tab.locator(".pairs")).to_be_visible()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 1280])
def test_the_page_fits_its_window_and_can_be_read(
    opened: Callable[..., Any], scheme: str, width: int
) -> None:
    tab = opened(viewport={"width": width, "height": 800}, color_scheme=scheme)
    assert tab.evaluate("document.documentElement.scrollWidth") <= width
    assert tab.evaluate(FAINT) == []
    assert tab.evaluate(_CROSSING) == []


# Labels of sectors, seen as turned boxes, that leave the ring of the sunburst, by more than 2 pixels.
_CROSSING = """() => {
  const chart = document.querySelector(".sunburst").getBoundingClientRect();
  const middle = [chart.x + chart.width / 2, chart.y + chart.height / 2];
  const scale = chart.width / 720;
  const out = [];
  for (const text of document.querySelectorAll(".sunburst g g text")) {
    if (!text.checkVisibility()) continue;
    const box = text.getBBox();
    const matrix = text.getScreenCTM();
    for (const [x, y] of [[box.x, box.y + box.height / 2], [box.x + box.width, box.y + box.height / 2]]) {
      const at = new DOMPoint(x, y).matrixTransform(matrix);
      const far = Math.hypot(at.x - middle[0], at.y - middle[1]) / scale;
      const inner = text.parentElement.classList.contains("inner");
      if (far < (inner ? 70 : 190) - 2 / scale || far > (inner ? 190 : 355) + 2 / scale) {
        out.push(`${text.textContent} ${far.toFixed(0)}`);
      }
    }
  }
  return out;
}"""
