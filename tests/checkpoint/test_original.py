"""The original repository's layout in and out; the oracle is transformers' model with the same weights.

Tolerance 1e-4 on logits of size 1 to 10 where two implementations meet (see test_transformers_folders);
where ours meets ours, logits are equal to the bit.
"""

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from safetensors.torch import load_file

from checkpoint.originals import (
    KINDS,
    MARKS,
    WORDS,
    clip_folder,
    config_json,
    original_folder,
    original_name,
    pair,
    question,
    state,
    store,
    tower_folder,
)
from checkpoint.small import checkpoint, edit_json, photo
from llavakit import LLaVA, LLaVAChatBot
from llavakit.checkpoint import describe, load, save
from llavakit.checkpoint.load import open_source
from llavakit.checkpoint.original import ours_to_original, to_original_name, write_original
from llavakit.checkpoint.original_config import is_original, template_of
from llavakit.cli import options
from llavakit.config import Tiling
from llavakit.errors import CheckpointError, LlavaError, UsageError
from llavakit.media import preprocess
from llavakit.model import Llava
from llavakit.prompt.encode import PromptEncoder
from llavakit.prompt.messages import assistant, user
from llavakit.prompt.templates import TEMPLATES, get_template
from llavakit.prompt.tokenizer import Tokenizer
from model.reference import gap, hf_logits
from prompt.sentencepieces import oracle, write

TOLERANCE = 1e-4


def message(model: Any, error: type[LlavaError] = CheckpointError, **arguments: Any) -> str:
    with pytest.raises(LlavaError) as caught:
        load(model, **arguments)
    assert type(caught.value) is error
    assert "\n" not in str(caught.value)
    return str(caught.value)


def logits(model: Llava) -> torch.Tensor:
    with torch.no_grad():
        return model(*question(model.config))


def check(loaded: Any, hf_model: Any, model: Llava) -> None:
    """Equal to our model with the same weights, and near transformers'."""
    assert torch.equal(logits(loaded.model), logits(model))
    assert gap(logits(loaded.model), hf_logits(hf_model, *question(model.config))) < TOLERANCE


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """LLaVA-1.5 in miniature: two shards of `torch.save`, its tower in a folder beside it."""
    hf_model, model = pair()
    folder = tmp_path_factory.mktemp("whole") / "llava"
    return original_folder(folder, hf_model, model, shards=2), hf_model, model


@pytest.fixture
def folder(whole, tmp_path):
    """A copy of it, to be spoilt."""
    shutil.copytree(whole[0].parent, tmp_path / "models")
    return tmp_path / "models" / "llava"


# In


@pytest.mark.parametrize("inside", [False, True], ids=["tower beside", "tower inside"])
@pytest.mark.parametrize("suffix", ["bin", "safetensors"])
@pytest.mark.parametrize("shards", [1, 3])
def test_a_checkpoint_gives_the_logits_of_its_weights(tmp_path, inside, suffix, shards):
    hf_model, model = pair()
    folder = original_folder(tmp_path / "llava", hf_model, model, inside=inside, suffix=suffix, shards=shards)
    if inside:  # what it carries is what counts, whatever stands beside it
        tower_folder(tmp_path / "some-tower", pair(seed=3)[0])
    check(load(folder), hf_model, model)


@pytest.mark.parametrize("vision", ["clip", "siglip"])
@pytest.mark.parametrize("text", KINDS)
def test_every_family_is_read(tmp_path, text, vision):
    hf_model, model = pair(text, vision)
    check(load(original_folder(tmp_path / "llava", hf_model, model, text), template="plain"), hf_model, model)


def test_a_tied_head_is_read(tmp_path):
    hf_model, model = pair("qwen2", tie_word_embeddings=True)
    loaded = load(original_folder(tmp_path / "llava", hf_model, model, "qwen2"))
    assert loaded.model.language_model.lm_head.weight is loaded.model.language_model.embed_tokens.weight
    check(loaded, hf_model, model)


@pytest.mark.parametrize("connector", ["linear", "mlp3x_gelu", "identity"])
def test_every_connector_is_read(tmp_path, connector):
    hf_model, model = pair(hidden_size=24, num_attention_heads=4, head_dim=6)
    torch.manual_seed(0)
    other = Llava(model.config.model_copy(update={"connector": connector})).eval()
    shared = {n: t for n, t in model.state_dict().items() if not n.startswith("connector.")}
    other.load_state_dict(shared, strict=False)
    # LLaVA v1 had no field for its connector, which was linear
    given = {"mm_projector_type": ...} if connector == "linear" else {}
    folder = original_folder(tmp_path / "llava", hf_model, other, **given)
    loaded = load(folder, template="v0")
    assert loaded.model.config.connector == connector
    assert torch.equal(logits(loaded.model), logits(other))


def test_the_class_token_and_another_layer_are_taken_where_the_configuration_says_so(tmp_path):
    hf_model, model = pair(feature_select="full", feature_layer=-1)
    folder = original_folder(tmp_path / "llava", hf_model, model, mm_vision_select_feature="cls_patch")
    check(load(folder), hf_model, model)


def test_a_siglip_that_lost_its_last_layer_is_taken_as_it_is(tmp_path):
    """LLaVA-NeXT cuts it off, and its select_layer counts from the end of the whole."""
    hf_model, model = pair("qwen2", "siglip")
    folder = original_folder(tmp_path / "llava", hf_model, model, "qwen2", inside=True)
    tensors = torch.load(folder / "pytorch_model.bin")
    store({n: t for n, t in tensors.items() if ".encoder.layers.2." not in n}, folder)
    loaded = load(folder)
    vision = loaded.model.config.vision
    assert (vision.num_hidden_layers, loaded.model.config.feature_layer) == (2, -1)
    assert torch.equal(logits(loaded.model), logits(model))


def test_names_are_read_and_written_alike():
    for connector in ("linear", "mlp3x_gelu"):
        _, model = pair()
        names = list(Llava(model.config.model_copy(update={"connector": connector})).state_dict())
        theirs = [to_original_name(name, connector) for name in [*names, "image_newline"]]
        assert theirs == [original_name(name, connector) for name in [*names, "image_newline"]]
        assert list(ours_to_original(theirs)) == [*names, "image_newline"]


def test_pictures_are_padded_or_cropped_as_the_configuration_says(tmp_path):
    hf_model, model = pair()
    folder = original_folder(tmp_path / "llava", hf_model, model)
    padded = load(folder).image
    edit_json(folder / "config.json", image_aspect_ratio=...)
    cropped = load(folder).image
    edit_json(folder / "config.json", image_aspect_ratio="square")
    assert padded.pad
    assert padded.model_copy(update={"pad": False}) == cropped == load(folder).image
    theirs = transformers.CLIPImageProcessorPil.from_pretrained(tmp_path / "some-tower")
    pixels = theirs(photo(), return_tensors="np")["pixel_values"][0]
    assert (preprocess(photo(), cropped) == pixels).all()


def test_weights_come_in_the_type_of_the_language_model_though_the_tower_has_another(tmp_path):
    hf_model, model = pair()
    folder = original_folder(tmp_path / "llava", hf_model, model)
    store({name: t.half() for name, t in torch.load(folder / "pytorch_model.bin").items()}, folder)
    assert {p.dtype for p in load(folder).model.parameters()} == {torch.float16}
    assert {p.dtype for p in load(folder, dtype=torch.float32).model.parameters()} == {torch.float32}


# The image token


def test_the_image_token_stands_behind_the_vocabulary_and_has_rows_of_zeros(whole):
    loaded = load(whole[0])
    language = loaded.model.language_model
    assert loaded.tokenizer.image_token_id == loaded.model.config.image_token_id == WORDS
    assert loaded.model.config.language.vocab_size == len(language.embed_tokens.weight) == WORDS + 1
    assert not language.embed_tokens.weight[WORDS].any()
    assert not language.lm_head.weight[WORDS].any()


def test_rows_that_are_there_already_are_used(tmp_path):
    """Qwen's tables are longer than its vocabulary."""
    hf_model, model = pair()
    folder = original_folder(tmp_path / "llava", hf_model, model, vocab_size=WORDS + 9)
    tensors = torch.load(folder / "pytorch_model.bin")
    for name in ("model.embed_tokens.weight", "lm_head.weight"):
        tensors[name] = torch.cat([tensors[name], torch.ones(9, tensors[name].shape[1])])
    store(tensors, folder)
    language = load(folder).model.language_model
    assert len(language.embed_tokens.weight) == WORDS + 9
    assert language.embed_tokens.weight[WORDS:].all()


def test_the_marks_of_the_first_llava_stand_around_a_picture(tmp_path):
    hf_model, model = pair(marks=True)
    added = {mark: WORDS + i for i, mark in enumerate(MARKS)}
    folder = original_folder(
        tmp_path / "llava", hf_model, model, added=added, mm_use_im_start_end=True, mm_use_im_patch_token=...,
        mm_projector_type="mlp2x_gelu",
    )  # fmt: skip
    loaded = load(folder)
    check(loaded, hf_model, model)
    assert loaded.tokenizer.image_token_id == WORDS + 3
    llava = LLaVA(loaded)
    encoded = llava.encoder.encode((user(photo(), "What is this?"),))
    start, end = encoded.image_spans[0]
    assert (encoded.ids[start - 1], encoded.ids[end]) == (added["<im_start>"], added["<im_end>"])


def official_ids(tokenizer: Any, text: str) -> list[int]:
    """`tokenizer_image_token`: each stretch between pictures by itself, the begin token once."""
    stretches = [[1, *oracle().encode(stretch)] for stretch in text.split("<image>")]
    ids = list(stretches[0])
    for stretch in stretches[1:]:
        ids += [tokenizer.image_token_id] * 9 + stretch[1:]
    return ids


def test_a_prompt_is_encoded_as_the_original_code_does(whole):
    """It encodes what stands behind a picture as a text of its own, so that it begins with a space; the
    tokenizer of Vicuna 1.5 alone, which is not `legacy`, would leave it out."""
    loaded = load(whole[0])
    config = loaded.model.config
    template = get_template("vicuna_v1")
    encoder = PromptEncoder(loaded.tokenizer, template, config.tokens_per_image, loaded.image)
    encoded = encoder.encode((user(photo(), photo(), "What is in the picture?"),))
    assert encoded.ids == official_ids(loaded.tokenizer, encoded.text)
    again = encoder.encode((user(photo(), "What?"), assistant("A cat."), user("Where?")))
    ends = [i for i, id_ in enumerate(again.ids) if id_ == 2]
    newer = Tokenizer.load(whole[0])
    assert again.ids[ends[0] :] == newer.encode(again.text.partition("A cat.")[2])[1:]


# The template


@pytest.mark.parametrize(
    ("text", "changes", "special", "template"),
    [
        ("llama", {}, (), "vicuna_v1"),  # LLaVA-1.5, LLaVA-1.6-Vicuna
        ("llama", {"model_type": "llava_llama"}, (), "vicuna_v1"),
        ("llama", {"tune_mm_mlp_adapter": True}, (), "plain"),
        ("llama", {"mm_projector_type": ..., "mm_use_im_start_end": True}, ("[PAD]",), "v0"),
        ("llama", {"mm_projector_type": ..., "mm_use_im_start_end": True}, (), "vicuna_v1"),  # v1, v1.1
        ("llama", {"mm_projector_type": "linear"}, (), None),  # v1.3 is Vicuna, Llama 2 is Llama 2
        ("llama", {}, ("<|im_end|>",), "chatml"),  # LLaVA-1.6-34B
        ("llama", {}, ("<|start_header_id|>",), "llama_3"),
        ("mistral", {"rope_theta": 1000000.0}, (), "mistral_instruct"),  # LLaVA-1.6-Mistral, LLaVA-Med 1.5
        ("mistral", {"rope_theta": 10000.0}, (), None),  # BakLLaVA
        ("mistral", {"rope_theta": ...}, (), None),
        ("qwen2", {}, ("<|im_end|>",), "qwen_1_5"),
    ],
    ids=str,
)
def test_the_template_follows_from_what_training_left(tmp_path, text, changes, special, template):
    _, model = pair(text)
    end = {"eos_token": "<|im_end|>"} if "<|im_end|>" in special else {}
    added = {mark: WORDS + i for i, mark in enumerate(special)}
    decoder = {str(i): {"content": mark, "special": True} for mark, i in added.items()}
    tokenizer = Tokenizer.load(write(tmp_path, added_tokens_decoder=decoder, **end))
    found = template_of(config_json(model.config, text, **changes), tokenizer, "config.json")
    assert found == template
    assert found is None or found in TEMPLATES


def test_a_checkpoint_that_does_not_tell_asks_for_a_template(tmp_path):
    hf_model, model = pair("mistral")
    folder = original_folder(tmp_path / "llava", hf_model, model, "mistral")
    text = message(folder)
    assert "do not tell which conversation template" in text
    assert "--template" in text
    assert load(folder, template="vicuna_v1").template == "vicuna_v1"
    assert describe(folder).template is None


# Tiles


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        (
            {"image_aspect_ratio": "anyres", "mm_patch_merge_type": "spatial_unpad",
             "image_grid_pinpoints": [[24, 48], [48, 24], [72, 24]]},
            {"grids": ((48, 24), (24, 48), (24, 72))},
        ),
        (
            {"image_aspect_ratio": "anyres", "mm_patch_merge_type": "spatial",
             "image_grid_pinpoints": "[(24, 48), (48, 24)]"},
            {"grids": ((48, 24), (24, 48)), "unpad": False, "newline": False},
        ),
        (
            {"image_aspect_ratio": "anyres_max_9", "mm_patch_merge_type": "spatial_unpad",
             "image_grid_pinpoints": "(1x1),...,(2x3)"},
            {"grids": ((24, 24), (48, 24), (72, 24), (24, 48), (48, 48), (72, 48)), "max_tiles": 9,
             "single": True},
        ),
    ],
    ids=["LLaVA-1.6", "spatial", "LLaVA-OneVision"],
)  # fmt: skip
def test_tiles_are_read_and_written(tmp_path, changes, expected):
    """The original's sizes are (width, height), ours (height, width)."""
    hf_model, model = pair()
    tiling = Tiling(tile=24, patches=3, **expected)
    torch.manual_seed(0)
    tiled = Llava(model.config.model_copy(update={"tiling": tiling})).eval()
    tiled.load_state_dict(model.state_dict(), strict=False)
    folder = original_folder(tmp_path / "llava", hf_model, tiled, inside=True, **changes)
    loaded = load(folder)
    assert loaded.model.config.tiling == tiling
    assert not loaded.image.pad
    write_original(loaded, tmp_path / "again")
    again = load(tmp_path / "again")
    assert again.model.config == loaded.model.config
    answers = [
        LLaVA(one).generate("What is this?", [photo()], max_new_tokens=4).text for one in (loaded, again)
    ]
    assert answers[0] == answers[1]
    for name, tensor in tiled.state_dict().items():
        assert torch.equal(loaded.model.state_dict()[name][: len(tensor)], tensor)


def test_tiles_in_a_row_are_refused(tmp_path):
    hf_model, model = pair()
    grid = {"image_aspect_ratio": "anyres", "image_grid_pinpoints": [[24, 48]]}
    folder = original_folder(tmp_path / "a" / "llava", hf_model, model, **grid)
    assert "mm_patch_merge_type 'flat' are not supported" in message(folder)
    edit_json(folder / "config.json", mm_patch_merge_type="spatial", image_grid_pinpoints="round")
    assert "image_grid_pinpoints 'round' is no list of sizes" in message(folder)
    edit_json(folder / "config.json", image_grid_pinpoints=[[25, 48]])
    assert "a grid of 48 x 25 is not made of tiles of 24" in message(folder)


# The vision tower


@pytest.mark.parametrize("suffix", ["bin", "safetensors"])
def test_a_whole_clip_is_a_tower_too(tmp_path, suffix):
    hf_model, model = pair()
    folder = original_folder(tmp_path / "llava", hf_model, model)
    shutil.rmtree(tmp_path / "some-tower")
    clip_folder(tmp_path / "clip", hf_model, suffix)
    loaded = load(folder, vision_tower=tmp_path / "clip")
    check(loaded, hf_model, model)
    assert loaded.image.mean == (0.4, 0.5, 0.6)


@pytest.mark.parametrize("named", ["absolute", "beside", "inside", "relative"])
def test_a_tower_is_found_where_the_configuration_names_it(tmp_path, named, monkeypatch):
    hf_model, model = pair()
    folder = original_folder(tmp_path / "llava", hf_model, model)
    tower = tmp_path / "some-tower"
    monkeypatch.chdir(tmp_path)
    if named == "absolute":
        tower = tower.rename(tmp_path / "elsewhere")
    elif named == "inside":
        tower = tower.rename(folder / "some-tower")
    elif named == "relative":
        (tmp_path / "towers").mkdir()
        tower.rename(tmp_path / "towers" / "clip")
    name = {"absolute": str(tower), "relative": "towers/clip"}.get(named, "openai/some-tower")
    edit_json(folder / "config.json", mm_vision_tower=name)
    check(load(folder), hf_model, model)


def test_a_checkpoint_that_carries_a_known_tower_needs_no_other_folder(tmp_path):
    """The numbers of the towers that the published checkpoints began from are known here."""
    _, model = pair()
    known = {"mm_vision_tower": "openai/clip-vit-large-patch14-336", "mm_hidden_size": 1024}
    values = config_json(model.config, **known)
    write(tmp_path)
    (tmp_path / "config.json").write_text(json.dumps(values))
    prefix = "model.vision_tower.vision_tower.vision_model.encoder.layers"
    layers = {f"{prefix}.{i}.x": torch.zeros(1) for i in range(24)}
    store(state(model) | layers, tmp_path)
    said = describe(tmp_path)
    assert (said.config.vision.image_size, said.config.vision.num_hidden_layers) == (336, 24)
    assert (said.image.size, said.image.pad) == (336, True)
    assert said.image.mean == (0.48145466, 0.4578275, 0.40821073)


def test_a_tower_that_cannot_be_had_asks_for_one(folder, monkeypatch):
    shutil.rmtree(folder.parent / "some-tower")

    def nowhere(_: str) -> Path:
        raise UsageError("no such")

    monkeypatch.setattr("llavakit.checkpoint.tower.locate", nowhere)
    text = message(folder)
    assert "names the vision tower 'openai/some-tower', which could not be had (no such)" in text
    assert "--vision-tower" in text
    edit_json(folder / "config.json", mm_vision_tower=None)
    assert "names no vision tower (mm_vision_tower): give it with --vision-tower" in message(folder)


def test_a_tower_of_another_width_is_one_error(folder, tmp_path):
    other, _ = pair(tower={"hidden_size": 48})
    tower = tower_folder(tmp_path / "wide", other)
    text = message(folder, vision_tower=tower)
    assert f"{tower / 'config.json'}: a vision tower of width 48 does not fit" in text
    assert "whose mm_hidden_size is 24" in text


def test_a_tower_of_another_number_of_patches_is_one_error(tmp_path):
    hf_model, model = pair()
    folder = tmp_path / "llava"
    write_original(load(original_folder(tmp_path / "a" / "llava", hf_model, model)), folder)
    other, _ = pair(tower={"image_size": 32})
    tower = tower_folder(tmp_path / "larger", other)
    text = message(folder, vision_tower=tower)
    assert "a vision tower of 16 patches does not fit" in text
    assert "whose tower has 9" in text


def test_what_is_no_tower_is_named(folder, tmp_path):
    (tmp_path / "x").mkdir()
    assert "has no config.json" in message(folder, vision_tower=tmp_path / "x")
    (tmp_path / "x" / "config.json").write_text('{"model_type": "bert"}')
    text = message(folder, vision_tower=tmp_path / "x")
    assert "model_type is 'bert': a vision tower is a CLIP or a SigLIP" in text
    assert "no model 'nowhere'" in message(folder, UsageError, vision_tower="nowhere")


# Bad input


def test_a_shard_cut_short_is_named(folder):
    path = folder / "pytorch_model-00002-of-00002.bin"
    path.write_bytes(path.read_bytes()[:-100])
    assert f"{path} is not a whole PyTorch file" in message(folder)


@pytest.mark.parametrize(
    "content", [b"", b"version https://git-lfs.github.com/spec/v1\n", b"PK\3\4" + bytes(99)]
)
def test_a_shard_that_is_something_else_is_named(folder, content):
    path = folder / "pytorch_model-00001-of-00002.bin"
    path.write_bytes(content)
    assert f"{path} is not a whole PyTorch file" in message(folder)


class Malicious:
    def __reduce__(self):
        return (Path.touch, (Path("/tmp/llavakit-was-here"),))


def test_a_pickle_that_would_run_code_is_refused_and_not_run(folder):
    path = folder / "pytorch_model-00001-of-00002.bin"
    torch.save({"model.norm.weight": Malicious()}, path)
    assert f"{path} holds more than tensors, which may be code" in message(folder)
    assert not Path("/tmp/llavakit-was-here").exists()


@pytest.mark.parametrize(
    "content", [[torch.zeros(2)], {"a": {"b": torch.zeros(2)}}, {"a": 3}, torch.zeros(2)]
)
def test_a_file_of_anything_but_named_tensors_is_named(folder, content):
    torch.save(content, folder / "pytorch_model-00001-of-00002.bin")
    assert "should hold tensors under their names, and nothing else" in message(folder)


def test_a_missing_shard_is_named(folder):
    (folder / "pytorch_model-00001-of-00002.bin").unlink()
    assert f"{folder} has no pytorch_model-00001-of-00002.bin" in message(folder)


def test_an_index_that_is_none_is_named(folder):
    (folder / "pytorch_model.bin.index.json").write_text("{}")
    assert "pytorch_model.bin.index.json is not a weight index" in message(folder)


def test_a_missing_tokenizer_is_named(folder):
    (folder / "tokenizer.model").unlink()
    assert f"{folder} has no tokenizer.json" in message(folder)


def test_the_tokenizer_of_another_model_is_noticed(folder):
    edit_json(folder / "config.json", vocab_size=WORDS - 100)
    assert f"says vocab_size {WORDS - 100}, but the tokenizer has {WORDS} words" in message(folder)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"mm_projector_type": "mlp2x_gel"}, "unknown connector 'mlp2x_gel' (did you mean 'mlp2x_gelu'?)"),
        ({"model_type": "llava_mpt"}, "LLaVA on MPT is not supported"),
        ({"architectures": ["LlavaMPTForCausalLM"]}, "LLaVA on MPT is not supported"),
        ({"model_type": "llava_lama"}, "llavakit has no 'llava_lama' (did you mean 'llava_llama'?)"),
        ({"image_aspect_ratio": "padd"}, "unknown image_aspect_ratio 'padd' (did you mean 'pad'?)"),
        ({"mm_vision_select_feature": "cls"}, "mm_vision_select_feature 'cls' (valid: cls_patch, patch)"),
        ({"mm_vision_select_layer": ...}, "has no mm_vision_select_layer"),
        ({"mm_vision_select_layer": -9}, "feature_layer -9 is not among the vision tower's"),
        ({"mm_vision_select_layer": "last"}, "must be one number"),
        ({"mm_resampler_type": "qformer"}, "mm_resampler_type 'qformer' is not supported"),
        ({"s2": True}, "s2 True is not supported"),
        ({"quantization_config": {"quant_method": "gptq"}}, "weights quantised by 'gptq' are not supported"),
        ({"hidden_size": "wide"}, "config.json"),
        ({"num_attention_heads": 0}, "config.json"),
    ],
    ids=str,
)
def test_a_configuration_that_is_not_understood_is_one_error(folder, changes, says):
    edit_json(folder / "config.json", **changes)
    text = message(folder)
    assert says in text
    assert "config.json" in text


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("{", "is not readable JSON"),
        ('{"templat": "v0"}', "unknown field 'templat' (did you mean 'template'?)"),
        ('{"template": "v00"}', "unknown template 'v00' (did you mean 'v0'?)"),
    ],
)
def test_an_own_file_that_is_not_understood_is_one_error(folder, content, says):
    (folder / "llavakit.json").write_text(content)
    text = message(folder)
    assert "llavakit.json" in text
    assert says in text


def test_weights_of_another_size_are_one_error(folder):
    edit_json(folder / "config.json", intermediate_size=64)
    text = message(folder)
    assert "does not fit its config.json" in text
    assert "model.layers.0.mlp.gate_proj.weight is [48, 32], expected [64, 32]" in text


def test_a_folder_is_known_by_what_it_holds():
    assert is_original({"model_type": "llava", "mm_vision_tower": "x"})
    assert is_original({"architectures": ["LlavaLlamaForCausalLM"], "model_type": "llava"})
    assert is_original({"model_type": "llava_mpt"})
    assert not is_original({"model_type": "llava", "text_config": {}})
    # folders converted to Hugging Face's layout keep the fields of the original
    converted = {"architectures": ["LlavaNextForConditionalGeneration"], "model_type": "llava_next"}
    assert not is_original(converted | {"mm_vision_tower": "x", "mm_projector_type": "mlp2x_gelu"})


def test_a_hugging_face_folder_of_torchs_files_is_read(tmp_path):
    ours = checkpoint()
    save(ours, tmp_path / "model")
    tensors = load_file(tmp_path / "model" / "model.safetensors")
    (tmp_path / "model" / "model.safetensors").unlink()
    store(tensors, tmp_path / "model", shards=2)
    with torch.no_grad():
        ids = torch.arange(5, 20)[None]
        assert torch.equal(load(tmp_path / "model").model(ids), ours.model(ids))


# Out


@pytest.mark.parametrize("safetensors", [True, False], ids=["safetensors", "bin"])
@pytest.mark.parametrize("shard_bytes", [2 * 10**9, 40_000], ids=["one file", "shards"])
def test_what_is_written_comes_back_to_the_bit(whole, tmp_path, safetensors, shard_bytes):
    source = open_source(whole[0])
    write_original(source, tmp_path / "out", safetensors=safetensors, shard_bytes=shard_bytes)
    files = [p.name for p in (tmp_path / "out").glob("*.safetensors" if safetensors else "*.bin")]
    assert (len(files) == 1) == (shard_bytes > 10**6)
    first, again = load(whole[0]), load(tmp_path / "out")
    assert torch.equal(logits(again.model), logits(first.model))
    assert again.model.config == first.model.config
    for part in ("image", "template", "image_markers", "eos_token_ids", "provenance"):
        assert getattr(again, part) == getattr(first, part), part
    text = "A cat, naïve 中文 🙂</s>USER: <image>\nWhat?"
    assert again.tokenizer.encode(text) == first.tokenizer.encode(text)
    assert again.tokenizer.restarts_after_image


@pytest.mark.parametrize("text", KINDS)
def test_a_model_of_hugging_faces_layout_comes_out_as_an_original(tmp_path, text):
    ours = checkpoint(text, "siglip" if text == "qwen2" else "clip")
    ours.provenance = {"hours": 2}
    save(ours, tmp_path / "hf")
    write_original(load(tmp_path / "hf"), tmp_path / "original")
    assert is_original(json.loads((tmp_path / "original" / "config.json").read_text()))
    again = load(tmp_path / "original")
    with torch.no_grad():
        ids = torch.arange(5, 20)[None]
        assert torch.equal(again.model(ids), ours.model(ids))
    assert (again.template, again.provenance) == (ours.template, ours.provenance)
    save(again, tmp_path / "back")
    assert load(tmp_path / "back").model.config == ours.model.config


def test_the_names_and_fields_written_are_those_of_the_original_code(whole, tmp_path):
    write_original(load(whole[0]), tmp_path / "out", dtype=torch.bfloat16)
    stored = load_file(tmp_path / "out" / "model.safetensors")
    wanted = {original_name(name) for name in whole[2].state_dict()}
    assert set(stored) == wanted
    assert {tensor.dtype for tensor in stored.values()} == {torch.bfloat16}
    values = json.loads((tmp_path / "out" / "config.json").read_text())
    first = json.loads((whole[0] / "config.json").read_text())
    same = [name for name in first if name.startswith(("mm_", "num_"))]
    same = [name for name in same if name not in ("mm_vision_tower", "mm_resampler_type")]
    assert {name: values[name] for name in same} == {name: first[name] for name in same}
    assert (values["architectures"], values["model_type"]) == (["LlavaLlamaForCausalLM"], "llava_llama")
    assert values["unfreeze_mm_vision_tower"]
    assert values["torch_dtype"] == "bfloat16"


def test_a_folder_of_other_files_is_left_alone(whole, tmp_path):
    (tmp_path / "thesis.docx").write_text("years of work")
    with pytest.raises(CheckpointError, match=r"holds other files, such as thesis\.docx"):
        write_original(open_source(whole[0]), tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == ["thesis.docx"]


def test_a_folder_may_be_written_over_itself_and_stays_whole_when_writing_fails(folder, monkeypatch):
    before = logits(load(folder).model)
    write_original(open_source(folder), folder, safetensors=False)
    assert torch.equal(logits(load(folder).model), before)

    def full(*_: Any, **__: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("llavakit.checkpoint.original.write", full)
    with pytest.raises(CheckpointError, match="No space left"):
        write_original(open_source(folder), folder)
    assert torch.equal(logits(load(folder).model), before)


@pytest.mark.parametrize(
    ("overrides", "says"),
    [
        ({"text": "qwen3"}, "it has no qwen3"),
        ({"connector_bias": False}, "only connectors with GELU and biases"),
        ({"connector_act": "silu"}, "only connectors with GELU and biases"),
    ],
    ids=str,
)
def test_what_the_original_code_has_no_model_for_is_refused(tmp_path, overrides, says):
    with pytest.raises(CheckpointError, match=says):
        write_original(checkpoint(**overrides), tmp_path / "out")
    assert not (tmp_path / "out").exists()


PEAK = """
import sys, torch
from pathlib import Path
from llavakit.checkpoint import tensors
from llavakit.checkpoint.load import open_source
from llavakit.checkpoint.original import write_original

def status(key):
    return int(Path("/proc/self/status").read_text().split(key + ":")[1].split()[0]) * 1024

torch.set_num_threads(1)
tensors._RELEASED = 2**24  # in the proportion to this model that it has to a large one
write_original(open_source(sys.argv[2]), Path(sys.argv[3]) / "small")  # what torch itself takes
before = status("VmRSS")
write_original(
    open_source(sys.argv[1]), Path(sys.argv[3]) / "large", dtype=torch.float16, shard_bytes=20_000_000,
    safetensors=sys.argv[4] == "safetensors",
)
print(status("VmHWM") - before)
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="peak memory is read from /proc")
@pytest.mark.parametrize("suffix", ["safetensors", "bin"])
def test_writing_holds_a_shard_and_not_the_model(tmp_path, suffix):
    """226 MB of float32 are read, 113 written in shards of 20; the largest tensor is 19 MB in float32.

    55 MB (safetensors) and 62 MB (bin) measured: a shard, its bytes once more, and what is mapped.
    """
    hf_model, model = pair()
    small = original_folder(tmp_path / "small" / "llava", hf_model, model)
    torch.manual_seed(0)
    larger = {"hidden_size": 1536, "intermediate_size": 3072, "num_hidden_layers": 3}
    language = model.config.language.model_copy(update=larger)
    large = Llava(model.config.model_copy(update={"language": language}))
    folder = original_folder(tmp_path / "large" / "llava", hf_model, large, suffix=suffix)
    command = [sys.executable, "-c", PEAK, str(folder), str(small), str(tmp_path / "out"), suffix]
    out = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert int(out) < 90e6


# As people meet it


def test_the_tutorials_class_chats_with_an_original_folder(whole):
    bot = LLaVAChatBot(str(whole[0]), device_map="cpu", load_in_8_bit=False)
    said = bot.start_new_chat(photo(), "What is this?", max_new_tokens=4, do_sample=False)
    assert bot.get_conv_text().endswith(f"USER: <image>\nWhat is this? ASSISTANT: {said}</s>")


def test_the_command_line_takes_the_vision_tower(folder, tmp_path):
    tower = (folder.parent / "some-tower").rename(tmp_path / "tower")
    loaded = options.load(str(folder), device="cpu", dtype="float32", vision_tower=str(tower))
    assert torch.equal(logits(loaded.model), logits(LLaVA.from_pretrained(folder, vision_tower=tower).model))


def test_an_original_folder_is_quantised_as_any_other(whole):
    llava = LLaVA.from_pretrained(whole[0], device="cpu", quantize="int8")
    assert llava.generate("What is this?", [photo()], max_new_tokens=2).usage.completion_tokens >= 1
