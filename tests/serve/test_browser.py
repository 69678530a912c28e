"""The page in a real browser. Skipped where there is none."""

import json
import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from assemble import picture, random_llava, saved
from browsing import WAIT, browser, in_browser, playwright
from serve.live import Running, serving

SECOND = 1000

pytestmark = in_browser


LONG = 4000  # tokens, some twenty seconds: whoever is busy still comes in time to stop it


@pytest.fixture(scope="module")
def server(saved_llava: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    kept = tmp_path_factory.mktemp("kept") / "feedback.jsonl"
    talker = random_llava("vicuna_v1", num_hidden_layers=12, max_position_embeddings=2 * LONG)
    folder = saved(talker, tmp_path_factory.mktemp("models") / "talker")
    with serving(
        {"random": str(folder), "other": str(saved_llava)},
        page=True, feedback=kept, default_tokens=100, max_image_bytes=200_000,
    ) as running:  # fmt: skip
        yield running


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    with browser("--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream") as chromium:
        yield chromium


class Page:
    """A tab, and what it asked for."""

    def __init__(self, context: Any, url: str) -> None:
        self.tab, self.url = context.new_page(), url
        self.tab.set_default_timeout(WAIT)
        self.outside: list[str] = []
        self.faults: list[str] = []
        # What the page's own policy forbids does not come as far as this.
        context.route(lambda address: not address.startswith((url, "data:", "blob:")), self._left)
        self.tab.on("pageerror", lambda error: self.faults.append(str(error)))

    def _left(self, route: Any) -> None:
        self.outside.append(route.request.url)
        route.abort()

    def open(self) -> "Page":
        self.tab.goto(self.url)
        self.ready()
        return self

    def ready(self) -> None:
        self.tab.wait_for_selector("#llavakit-box textarea")
        self.tab.wait_for_function("document.querySelector('#llavakit-past li')")
        self.tab.wait_for_function("document.querySelector('#llavakit-sees').innerText.trim()")

    def show(self, *files: Path) -> None:
        with self.tab.expect_file_chooser() as chooser:
            self.tab.click("#llavakit-box .upload-button")
        chooser.value.set_files([str(file) for file in files])
        playwright.expect(self.tab.locator("#llavakit-box .thumbnail-item")).to_have_count(len(files))

    def ask(self, text: str) -> None:
        self.tab.fill("#llavakit-box textarea", text)
        self.tab.press("#llavakit-box textarea", "Enter")

    def wait_for_answers(self, count: int) -> None:
        """Answers that are there as a whole."""
        playwright.expect(self.bot).to_have_count(count)
        self.tab.wait_for_selector("#llavakit-box .submit-button")

    def asked(self, text: str, *files: Path, answers: int = 1) -> None:
        if files:
            self.show(*files)
        self.ask(text)
        self.wait_for_answers(answers)

    @property
    def bot(self) -> Any:
        return self.tab.locator("#llavakit-chat [data-testid=bot]")

    @property
    def user(self) -> Any:
        return self.tab.locator("#llavakit-chat [data-testid=user]")

    @property
    def past(self) -> Any:
        return self.tab.locator("#llavakit-past .open")


@pytest.fixture
def visit(chromium: Any, server: Running) -> Iterator[Callable[..., Page]]:
    contexts = []

    def visiting(**options: Any) -> Page:
        context = chromium.new_context(**({"viewport": {"width": 1280, "height": 800}} | options))
        contexts.append(context)
        return Page(context, server.url).open()

    yield visiting
    for context in contexts:
        context.close()


@pytest.fixture(scope="module")
def photo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("photos") / "photo.png"
    picture(1).save(path)
    return path


@pytest.fixture(scope="module")
def second_photo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("photos") / "second.jpg"
    picture(2).save(path)
    return path


def set_longest(page: Page, tokens: int) -> None:
    page.tab.get_by_role("button", name="Settings").click()
    field = page.tab.get_by_label(re.compile("number input for Longest")).first
    field.fill(str(tokens))
    field.press("Tab")


def test_pictures_are_asked_about_and_the_answer_streams(
    visit: Callable[..., Page], photo: Path, second_photo: Path
) -> None:
    page = visit()
    set_longest(page, 800)
    page.show(photo, second_photo)
    page.ask("What are these?")
    length = "document.querySelector('#llavakit-chat [data-testid=bot]')?.innerText.trim().length || 0"
    page.tab.wait_for_function(f"{length} > 0")
    page.tab.wait_for_selector("#llavakit-box .stop-button")
    before = page.tab.evaluate(length)
    page.tab.wait_for_function(f"{length} > {before}")
    page.wait_for_answers(1)
    playwright.expect(page.user.locator("img")).to_have_count(2)
    assert page.faults == []


def test_a_second_turn_follows_the_first(visit: Callable[..., Page], photo: Path) -> None:
    page = visit()
    page.asked("What is this?", photo)
    page.asked("And its colour?", answers=2)
    playwright.expect(page.user).to_have_count(3)  # a picture and two questions


def test_a_picture_without_words_is_asked_what_it_shows(visit: Callable[..., Page], photo: Path) -> None:
    page = visit(locale="zh-CN")
    page.asked("", photo)
    playwright.expect(page.user.last).to_have_text("图里有什么？")


def test_stop_lets_go_of_the_answer(visit: Callable[..., Page], server: Running, photo: Path) -> None:
    page = visit()
    set_longest(page, LONG)
    page.show(photo)
    page.ask("Tell me everything.")
    page.tab.wait_for_function("document.querySelector('#llavakit-chat [data-testid=bot]')?.innerText.trim()")
    assert server.answering.busy == 1
    page.tab.click("#llavakit-box .stop-button")
    page.wait_for_answers(1)
    wait_until(page, lambda: server.answering.busy == 0)
    page.asked("And now?", answers=2)


def test_closing_the_tab_lets_go_of_the_answer(
    visit: Callable[..., Page], server: Running, photo: Path
) -> None:
    page, other = visit(), visit()
    set_longest(page, LONG)
    page.show(photo)
    page.ask("Tell me everything.")
    page.tab.wait_for_function("document.querySelector('#llavakit-chat [data-testid=bot]')?.innerText.trim()")
    page.tab.close()
    wait_until(other, lambda: server.answering.busy == 0)


def wait_until(page: Page, condition: Callable[[], bool]) -> None:
    for _ in range(200):
        if condition():
            return
        page.tab.wait_for_timeout(50)
    raise AssertionError("it never came true")


def test_without_a_picture_one_is_asked_for(visit: Callable[..., Page], server: Running, photo: Path) -> None:
    page = visit()
    page.asked("Hello")
    playwright.expect(page.bot).to_contain_text("Please upload an image first")
    page.asked("What is this?", photo, answers=2)


def test_a_file_that_is_no_picture_is_told_in_a_sentence(visit: Callable[..., Page], tmp_path: Path) -> None:
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"not a picture at all")
    page = visit()
    page.asked("What is this?", broken)
    playwright.expect(page.bot).to_contain_text("⚠")
    text = page.bot.inner_text()
    assert "broken.png" in text
    assert "Traceback" not in page.tab.content()
    page.asked("Still there?", answers=2)


def test_a_reload_keeps_the_conversation(visit: Callable[..., Page], photo: Path) -> None:
    page = visit()
    page.asked("What is this?", photo)
    playwright.expect(page.past).to_have_count(1)
    answer = page.bot.inner_text()
    page.tab.reload()
    page.ready()
    playwright.expect(page.bot).to_have_text(answer)
    playwright.expect(page.user.locator("img")).to_have_count(1)
    page.asked("Again?", answers=2)


def test_past_conversations_are_opened_and_deleted(visit: Callable[..., Page], photo: Path) -> None:
    page = visit()
    page.asked("The first of all?", photo)
    page.tab.get_by_role("button", name="New chat").click()
    playwright.expect(page.bot).to_have_count(0)
    page.asked("The second of all?", photo)
    playwright.expect(page.past).to_have_text(["The second of all?", "The first of all?"])
    page.past.nth(1).click()
    playwright.expect(page.user.last).to_have_text("The first of all?")
    page.tab.get_by_role("button", name="Delete: The second of all?").click()
    playwright.expect(page.past).to_have_text(["The first of all?"])
    page.tab.get_by_role("button", name="Delete: The first of all?").click()
    playwright.expect(page.past).to_have_count(0)
    playwright.expect(page.user).to_have_count(0)


def test_pictures_come_back_when_the_server_has_forgotten_them(
    visit: Callable[..., Page], photo: Path
) -> None:
    page = visit()
    page.asked("What is this?", photo)
    playwright.expect(page.past).to_have_count(1)
    folder = Path(os.environ["GRADIO_TEMP_DIR"])
    for path in folder.rglob("photo.png"):
        path.unlink()
    page.tab.reload()
    page.ready()
    image = page.user.locator("img").first
    image.wait_for()
    page.tab.wait_for_function(
        "document.querySelector('#llavakit-chat [data-testid=user] img').naturalWidth > 0"
    )
    page.asked("Again?", answers=2)
    playwright.expect(page.bot.last).not_to_contain_text("⚠")


def test_an_edited_question_keeps_its_picture(visit: Callable[..., Page], photo: Path) -> None:
    page = visit()
    page.asked("What is thiss?", photo)
    page.asked("And then?", answers=2)
    page.tab.get_by_role("button", name="Edit").first.click()
    field = page.tab.locator("#llavakit-chat textarea")
    field.fill("What is this?")
    page.tab.get_by_role("button", name="Submit", exact=True).first.click()
    page.wait_for_answers(1)
    playwright.expect(page.user.locator("img")).to_have_count(1)
    playwright.expect(page.user.last).to_have_text("What is this?")


def test_retry_and_undo(visit: Callable[..., Page], photo: Path) -> None:
    page = visit()
    page.asked("What is this?", photo)
    page.tab.get_by_role("button", name="Retry").click()
    page.tab.wait_for_selector("#llavakit-box .stop-button")
    page.wait_for_answers(1)
    page.tab.get_by_role("button", name="Undo").click()
    playwright.expect(page.bot).to_have_count(0)
    playwright.expect(page.tab.locator("#llavakit-box textarea")).to_have_value("What is this?")
    playwright.expect(page.tab.locator("#llavakit-box .thumbnail-item")).to_have_count(1)


def test_an_example_is_asked_at_a_click(visit: Callable[..., Page]) -> None:
    page = visit()
    page.tab.get_by_text("How many cars are there?").click()
    page.wait_for_answers(1)
    playwright.expect(page.user.locator("img")).to_have_count(1)


def test_a_rated_answer_is_kept_and_the_person_is_told(
    visit: Callable[..., Page], server: Running, photo: Path
) -> None:
    page = visit()
    page.asked("Do you like this?", photo)
    page.tab.get_by_role("button", name="Like", exact=True).click()
    page.tab.get_by_text("kept on the server").first.wait_for()
    rows = [json.loads(line) for line in server.answering.settings.feedback.read_text().splitlines()]
    row = next(row for row in rows if "Do you like this?" in row["conversations"][0]["value"])
    assert row["rating"] == "like"
    assert (server.answering.settings.feedback.parent / row["image"]).exists()


def test_a_conversation_is_saved_with_its_pictures(visit: Callable[..., Page], photo: Path) -> None:
    page = visit()
    page.asked("What is this?", photo)
    with page.tab.expect_download() as download:
        page.tab.get_by_role("button", name="Save as Markdown").click()
    text = Path(download.value.path()).read_text()
    assert download.value.suggested_filename == "What-is-this.md"
    assert "![photo.png](data:image/png;base64," in text
    assert "**You:**\n" not in text
    assert "What is this?" in text and page.bot.inner_text().strip()[:10] in text


def test_a_photograph_goes_into_the_question(visit: Callable[..., Page]) -> None:
    page = visit(permissions=["camera"])
    page.tab.locator("#llavakit-photograph").get_by_role("button").first.click()
    camera = page.tab.locator("#llavakit-camera")
    camera.get_by_role("button").last.click()
    # Before its first frame there is nothing to take a picture of.
    page.tab.wait_for_function("document.querySelector('#llavakit-camera video')?.readyState >= 2")
    camera.get_by_label("capture photo").click()
    playwright.expect(page.tab.locator("#llavakit-box .thumbnail-item")).to_have_count(1)


def test_no_request_leaves_the_server(visit: Callable[..., Page], photo: Path) -> None:
    page = visit()
    page.asked(
        "What is this? ![x](http://elsewhere.example/x.png) <img src=http://elsewhere.example/y.png>", photo
    )
    page.tab.get_by_role("button", name="Settings").click()
    page.tab.wait_for_load_state("load")
    assert page.outside == []


def test_letters_that_look_like_a_mark_are_shown(visit: Callable[..., Page], photo: Path) -> None:
    page = visit()
    page.asked("What does <image> mean?", photo)
    assert page.user.last.inner_text().replace("\u2060", "").strip() == "What does <image> mean?"
    assert page.past.inner_text() == "What does <image> mean?"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_phone_scrolls_in_one_direction_only(visit: Callable[..., Page], photo: Path, scheme: str) -> None:
    page = visit(viewport={"width": 390, "height": 844}, color_scheme=scheme, locale="zh-CN")
    page.asked("x" * 300, photo)
    assert page.tab.evaluate("document.documentElement.scrollWidth") <= 390
    dark = page.tab.evaluate("document.body.classList.contains('dark')")
    assert dark == (scheme == "dark")


def test_a_chinese_browser_gets_chinese(visit: Callable[..., Page]) -> None:
    page = visit(locale="zh-CN")
    for words in ("新对话", "历史对话", "设置", "保存为 Markdown", "图里有狗吗？", "拍照"):
        page.tab.get_by_text(words).first.wait_for()


def test_the_model_is_chosen_and_described(visit: Callable[..., Page]) -> None:
    page = visit()
    playwright.expect(page.tab.locator("#llavakit-sees")).to_contain_text("random")
    page.tab.locator("#llavakit-model input").click()
    page.tab.get_by_role("option", name="other").click()
    playwright.expect(page.tab.locator("#llavakit-sees")).to_contain_text("other")
    playwright.expect(page.tab.locator("#llavakit-sees")).to_contain_text("not in memory")


def test_keys_alone_are_enough(visit: Callable[..., Page], server: Running, photo: Path) -> None:
    page = visit()
    set_longest(page, LONG)
    page.tab.evaluate("document.activeElement.blur()")
    page.tab.keyboard.press("/")
    page.show(photo)
    page.tab.locator("#llavakit-box textarea").focus()
    page.tab.keyboard.type("Tell me everything.")
    page.tab.keyboard.press("Enter")
    page.tab.wait_for_function("document.querySelector('#llavakit-chat [data-testid=bot]')?.innerText.trim()")
    page.tab.keyboard.press("Escape")
    page.wait_for_answers(1)
    wait_until(page, lambda: server.answering.busy == 0)


FILE = """
    async ([selector, kind]) => {
        const canvas = document.createElement("canvas");
        canvas.width = canvas.height = 32;
        canvas.getContext("2d").fillRect(0, 0, 16, 32);
        const blob = await new Promise((done) => canvas.toBlob(done));
        const data = new DataTransfer();
        data.items.add(new File([blob], "dropped.png", { type: "image/png" }));
        const options = { bubbles: true, cancelable: true };
        document.querySelector(selector).dispatchEvent(
            kind === "paste"
                ? new ClipboardEvent("paste", { ...options, clipboardData: data })
                : new DragEvent("drop", { ...options, dataTransfer: data })
        );
    }
"""


@pytest.mark.parametrize(
    ("selector", "kind"),
    [("#llavakit-box textarea", "paste"), ("#llavakit-sees", "drop"), ("#llavakit-chat", "drop")],
)
def test_pictures_are_pasted_and_dropped_anywhere(
    visit: Callable[..., Page], selector: str, kind: str
) -> None:
    page = visit()
    page.tab.evaluate(FILE, [selector, kind])
    playwright.expect(page.tab.locator("#llavakit-box .thumbnail-item")).to_have_count(1)
    page.asked("What is this?")
    playwright.expect(page.user.locator("img")).to_have_count(1)


def test_a_conversation_is_copied_as_text(visit: Callable[..., Page], photo: Path) -> None:
    page = visit(permissions=["clipboard-read", "clipboard-write"])
    page.asked("What is this?", photo)
    page.tab.get_by_role("button", name="Copy as text").click()
    page.tab.get_by_text("on the clipboard").wait_for()
    text = page.tab.evaluate("navigator.clipboard.readText()")
    assert text.startswith("# What is this?\n\n**You**\n\n[photo.png]\n\nWhat is this?\n\n**random**\n\n")


def test_a_question_that_is_refused_does_not_lock_the_page(visit: Callable[..., Page], photo: Path) -> None:
    page = visit()
    page.show(photo)
    refusal = {"status": 413, "json": {"error": "too large", "detail": "too large"}}
    page.tab.route("**/queue/join*", lambda route: route.fulfill(**refusal), times=1)
    page.ask("What is this?")
    playwright.expect(page.user).to_have_count(2)
    page.tab.wait_for_selector("#llavakit-box .submit-button")
    page.asked("Are you back?")


def test_a_server_that_was_away_finds_the_conversation_again(visit: Callable[..., Page], photo: Path) -> None:
    page = visit()
    page.asked("What is this?", photo)
    with page.tab.expect_navigation():  # Gradio loads the page anew when the server is back
        page.tab.route("**/queue/join*", lambda route: route.abort(), times=1)
        page.ask("Are you there?")
    page.ready()
    playwright.expect(page.user).to_have_count(3)
    page.asked("Are you back?", answers=2)


def test_a_key_is_asked_for_once(chromium: Any, saved_llava: Path, photo: Path) -> None:
    with serving({"random": str(saved_llava)}, page=True, api_key="secret", default_tokens=20) as running:
        context = chromium.new_context()
        page = Page(context, running.url)
        page.tab.goto(running.url)
        page.tab.fill("#key", "secret")
        page.tab.press("#key", "Enter")
        page.ready()
        page.asked("What is this?", photo)
        context.close()
