"""The page without a browser: its words, what it asks the model, what it keeps, what it lets in."""

import asyncio
import itertools
import json
import string
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from assemble import picture
from llavakit import LLaVA
from llavakit.data.instruct import InstructData
from llavakit.serve.answering import Answering
from llavakit.serve.faults import Fault
from llavakit.serve.metrics import Metrics
from llavakit.serve.models import Models
from llavakit.serve.page.answers import Answer, Wishes, answers, sentence_of
from llavakit.serve.page.examples import EXAMPLES, FOLDER
from llavakit.serve.page.feedback import Feedback
from llavakit.serve.page.notice import notice
from llavakit.serve.page.turns import SHIELDED, Turn, asked, edited, message, said, sent_back, turns_of
from llavakit.serve.page.turns import picture as shown
from llavakit.serve.page.words import WORDS, language_of, say, translations
from llavakit.serve.pictures import Picture, open_pictures
from llavakit.serve.settings import Settings
from serve.live import Running, serving

SETTINGS = Settings(default_tokens=8, max_images=2)


def models_of(source: Path | str) -> Models:
    return Models({"random": str(source)}, loading={"device": "cpu"}, metrics=Metrics())


@pytest.fixture
def uploads(tmp_path: Path) -> Path:
    folder = tmp_path / "uploads"
    folder.mkdir()
    for number in range(3):
        picture(number).save(folder / f"{number}.png")
    return folder


def user(text: str, *pictures: Path) -> Turn:
    return Turn("user", text, tuple((path, path.name) for path in pictures))


def answer(text: str = "A thing.", *, notice: bool = False) -> Turn:
    return Turn("assistant", text, notice=notice)


def ask(answering: Answering, *turns: Turn, language: Any = "en", **wishes: Any) -> list[Answer]:
    """All that is seen of an answer."""

    async def collect() -> list[Answer]:
        try:
            return [each async for each in answers(answering, turns, Wishes(**wishes), language)]
        finally:
            await answering.models.close()

    return asyncio.run(collect())


# --- words ---


def fields(words: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(words) if name}


@pytest.mark.parametrize("key", sorted(WORDS))
def test_everything_is_said_in_both_languages(key: str) -> None:
    english, chinese = WORDS[key]
    assert english.strip()
    assert chinese.strip()
    if key not in ("fault_invalid_image", "broken"):
        assert fields(english) == fields(chinese)
    assert translations()["zh-CN"][key] == chinese


@pytest.mark.parametrize(
    ("header", "language"),
    [
        ("", "en"),
        ("en-US,en;q=0.9", "en"),
        ("zh-CN,zh;q=0.9,en;q=0.8", "zh"),
        ("zh", "zh"),
        ("de,zh;q=0.5", "en"),
    ],
)
def test_the_browsers_first_language_decides(header: str, language: str) -> None:
    assert language_of(header) == language


def test_examples_ship_with_the_package_and_are_small() -> None:
    assert 4 <= len(EXAMPLES) <= 6
    assert sum(path.stat().st_size for path in FOLDER.iterdir()) <= 150_000
    for example in EXAMPLES:
        assert example.path.exists()
        assert example.question("en") != example.question("zh")


TRUE = {
    "toys.png": ("three", "没有"),
    "beach.png": ("red", "红"),
    "street.png": ("penguin", "绿"),
    "desert.png": ("no fish", "没有鱼"),
    "kitchen.png": ("kitchen", "餐桌"),
    "chart.png": ("bar chart", "柱状图"),
}


def test_the_embedded_model_answers_every_example_rightly_in_both_languages() -> None:
    tiny = LLaVA.from_pretrained("tiny")
    assert {example.name for example in EXAMPLES} == set(TRUE)
    for example in EXAMPLES:
        for language, truth in zip(("en", "zh"), TRUE[example.name], strict=True):
            reply = tiny.generate(example.question(language), images=[example.path])
            assert truth in reply.text, example


# --- from the browser to the model ---


def test_messages_become_turns_with_their_pictures(uploads: Path) -> None:
    file = {"path": str(uploads / "0.png"), "orig_name": "holiday.png", "url": "http://elsewhere.example/"}
    messages = [
        shown(file),
        message("user", f"a {SHIELDED}image> b"),
        message("assistant", "no", notice=True),
    ]
    assert turns_of(messages, uploads) == [
        Turn("user", "", ((uploads / "0.png", "holiday.png"),)),
        Turn("user", "a <image> b"),
        Turn("assistant", "no", notice=True),
    ]


@pytest.mark.parametrize("path", ["/etc/passwd", "../secret.png", "http://elsewhere.example/a.png", ""])
def test_a_file_that_is_no_upload_is_refused(uploads: Path, path: str) -> None:
    inside = path if path.startswith(("/", "http")) else str(uploads / path) if path else path
    with pytest.raises(Fault):
        turns_of([shown({"path": inside})], uploads)


@pytest.mark.parametrize(
    "messages",
    [
        [{}],
        ["words"],
        [{"role": "user", "content": [{"type": "component"}]}],
        [{"role": "user", "content": 3}],
    ],
)
def test_what_is_no_conversation_is_refused(uploads: Path, messages: Any) -> None:
    with pytest.raises(Fault):
        turns_of(messages, uploads)


def test_a_browsers_addresses_of_pictures_are_not_sent_back() -> None:
    given = [
        {
            "role": "user",
            "content": [{"type": "file", "file": {"path": "a", "url": "http://elsewhere.example/"}}],
        }
    ]
    assert sent_back(given)[0]["content"][0]["file"]["url"] is None


def test_editing_drops_what_followed_and_keeps_what_came_before() -> None:
    messages = [
        message("user", "a"),
        message("assistant", "b"),
        message("user", "<c>"),
        message("assistant", "d"),
    ]
    left = edited(messages, 2)
    assert [each["content"][0]["text"] for each in left] == ["a", "b", f"{SHIELDED}c>"]


def test_the_pages_own_words_and_what_got_them_are_not_read() -> None:
    first, second = user("Hello"), user("What is this?")
    assert asked([first, answer("Please …", notice=True), second]) == [second]
    assert asked([second, answer(), first, answer("⚠", notice=True), second]) == [second, answer(), second]


def test_a_system_prompt_stands_first_and_pictures_before_words(uploads: Path) -> None:
    conversation = said([user("What is this?", uploads / "0.png")], " Be brief. ")
    assert [each.role for each in conversation] == ["system", "user"]
    assert conversation[0].parts == ("Be brief.",)
    assert conversation[1].parts == (Picture(uploads / "0.png", "0.png"), "What is this?")


def test_the_servers_limits_hold_for_the_page(uploads: Path) -> None:
    pictures = [Picture(uploads / f"{number}.png", f"{number}.png") for number in range(3)]
    with pytest.raises(Fault, match="3 pictures") as caught:
        open_pictures(pictures, SETTINGS)
    assert sentence_of(caught.value, SETTINGS, "zh") == "一次对话最多可以有 2 张图片。"
    with pytest.raises(Fault) as caught:
        open_pictures(pictures[:1], Settings(max_image_bytes=10))
    assert caught.value.code == "image_too_large"
    with pytest.raises(Fault) as caught:
        open_pictures([Picture(uploads / "gone.png", "gone.png")], SETTINGS)
    assert "show it again" in sentence_of(caught.value, SETTINGS, "en")


# --- answers ---


def test_a_first_question_without_a_picture_is_not_asked(saved_llava: Path) -> None:
    answering = Answering(models_of(saved_llava), SETTINGS)
    for language in ("en", "zh"):
        assert ask(answering, user("Hello"), language=language) == [
            Answer(say("please", language), notice=True)
        ]  # type: ignore[arg-type]
    assert answering.models.served == []  # nobody loaded it


def test_later_questions_without_a_picture_are_asked(saved_llava: Path) -> None:
    answering = Answering(models_of(saved_llava), SETTINGS)
    seen = ask(answering, user("Hello"), answer(say("please", "en"), notice=True), user("But why?"))
    assert seen[-1].text
    assert not seen[-1].notice


def test_an_answer_grows_and_says_why_it_ends(saved_llava: Path, uploads: Path) -> None:
    answering = Answering(models_of(saved_llava), SETTINGS)
    seen = ask(answering, user("What is this?", uploads / "0.png"), longest=40, temperature=0)
    assert seen[0].status == say("loading", "en", name="random")
    texts = [each.text for each in seen]
    assert all(later.startswith(earlier) for earlier, later in itertools.pairwise(texts))
    assert texts[-1]
    assert seen[-1].status == say("cut", "en")


def test_what_no_longer_fits_is_said(saved_llava: Path, uploads: Path) -> None:
    answering = Answering(models_of(saved_llava), SETTINGS)
    long = [
        user("word " * 60, uploads / "0.png"),
        answer("word " * 60),
        user("word " * 60),
        answer("word " * 60),
    ]
    seen = ask(answering, *long, user("And now?"))
    assert say("dropped", "en", count=2) in seen[-1].status


def test_closing_an_answer_lets_go_of_it(saved_llava: Path, uploads: Path) -> None:
    answering = Answering(models_of(saved_llava), SETTINGS)

    async def leave() -> int:
        stream = answers(answering, [user("What is this?", uploads / "0.png")], Wishes(longest=900), "en")
        async for each in stream:
            if each.text:
                break
        assert answering.busy == 1
        await stream.aclose()  # type: ignore[attr-defined]
        for _ in range(200):
            if not answering.busy:
                break
            await asyncio.sleep(0.02)
        busy = answering.busy
        await answering.models.close()
        return busy

    assert asyncio.run(leave()) == 0


def test_a_full_queue_is_said(saved_llava: Path, uploads: Path) -> None:
    answering = Answering(models_of(saved_llava), SETTINGS.model_copy(update={"queue": 1}))
    turns = [user("What is this?", uploads / "0.png")]

    async def crowd() -> Answer:
        first = answers(answering, turns, Wishes(longest=900), "en")
        async for each in first:
            if each.text:
                break
        last = [each async for each in answers(answering, turns, Wishes(), "en")][-1]
        await first.aclose()  # type: ignore[attr-defined]
        await answering.models.close()
        return last

    last = asyncio.run(crowd())
    assert last.notice
    assert last.failed == say("busy", "en")


@pytest.mark.parametrize(
    "wishes",
    [
        {"model": "nobody"},
        {"temperature": "hot"},
        {"top_p": 3},
        {"longest": "x"},
        {"longest": 10**6},
        {"seed": -1},
    ],
)
def test_nonsense_is_told_in_a_sentence(saved_llava: Path, uploads: Path, wishes: dict[str, Any]) -> None:
    answering = Answering(models_of(saved_llava), SETTINGS)
    (seen,) = ask(answering, user("What is this?", uploads / "0.png"), **wishes)
    assert seen.notice
    assert seen.failed
    assert "something went wrong" not in seen.failed.lower()


def test_a_seed_repeats_an_answer(saved_llava: Path, uploads: Path) -> None:
    said_twice = {
        ask(
            Answering(models_of(saved_llava), SETTINGS), user("What is this?", uploads / "0.png"),
            temperature=1.5, seed=7.0,
        )[-1].text
        for _ in range(2)
    }  # fmt: skip
    assert len(said_twice) == 1


def test_what_a_model_can_see_is_said(saved_llava: Path) -> None:
    models = Models({"t*y": "tiny", "random": str(saved_llava)}, loading={"device": "cpu"}, metrics=Metrics())
    assert "drawn scenes" in notice(models, "t*y", "en")
    assert "t\\*y" in notice(models, "t*y", "en")
    assert "画出来的场景" in notice(models, "t*y", "zh")
    assert "not in memory" in notice(models, "random", "en")
    assert notice(models, "nobody", "en") == ""

    async def loaded() -> str:
        async with models.lease("random"):
            told = notice(models, "random", "en")
        await models.close()
        return told

    assert asyncio.run(loaded()).endswith("on cpu")


# --- feedback ---


def rows(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_a_rated_answer_is_a_row_to_train_on(tmp_path: Path, uploads: Path) -> None:
    path = tmp_path / "kept" / "feedback.jsonl"
    feedback = Feedback(path)
    turns = [
        user("", uploads / "0.png"),
        user("", uploads / "1.png"),
        user("What does <image> mean?"),
        answer(),
    ]
    feedback.rate(turns, "like", "random")
    feedback.rate([*turns, user("And?"), answer("No \ud800.")], "dislike", "random")
    feedback.rate([user("Literally <image>?"), answer()], "like", "random")

    data = InstructData(str(path))
    assert not data.bad
    assert [len(data.row(i).images) for i in range(3)] == [2, 2, 0]
    messages = data[0]
    assert [each.size for each in messages[0].images] == [picture(0).size, picture(1).size]  # type: ignore[union-attr]
    assert [row["rating"] for row in rows(path)] == ["like", "dislike", "like"]
    assert rows(path)[2]["conversations"][0]["value"] == "Literally <image>?"
    assert len(list((path.parent / "images").iterdir())) == 2  # by content, once


def test_a_changed_mind_replaces_the_rating(tmp_path: Path, uploads: Path) -> None:
    path = tmp_path / "feedback.jsonl"
    feedback = Feedback(path)
    turns = [user("What is this?", uploads / "0.png"), answer()]
    feedback.rate(turns, "like", "random")
    feedback.rate(turns, "dislike", "random")
    assert [row["rating"] for row in rows(path)] == ["dislike"]
    feedback.rate(turns, None, "random")
    assert rows(path) == []


def test_lines_of_many_at_once_are_whole(tmp_path: Path) -> None:
    path = tmp_path / "feedback.jsonl"

    def write(who: int) -> None:
        feedback = Feedback(path)  # each with a lock of its own, as processes have
        for number in range(10):
            feedback.rate([user(f"{who} {number} " + "x" * 5000), answer()], "like", "random")

    threads = [threading.Thread(target=write, args=(who,)) for who in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({row["id"] for row in rows(path)}) == 40


def test_the_pages_own_words_are_not_rated(tmp_path: Path) -> None:
    with pytest.raises(Fault):
        Feedback(tmp_path / "f.jsonl").rate([user("Hi"), answer("Please …", notice=True)], "like", "random")


# --- the application ---


@pytest.fixture(scope="module")
def page(saved_llava: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    pytest.importorskip("gradio")
    kept = tmp_path_factory.mktemp("kept") / "feedback.jsonl"
    with serving({"random": str(saved_llava)}, page=True, feedback=kept, max_image_bytes=50_000) as running:
        assert running.client.get("/", timeout=120).status_code == 200  # it takes its time
        yield running


def test_the_page_is_there_beside_the_api(page: Running) -> None:
    answer = page.client.get("/")
    assert "llavakit" in answer.text
    assert "fonts.googleapis" not in answer.text
    assert "default-src 'self'" in answer.headers["content-security-policy"]
    assert page.client.get("/v1/models").status_code == 200
    config = page.client.get("/config").json()
    assert all(each["api_visibility"] == "private" for each in config["dependencies"])
    assert config["i18n_translations"]["zh-CN"]["new_chat"] == "新对话"


@pytest.mark.parametrize(
    "path",
    [
        "/gradio_api/info", "/gradio_api/openapi.json", "/gradio_api/file=http://127.0.0.1/x", "/monitoring",
        "/gradio_api/file=https://example.com/", "/gradio_api/proxy=https://x.hf.space/", "/gradio_api/runs",
        "/gradio_api/vibe-code/", "/gradio_api/deep_link", "/gradio_api/call/x/y", "/nothing",
    ],
)  # fmt: skip
def test_what_the_page_does_not_need_is_not_there(page: Running, path: str) -> None:
    assert page.client.get(path).status_code == 404


def test_files_outside_the_uploads_are_not_given_away(page: Running) -> None:
    here = str(Path(__file__).resolve())
    for path in (here, "/etc/passwd", str(page.answering.settings.feedback), "./pyproject.toml"):
        assert page.client.get(f"/gradio_api/file={path}").status_code in (403, 404)
    for path in (here, "https://example.com/a.png", "../../etc/passwd"):
        file = {"path": path, "meta": {"_type": "gradio.FileData"}}
        content = {"role": "user", "content": [{"type": "file", "file": file}]}
        body = {"data": [[content]], "fn_index": 0, "session_hash": "abc"}
        answer = page.client.post("/gradio_api/queue/join", json=body)
        assert answer.status_code == 400
        assert "not uploaded" in answer.json()["error"]


def test_gradio_too_looks_where_a_file_lies(page: Running) -> None:
    """Its own check is off in an application that it did not launch itself; `mounted` turns it on."""
    from gradio.context import LocalContext
    from gradio.exceptions import InvalidPathError
    from gradio.processing_utils import _check_allowed

    from llavakit.serve.page.mount import mounted

    (route,) = mounted(page.answering).routes
    blocks = route.app.get_blocks()  # type: ignore[attr-defined]
    token = LocalContext.blocks.set(blocks)
    try:
        with pytest.raises(InvalidPathError):
            _check_allowed("/etc/passwd", True)
    finally:
        LocalContext.blocks.reset(token)


def test_pictures_are_taken_up_to_the_limit(page: Running) -> None:
    def upload(data: bytes) -> Any:
        return page.client.post("/gradio_api/upload", files={"files": ("a.png", data, "image/png")})

    (path,) = upload(b"x" * 1000).json()
    assert page.client.get(f"/gradio_api/file={path}").content == b"x" * 1000
    assert upload(b"x" * 60_000).status_code == 413


def test_gradio_is_imported_by_the_page_alone() -> None:
    program = "import sys, llavakit.serve.app, llavakit.serve.page; sys.exit('gradio' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], timeout=120).returncode == 0


def test_gradio_writes_nothing_into_its_own_folder_when_it_is_imported() -> None:
    program = """if True:
        from llavakit.serve.page.importing import prepare
        prepare()
        import inspect, gradio, gradio.components
        import gradio.component_meta as meta
        # what the page builds its blocks from works as ever; the writer of stubs does nothing
        assert meta.create_or_modify_pyi(gradio.Textbox, "Textbox", []) is None
        assert inspect.getsourcefile(meta.create_or_modify_pyi).endswith("importing.py")
        assert gradio.Textbox(label="words").change
    """
    done = subprocess.run([sys.executable, "-c", program], timeout=120, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
