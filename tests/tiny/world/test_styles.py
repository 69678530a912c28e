import io
import stat
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image

from llavakit.errors import LlavaError, UsageError
from llavakit.tiny.world import styles
from llavakit.tiny.world.things import KINDS

needs_styles = pytest.mark.skipif(
    not {*styles.TRAINED, styles.HELD_OUT} <= set(styles.available()), reason="the styles are not fetched"
)

# Packs a collection of two icons, whatever is asked for.
NPM = """#!{python}
import io, json, sys, tarfile
red = "<rect width='8' height='16' fill='#f00'/>"
files = {{
    "icons.json": {{"width": 16, "height": 16,
                   "icons": {{"car": {{"body": red}}, "robot-face": {{"body": red}}}}}},
    "chars.json": {{"1f697": "car", "1f916": "robot", "1f431": "nowhere"}},
}}
with tarfile.open("set.tgz", "w:gz") as archive:
    for name, content in files.items():
        data = json.dumps(content).encode()
        entry = tarfile.TarInfo("package/" + name)
        entry.size = len(data)
        archive.addfile(entry, io.BytesIO(data))
"""


@pytest.fixture
def empty_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setenv("LLAVAKIT_CACHE", str(tmp_path / "cache"))
    styles._pictures.cache_clear()
    yield tmp_path / "cache"
    styles._pictures.cache_clear()


def with_npm(script: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    npm = folder / "npm"
    npm.write_text(script)
    npm.chmod(npm.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", str(folder))


def test_one_set_is_never_trained_on() -> None:
    assert styles.HELD_OUT not in {styles.STYLES[name].set for name in styles.TRAINED}


def test_every_set_is_attributed_with_its_licence() -> None:
    for words in ("Noto Color Emoji", "Twemoji", "OpenMoji", "EmojiOne", "Microsoft", "CC BY-SA 4.0", "MIT"):
        assert words in styles.ATTRIBUTION


def test_sets_are_fetched_once_and_drawn(
    empty_cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("resvg_py")
    with_npm(NPM.format(python=sys.executable), tmp_path, monkeypatch)
    files = styles.fetch()
    assert [file.name.split("-")[0] for file in files] == ["twemoji", "openmoji", "emojione", "fluent"]
    assert {file for file in empty_cache.rglob("*") if file.is_file()} == set(files)
    assert {"twemoji", "fluent-2"} <= set(styles.available())
    assert styles.has("twemoji", "car") and not styles.has("twemoji", "dog")
    assert styles.has("emojione", "robot")  # which its set calls a robot's face
    picture = styles.picture("openmoji", "car")
    assert picture.width == styles.SIDE and picture.getpixel((10, 10)) == (255, 0, 0, 255)
    assert picture.getpixel((styles.SIDE - 10, 10))[3] == 0

    monkeypatch.setenv("PATH", str(empty_cache))  # no npm there
    assert styles.fetch() == []


def test_without_npm_the_remedy_is_named(empty_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("resvg_py")
    monkeypatch.setenv("PATH", str(empty_cache))
    with pytest.raises(LlavaError, match=r"npm.*install Node\.js"):
        styles.fetch()


def test_a_package_that_cannot_be_had_leaves_nothing_behind(
    empty_cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("resvg_py")
    with_npm(f"#!{sys.executable}\nraise SystemExit('no such package')\n", tmp_path, monkeypatch)
    with pytest.raises(LlavaError, match=r"twemoji@.*no such package.*network"):
        styles.fetch()
    assert not empty_cache.exists()


def test_without_resvg_the_extra_is_named(empty_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "resvg_py", None)
    with pytest.raises(UsageError, match=r"llavakit\[drawn\]"):
        styles.fetch()


@pytest.mark.usefixtures("empty_cache")
def test_an_absent_style_says_how_to_get_it() -> None:
    assert not {"twemoji", "fluent"} & set(styles.available())
    with pytest.raises(LlavaError, match=r"'twemoji'.*python -m llavakit\.tiny\.world\.styles"):
        styles.has("twemoji", "car")


def test_an_unknown_style_names_the_nearest() -> None:
    with pytest.raises(UsageError, match=r"'tweemoji'.*'twemoji'"):
        styles.has("tweemoji", "car")


@needs_styles
def test_every_kind_is_in_at_least_two_of_the_four_trained_sets() -> None:
    trained = sorted({styles.STYLES[name].set for name in styles.TRAINED})
    for kind in KINDS:
        assert sum(styles.has(name, kind) for name in trained) >= 2, kind


@needs_styles
def test_a_second_style_draws_the_other_emoji_where_there_is_one() -> None:
    def shown(style: str, kind: str) -> bytes:
        kept = io.BytesIO()
        styles.picture(style, kind).save(kept, "png")
        return kept.getvalue()

    for name in ("noto", "twemoji"):
        assert shown(name, "cat") != shown(f"{name}-2", "cat")
        assert shown(name, "banana") == shown(f"{name}-2", "banana")


@needs_styles
def test_a_picture_that_a_set_lacks_is_an_error_that_names_both() -> None:
    assert not styles.has("emojione", "giraffe")
    with pytest.raises(LlavaError, match=r"'emojione'.*'giraffe'"):
        styles.picture("emojione", "giraffe")


@needs_styles
def test_pictures_are_whole() -> None:
    for name in styles.available():
        for kind in list(KINDS)[::25]:
            if KINDS[kind].glyph and styles.has(name, kind):
                picture = styles.picture(name, kind)
                assert isinstance(picture, Image.Image) and picture.getbbox() is not None
