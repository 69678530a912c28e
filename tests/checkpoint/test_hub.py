"""Models from the hub: found, downloaded, kept, and explained when that fails.

The hub is a server on this machine, its client the real one. Nothing here asks the network.
"""

import json
import subprocess
import sys
from fnmatch import fnmatch
from pathlib import Path

import pytest

from checkpoint.hub import COMMIT, NAME, look_up, serving, surroundings
from checkpoint.small import checkpoint
from llavakit.checkpoint import save
from llavakit.checkpoint.hub import wanted
from llavakit.checkpoint.original import write_original

UNREACHABLE = "is not (or not wholly) in the local cache, and the hub cannot be reached: connect once"
NOBODY = "http://127.0.0.1:1"  # nothing listens there


@pytest.fixture(scope="module")
def published(tmp_path_factory):
    """What the hub holds: a model of ours, and what must stay there."""
    folder = tmp_path_factory.mktemp("published") / "model"
    save(checkpoint(), folder)
    (folder / "onnx").mkdir()
    for unwanted in ("pytorch_model.bin", "onnx/config.json", "onnx/model.safetensors", "README.md"):
        (folder / unwanted).write_bytes(b"{}")
    return folder


@pytest.fixture(scope="module")
def hub(published):
    with serving(published) as hub:
        yield hub


@pytest.fixture
def fault(hub):
    def set_fault(name: str | None) -> None:
        hub.fault = name

    yield set_fault
    hub.fault = None


@pytest.fixture(scope="module")
def filled(hub, tmp_path_factory):
    """A cache into which the model has been downloaded, and what was said."""
    home = tmp_path_factory.mktemp("home")
    hub.served.clear()
    return home, look_up(NAME, endpoint=hub.endpoint, home=home)[0], list(hub.served)


def test_a_model_is_downloaded_whole_and_loads(filled):
    _, said, _ = filled
    assert said["folder"].endswith(COMMIT)
    assert "logits" in said


def test_only_what_a_model_needs_is_downloaded(filled, published):
    _, said, served = filled
    assert not {name for name in served if "/" in name or name.endswith((".bin", ".md"))}
    wanted = {p.name for p in published.iterdir() if p.is_file()} - {"pytorch_model.bin", "README.md"}
    assert {p.name for p in Path(said["folder"]).iterdir()} == wanted
    assert len(served) == len(wanted)


def test_the_doctor_tells_what_a_model_needs_without_fetching_its_weights(hub, tmp_path):
    hub.served.clear()
    done = subprocess.run(
        [sys.executable, "-m", "llavakit", "doctor", NAME, "--json"],
        env=surroundings(hub.endpoint, tmp_path), capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["bytes"]["--dtype float32"] > 0
    assert "config.json" in hub.served and not [name for name in hub.served if "safetensors" in name]


def test_a_model_that_has_no_safetensors_is_downloaded_as_torchs_files_and_loads_again_without_the_hub(
    tmp_path,
):
    write_original(checkpoint(), tmp_path / "model", safetensors=False, shard_bytes=100_000)
    with serving(tmp_path / "model") as hub:
        said = look_up(NAME, endpoint=hub.endpoint, home=tmp_path / "home")[0]
        assert "logits" in said, said
        assert len([name for name in hub.served if name.endswith(".bin")]) > 1
    again = look_up(NAME, endpoint=NOBODY, home=tmp_path / "home")[0]
    assert again["logits"] == said["logits"]


@pytest.mark.parametrize(
    ("there", "left"),
    [
        (["model.safetensors", "pytorch_model.bin"], {"pytorch_model.bin"}),
        (["model-00001-of-00002.safetensors", "pytorch_model-00001-of-00003.bin"],
         {"pytorch_model-00001-of-00003.bin"}),
        (["pytorch_model-00001-of-00002.bin", "pytorch_model.bin.index.json", "tokenizer.model"], set()),
        (["pytorch_model.bin", "flax_model.msgpack", "tf_model.h5", "training_args.bin"],
         {"flax_model.msgpack", "tf_model.h5", "training_args.bin"}),
        (["adapter_model.bin", "non_lora_trainables.bin", "mm_projector.bin"], set()),
        (["adapter_model.safetensors", "adapter_model.bin", "mm_projector.bin"], {"adapter_model.bin"}),
    ],
)  # fmt: skip
def test_torchs_files_are_wanted_only_where_there_is_no_safetensors_for_them(there, left):
    assert {name for name in there if not any(fnmatch(name, pattern) for pattern in wanted(there))} == left


@pytest.mark.parametrize("without", ["HF_HUB_OFFLINE", "a server", "a host name", "a working proxy"])
def test_a_model_once_downloaded_loads_without_the_hub(filled, without):
    home, said, _ = filled
    endpoint, settings = NOBODY, {}
    if without == "HF_HUB_OFFLINE":
        settings = {"HF_HUB_OFFLINE": "1"}
    elif without == "a host name":
        endpoint = "http://hub.invalid"
    elif without == "a working proxy":
        endpoint, settings = "http://hub.invalid", {"HTTP_PROXY": NOBODY}
    again = look_up(NAME, endpoint=endpoint, home=home, **settings)[0]
    assert (again["folder"], again["logits"]) == (said["folder"], said["logits"])


def test_without_the_hub_an_unknown_model_is_one_sentence_within_seconds(tmp_path):
    """`llava-hf/llava-1.5-7b-hf` with no network: the commonest first failure."""
    for settings in ({}, {"HF_HUB_OFFLINE": "1"}):
        said = look_up("llava-hf/llava-1.5-7b-hf", endpoint=NOBODY, home=tmp_path, **settings)[0]
        assert said["error"] == "CheckpointError"
        assert f"llava-hf/llava-1.5-7b-hf {UNREACHABLE}" in said["text"]
        assert "'tiny'" in said["text"]
        assert "\n" not in said["text"]
        assert said["seconds"] < 5


def test_what_is_not_on_the_hub_is_the_users_mistake(hub, tmp_path):
    names = ["nobody/nothing", "someone/private", f"{NAME}@nosuch", "a--b/c..d"]
    said = look_up(*names, endpoint=hub.endpoint, home=tmp_path)
    assert {one["error"] for one in said} == {"UsageError"}
    assert "no model 'nobody/nothing': no such folder here, and none on the hub" in said[0]["text"]
    assert "no model 'someone/private'" in said[1]["text"]
    assert f"{NAME} has no branch, tag or commit 'nosuch'" in said[2]["text"]
    assert "cannot be the name" in said[3]["text"]


def test_a_gated_model_says_what_to_do(hub, fault, tmp_path):
    fault("gated")
    said = look_up(NAME, endpoint=hub.endpoint, home=tmp_path)[0]
    assert said["error"] == "CheckpointError"
    assert "is gated: accept its licence on the hub, then log in" in said["text"]


def test_a_hub_that_is_down_is_told_from_no_network_and_a_cached_model_still_loads(
    hub, fault, filled, tmp_path
):
    fault("broken")
    assert look_up(NAME, endpoint=hub.endpoint, home=filled[0])[0]["folder"] == filled[1]["folder"]
    said = look_up(NAME, endpoint=hub.endpoint, home=tmp_path)[0]
    assert said["error"] == "CheckpointError"
    assert "500 Internal Server Error" in said["text"]


@pytest.mark.slow  # the client's own patience
def test_a_hub_that_never_answers_is_given_up(hub, fault, tmp_path):
    fault("silent")
    said = look_up(NAME, endpoint=hub.endpoint, home=tmp_path)[0]
    assert (said["error"], UNREACHABLE in said["text"]) == ("CheckpointError", True)
    assert said["seconds"] < 8  # 1 is our patience here; 3 go to a question of the client's own


@pytest.mark.slow  # the client's own patience
def test_a_download_cut_short_is_never_taken_for_a_model_and_is_completed_later(hub, fault, tmp_path):
    fault("cut")
    assert look_up(NAME, endpoint=hub.endpoint, home=tmp_path)[0]["error"] == "CheckpointError"
    offline = look_up(NAME, endpoint=hub.endpoint, home=tmp_path, HF_HUB_OFFLINE="1")[0]
    assert (offline["error"], UNREACHABLE in offline["text"]) == ("CheckpointError", True)
    fault(None)
    assert "logits" in look_up(NAME, endpoint=hub.endpoint, home=tmp_path)[0]
