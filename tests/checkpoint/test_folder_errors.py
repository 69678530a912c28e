"""A folder that is damaged, incomplete or mixed: one sentence that names the file and the remedy."""

import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from checkpoint.small import checkpoint, edit_json
from llavakit.checkpoint import load, locate, save
from llavakit.checkpoint.tensors import Held
from llavakit.checkpoint.weights import write
from llavakit.errors import CheckpointError, LlavaError, UsageError

INDEX, SINGLE = "model.safetensors.index.json", "model.safetensors"


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole") / "model"
    save(checkpoint(), folder)
    return folder


@pytest.fixture
def folder(whole, tmp_path):
    """A copy of a good folder, to be spoilt."""
    return Path(shutil.copytree(whole, tmp_path / "model"))


def message(model, error=CheckpointError, **arguments) -> str:
    with pytest.raises(LlavaError) as caught:
        load(model, **arguments)
    assert type(caught.value) is error
    assert "\n" not in str(caught.value)
    return str(caught.value)


def shard(folder: Path) -> None:
    tensors = load_file(folder / SINGLE)
    (folder / SINGLE).unlink()
    write(Held(tensors), folder, shard_bytes=40_000)


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("config.json", "has no config.json: it is not a model folder, or only half of one"),
        ("preprocessor_config.json", "does not say how pictures are prepared"),
        ("tokenizer.json", "has no tokenizer.json"),
        (SINGLE, "has no model.safetensors: the model is only half there"),
    ],
)
def test_a_missing_file_is_named(folder, name, says):
    (folder / name).unlink()
    assert says in message(folder)


@pytest.mark.parametrize(
    "name", ["config.json", "preprocessor_config.json", "llavakit.json", "generation_config.json",
             "tokenizer.json", "tokenizer_config.json"],
)  # fmt: skip
@pytest.mark.parametrize("content", [b"{", b"", b"[1, 2]", b"\xff\xfe\x00"])
def test_a_file_that_is_not_what_it_should_be_is_named(folder, name, content):
    (folder / name).write_bytes(content)
    assert name in message(folder)


@pytest.mark.parametrize("keep", [0, 4, 100, 0.5, -1])
def test_weights_cut_short_are_named(folder, keep):
    path = folder / SINGLE
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * keep)] if isinstance(keep, float) else data[:keep])
    assert "model.safetensors is not a whole safetensors file" in message(folder)


def test_a_shard_cut_short_is_named(folder):
    shard(folder)
    path = sorted(folder.glob("model-*.safetensors"))[1]
    path.write_bytes(path.read_bytes()[:-8])
    assert f"{path.name} is not a whole safetensors file" in message(folder)


def test_every_missing_shard_is_named(folder):
    shard(folder)
    gone = sorted(folder.glob("model-*.safetensors"))[1:3]
    for path in gone:
        path.unlink()
    assert f"has no {gone[0].name}, {gone[1].name}" in message(folder)


@pytest.mark.parametrize("content", ["{", "{}", '{"weight_map": 3}', '{"weight_map": {"a": 1}}', "[]"])
def test_an_index_that_is_none_is_named(folder, content):
    (folder / INDEX).write_text(content)
    assert f"{INDEX} is not a weight index" in message(folder)


def test_every_missing_extra_and_misshapen_tensor_is_in_one_error(folder):
    tensors = load_file(folder / SINGLE)
    del tensors["multi_modal_projector.linear_1.bias"]
    del tensors["language_model.lm_head.weight"]
    tensors["multi_modal_projector.linear_9.bias"] = torch.zeros(3)
    tensors["language_model.model.norm.weight"] = torch.zeros(31)
    save_file(tensors, folder / SINGLE)
    text = message(folder)
    for part in (
        "does not fit its config.json",
        "connector.linear_1.bias",
        "language_model.lm_head.weight",
        "multi_modal_projector.linear_9.bias",
        "language_model.model.norm.weight is [31], expected [32]",
    ):
        assert part in text


def test_many_wrong_tensors_are_counted_not_all_listed(folder):
    save_file({"unrelated": torch.zeros(1)}, folder / SINGLE)
    text = message(folder)
    assert "more" in text
    assert "unrelated" in text
    assert len(text) < 1000


def test_the_tokenizer_of_another_model_is_noticed(folder):
    edit_json(folder / "config.json", image_token_index=95)
    assert "the tokenizer's image token is 96, config.json says 95" in message(folder)
    hf = json.loads((folder / "config.json").read_text())
    edit_json(
        folder / "config.json", image_token_index=96, text_config=hf["text_config"] | {"vocab_size": 90}
    )
    assert "the tokenizer has 97 tokens, config.json says 90" in message(folder)


def test_an_unknown_key_of_llavakit_json_names_the_nearest(folder):
    edit_json(folder / "llavakit.json", conector="linear")
    assert "unknown field 'conector' (did you mean 'connector'?)" in message(folder)


def test_an_unknown_template_in_the_folder_names_the_file_and_the_nearest(folder):
    edit_json(folder / "llavakit.json", template="vicuna_v11")
    text = message(folder)
    assert "llavakit.json" in text
    assert "did you mean 'vicuna_v1'" in text


def test_an_unknown_template_in_the_call_is_the_users_mistake(folder):
    assert "did you mean 'vicuna_v1'" in message(folder, UsageError, template="vicuna_1")


def test_a_template_in_the_call_wins(folder):
    assert load(folder, template="chatml").template == "chatml"


def test_a_connector_that_does_not_exist_names_the_nearest(folder):
    edit_json(folder / "llavakit.json", connector="mlp2x_gel")
    assert "did you mean 'mlp2x_gelu'" in message(folder)


@pytest.mark.parametrize("name", ["no_such_folder", "a/b/c", "C:\\models\\x", "", "a b/c"])
def test_what_is_no_folder_and_no_hub_name_is_the_users_mistake(name):
    with pytest.raises(UsageError, match=r"no model .* give 'tiny', a folder that exists"):
        locate(name)


def test_a_file_is_no_model(folder):
    with pytest.raises(UsageError, match="is a file: a model is a folder"):
        locate(folder / "config.json")


def test_a_path_that_does_not_exist_never_asks_the_hub(tmp_path):
    with pytest.raises(UsageError):
        locate(tmp_path / "llava-hf" / "missing")


def test_exit_codes_tell_the_users_mistake_from_the_folders(folder):
    assert (UsageError.exit_code, CheckpointError.exit_code) == (2, 1)
