"""A folder under its final name is whole, whatever happens while it is written."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from checkpoint.small import checkpoint, edit_json
from llavakit.checkpoint import load, save
from llavakit.checkpoint.atomic import atomic_folder
from llavakit.errors import CheckpointError

STUCK = """
import sys, time
from pathlib import Path
from llavakit.checkpoint.atomic import atomic_folder
with atomic_folder(Path(sys.argv[1])) as partial:
    (partial / "config.json").write_text('{"model_type": "llava"}')
    print("half", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def folder(tmp_path):
    save(checkpoint(), tmp_path / "model")
    return tmp_path / "model"


def killed_half_way(folder: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", STUCK, folder], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"half\n"
        process.send_signal(signal.SIGKILL)


def test_a_process_killed_half_way_leaves_nothing_under_the_name(tmp_path):
    killed_half_way(tmp_path / "model")
    assert not (tmp_path / "model").exists()
    assert [p.name.startswith(".model.") for p in tmp_path.iterdir()] == [True]


def test_a_process_killed_half_way_leaves_the_old_model(folder):
    killed_half_way(folder)
    assert load(folder).model.config.image_token_id == 96


def test_what_a_killed_process_left_behind_is_in_nobodys_way(tmp_path):
    killed_half_way(tmp_path / "model")
    save(checkpoint(), tmp_path / "model")
    save(checkpoint(), tmp_path / "model")
    load(tmp_path / "model")
    assert len(list(tmp_path.iterdir())) == 2


def test_an_error_half_way_leaves_no_trace(tmp_path):
    with pytest.raises(ZeroDivisionError), atomic_folder(tmp_path / "model") as partial:
        (partial / "config.json").write_text("{}")
        1 / 0  # noqa: B018
    assert not list(tmp_path.iterdir())


def test_a_disk_that_refuses_is_one_sentence_and_the_old_model_stays(folder):
    with pytest.raises(CheckpointError, match=r"could not be written .*: nothing was changed"):  # noqa: SIM117
        with atomic_folder(folder):
            raise OSError(28, "No space left on device")
    load(folder)
    assert [p.name for p in folder.parent.iterdir()] == ["model"]


def test_the_old_model_comes_back_when_the_new_cannot_take_its_place(folder, monkeypatch):
    rename = Path.rename

    def fails_for_the_new(self, target):
        if Path(target) == folder and not self.name.endswith(".old"):
            raise OSError(5, "Input/output error")
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", fails_for_the_new)
    with pytest.raises(CheckpointError, match="Input/output error"):
        save(checkpoint(), folder)
    load(folder)
    assert [p.name for p in folder.parent.iterdir()] == ["model"]


def test_a_model_is_replaced_by_a_whole_new_one(folder):
    (folder / "model-00009-of-00009.safetensors").write_bytes(b"")  # of the old one
    ours = checkpoint("qwen2")
    save(ours, folder)
    assert load(folder).model.config == ours.model.config
    assert [p.name for p in folder.parent.iterdir()] == ["model"]
    assert not list(folder.glob("model-*"))


@pytest.mark.parametrize("name", ["notes.md", "thesis.tex", ".git"])
def test_a_folder_with_other_files_is_refused_even_beside_a_model(folder, name):
    (folder / name).write_text("mine")
    with pytest.raises(CheckpointError, match=f"holds other files, such as {name}"):
        save(checkpoint(), folder)
    assert (folder / name).read_text() == "mine"


def test_a_folder_whose_config_is_not_a_llavas_is_refused(tmp_path):
    (tmp_path / "project").mkdir()
    edit_json(tmp_path / "project" / "config.json", name="website")
    with pytest.raises(CheckpointError, match=r"holds other files, such as config\.json"):
        save(checkpoint(), tmp_path / "project")


def test_a_file_is_no_place_for_a_model(tmp_path):
    (tmp_path / "model").write_text("")
    with pytest.raises(CheckpointError, match="is a file: choose a new folder"):
        save(checkpoint(), tmp_path / "model")


def test_a_place_that_cannot_be_made_is_one_sentence(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(CheckpointError, match="cannot be written"):
        save(checkpoint(), tmp_path / "file" / "model")


def test_an_empty_folder_and_a_new_one_in_new_folders_are_fine(tmp_path):
    (tmp_path / "empty").mkdir()
    for place in (tmp_path / "empty", tmp_path / "a" / "b"):
        save(checkpoint(), place)
        load(place)


def test_a_link_to_a_model_stays_a_link(folder, tmp_path):
    (tmp_path / "newest").symlink_to(folder)
    save(checkpoint("qwen2"), tmp_path / "newest")
    assert (tmp_path / "newest").is_symlink()
    assert load(folder).model.config.language.qkv_bias


def test_others_may_read_what_was_saved(folder):
    assert folder.stat().st_mode & 0o777 == 0o755
