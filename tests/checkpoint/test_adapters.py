"""Connectors and LoRAs on bases that are elsewhere; PEFT writes the LoRAs, and its merging is the oracle.

Tolerance 1e-5 on logits of size 1 to 10: PEFT adds scale · (B · A) to a weight, we add in one step, so the
last bit of a weight may differ; a delta with a wrong scale moves logits by more than 1e-2.
"""

import itertools
import json
import shutil
from pathlib import Path
from typing import Any

import peft
import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file

from checkpoint.originals import (
    MARKS,
    WORDS,
    config_json,
    original_folder,
    pair,
    question,
    state,
    store,
    tower_folder,
)
from checkpoint.small import edit_json, hf_folder
from checkpoint.small import question as hf_question
from llavakit.checkpoint import load
from llavakit.checkpoint.adapters import FINGERPRINT, fingerprint
from llavakit.checkpoint.load import describe, open_source
from llavakit.checkpoint.original import own_weights
from llavakit.cli import options
from llavakit.errors import CheckpointError, LlavaError, UsageError
from model.reference import gap, hf_logits, randomise
from prompt.sentencepieces import write

TOLERANCE = 1e-5


def message(error: type[LlavaError], model: Path, **arguments: Any) -> str:
    with pytest.raises(LlavaError) as caught:
        load(model, **arguments)
    assert type(caught.value) is error
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.fixture(scope="module")
def models():
    """A LLaVA of transformers and the same of ours; and the plain language model inside."""
    hf_model, model = pair()
    values = hf_model.config.text_config.to_dict() | {"vocab_size": WORDS}
    language = transformers.LlamaForCausalLM(transformers.LlamaConfig(**values))
    ours = {n: t for n, t in state(model).items() if "mm_projector" not in n and "vision_tower" not in n}
    language.load_state_dict(ours)
    return hf_model, model, language.eval()


def language_folder(folder: Path, language: Any) -> Path:
    """Vicuna, so to speak: a language model and its tokenizer, without LLaVA's configuration."""
    language.save_pretrained(folder)
    return write(folder, add_bos_token=True, legacy=False)


def projector_folder(folder: Path, model: Any, **changes: Any) -> Path:
    """As the alignment stage of the original code writes it."""
    tensors = {name: tensor for name, tensor in state(model).items() if "mm_projector" in name}
    store(tensors, folder, stem="mm_projector")
    values = config_json(model.config, tune_mm_mlp_adapter=True, **changes)
    (folder / "config.json").write_text(json.dumps(values))
    return folder


def lora(language: Any, seed: int = 0, **settings: Any) -> Any:
    """PEFT's model with random factors."""
    given = {"r": 4, "lora_alpha": 6, "target_modules": ["q_proj", "v_proj", "down_proj"]} | settings
    adapted = peft.get_peft_model(language, peft.LoraConfig(**given))
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, weight in adapted.named_parameters():
            if "lora_" in name:
                weight.copy_(torch.randn(weight.shape, generator=generator) * 0.2)
    return adapted


def plain(language: Any) -> Any:
    """A copy, since PEFT changes the model that it is given."""
    copy = type(language)(language.config)
    copy.load_state_dict(language.state_dict())
    return copy.eval()


def lora_folder(folder: Path, models: Any, **settings: Any) -> tuple[Path, Any]:
    """As the original code's LoRA tuning writes it; and the merged language model."""
    _, model, language = models
    adapted = lora(plain(language), **settings)
    adapted.save_pretrained(folder)
    tensors = {f"base_model.model.{n}": t for n, t in state(model).items() if "mm_projector" in n}
    torch.save(tensors, folder / "non_lora_trainables.bin")
    (folder / "config.json").write_text(json.dumps(config_json(model.config)))
    return folder, adapted.merge_and_unload()


def expected(models: Any, merged: Any) -> torch.Tensor:
    """Our model with the merged language model's weights."""
    _, model, _ = models
    mine = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    for name, tensor in merged.state_dict().items():
        mine["language_model." + name.removeprefix("model.")][: len(tensor)] = tensor
    again = type(model)(model.config).eval()
    again.load_state_dict(mine)
    with torch.no_grad():
        return again(*question(model.config))


def logits(model: Any) -> torch.Tensor:
    with torch.no_grad():
        return model(*question(model.config))


# A connector alone


@pytest.mark.parametrize("given", ["folder", "file"])
def test_a_connector_alone_and_its_language_model_are_the_whole(tmp_path, models, given):
    hf_model, model, language = models
    folder = projector_folder(tmp_path / "llava-pretrain", model)
    base = language_folder(tmp_path / "vicuna", language)
    tower_folder(tmp_path / "some-tower", hf_model)
    loaded = load(folder if given == "folder" else folder / "mm_projector.bin", base=base)
    assert torch.equal(logits(loaded.model), logits(model))
    assert loaded.template == "plain"  # what the alignment stage is trained on


def test_the_vision_tower_of_a_connector_may_be_given(tmp_path, models):
    hf_model, model, language = models
    folder = projector_folder(tmp_path / "llava-pretrain", model)
    base = language_folder(tmp_path / "vicuna", language)
    elsewhere = tower_folder(tmp_path / "towers" / "clip", hf_model)
    assert torch.equal(logits(load(folder, base=base, vision_tower=elsewhere).model), logits(model))


def test_a_connector_without_a_configuration_replaces_that_of_a_llava(tmp_path, models):
    hf_model, model, _ = models
    base = original_folder(tmp_path / "llava", hf_model, model)
    _, other = pair(seed=5)
    folder = projector_folder(tmp_path / "connector", other)
    (folder / "config.json").unlink()
    loaded = load(folder, base=base)
    assert torch.equal(loaded.model.connector.linear_2.weight, other.connector.linear_2.weight)
    assert torch.equal(loaded.model.language_model.norm.weight, model.language_model.norm.weight)
    assert loaded.template == "vicuna_v1"


def test_marks_that_the_base_tokenizer_lacks_are_added_and_their_embeddings_come_with_the_connector(tmp_path):
    """LLaVA v1's alignment stage trains the embeddings of `<im_start>` and `<im_end>` too."""
    hf_model, model = pair(marks=True)
    tensors = {name: tensor for name, tensor in state(model).items() if "mm_projector" in name}
    tensors["model.embed_tokens.weight"] = state(model)["model.embed_tokens.weight"]
    folder = tmp_path / "llava-pretrain"
    store(tensors, folder, stem="mm_projector")
    values = config_json(model.config, mm_use_im_start_end=True, mm_use_im_patch_token=True)
    (folder / "config.json").write_text(json.dumps(values))
    text = {**hf_model.config.text_config.to_dict(), "vocab_size": WORDS}
    language = transformers.LlamaForCausalLM(transformers.LlamaConfig(**text))
    cut = {n: t for n, t in state(model).items() if "mm_projector" not in n and "vision" not in n}
    cut |= {n: cut[n][:WORDS] for n in ("model.embed_tokens.weight", "lm_head.weight")}
    language.load_state_dict(cut)
    base = language_folder(tmp_path / "vicuna", language)
    tower_folder(tmp_path / "some-tower", hf_model)
    loaded = load(folder, base=base)
    assert loaded.image_markers
    assert [loaded.tokenizer.special[mark] for mark in MARKS] == [WORDS, WORDS + 1, WORDS + 2]
    assert loaded.tokenizer.image_token_id == WORDS + 3
    mine, theirs = logits(loaded.model), logits(model)
    assert torch.equal(mine[..., :WORDS], theirs[..., :WORDS])
    assert not mine[..., WORDS:].any()  # the base's output head never knew them


def test_a_connector_without_a_base_asks_for_one(tmp_path, models):
    folder = projector_folder(tmp_path / "llava-pretrain", models[1])
    text = message(UsageError, folder)
    assert "mm_projector.bin is a connector without a language model: name the one" in text
    assert "--base" in text


def test_a_connector_of_another_width_is_one_error(tmp_path, models):
    hf_model, _, language = models
    _, other = pair(hidden_size=64, num_attention_heads=8, head_dim=8)
    folder = projector_folder(tmp_path / "llava-pretrain", other)
    base = language_folder(tmp_path / "vicuna", language)
    tower_folder(tmp_path / "some-tower", hf_model)
    assert "of the wrong shape" in message(CheckpointError, folder, base=base)


def test_a_file_that_is_no_connector_is_named(tmp_path, models):
    base = language_folder(tmp_path / "vicuna", models[2])
    torch.save({"weight": torch.zeros(2)}, tmp_path / "x.bin")
    assert "x.bin holds no connector: its tensors are weight" in message(
        CheckpointError, tmp_path / "x.bin", base=base
    )


def test_a_base_that_is_no_llava_says_nothing_of_the_rest(tmp_path, models):
    _, model, language = models
    folder = projector_folder(tmp_path / "llava-pretrain", model)
    (folder / "config.json").unlink()
    base = language_folder(tmp_path / "vicuna", language)
    assert "nothing says how the two are joined" in message(CheckpointError, folder, base=base)


# LoRA


@pytest.mark.parametrize("base_kind", ["language model", "LLaVA"])
@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"use_rslora": True},
        {"alpha_pattern": {"v_proj": 3}, "rank_pattern": {"layers.1.mlp.down_proj": 2}},
    ],
    ids=str,
)
def test_a_lora_is_merged_as_peft_merges_it(tmp_path, models, settings, base_kind):
    hf_model, model, language = models
    folder, merged = lora_folder(tmp_path / "llava-lora", models, **settings)
    tower_folder(tmp_path / "some-tower", hf_model)
    if base_kind == "LLaVA":
        base = original_folder(tmp_path / "base", hf_model, model)
    else:
        base = language_folder(tmp_path / "base", language)
    mine = logits(load(folder, base=base).model)
    assert gap(mine, expected(models, merged)) < TOLERANCE
    assert gap(mine, logits(model)) > 1e-2


def test_a_lora_of_a_lora_is_merged_twice(tmp_path, models):
    hf_model, _, language = models
    first, merged = lora_folder(tmp_path / "first", models)
    base = language_folder(tmp_path / "vicuna", language)
    tower_folder(tmp_path / "some-tower", hf_model)
    edit_json(first / "adapter_config.json", base_model_name_or_path=str(base))
    second, twice = lora_folder(tmp_path / "second", (*models[:2], merged), seed=1)
    assert gap(logits(load(second, base=first).model), expected(models, twice)) < TOLERANCE


def test_the_command_line_takes_the_base(tmp_path, models):
    hf_model, _, language = models
    folder, merged = lora_folder(tmp_path / "llava-lora", models)
    base = language_folder(tmp_path / "vicuna", language)
    tower_folder(tmp_path / "some-tower", hf_model)
    loaded = options.load(str(folder), device="cpu", dtype="float32", base=str(base))
    assert gap(logits(loaded.model), expected(models, merged)) < TOLERANCE
    assert loaded.generate("What?", max_new_tokens=2, temperature=0).usage.completion_tokens >= 1


def test_the_base_is_the_one_that_the_adapter_names(tmp_path, models):
    hf_model, _, language = models
    folder, merged = lora_folder(tmp_path / "llava-lora", models)
    base = language_folder(tmp_path / "vicuna", language)
    tower_folder(tmp_path / "some-tower", hf_model)
    edit_json(folder / "adapter_config.json", base_model_name_or_path=str(base))
    assert gap(logits(load(folder).model), expected(models, merged)) < TOLERANCE
    assert describe(folder).template == "vicuna_v1"
    edit_json(folder / "adapter_config.json", base_model_name_or_path=str(tmp_path / "gone"))
    assert "which could not be had" in message(CheckpointError, folder)
    edit_json(folder / "adapter_config.json", base_model_name_or_path=None)
    assert "names no base: give the model it was trained on with --base" in message(UsageError, folder)


@pytest.mark.parametrize("generation", ["new", "published"])
@pytest.mark.parametrize("suffix", ["safetensors", "bin"])
def test_a_lora_of_peft_on_a_hugging_face_llava_needs_no_config_json(tmp_path, suffix, generation):
    hf_model = hf_folder(tmp_path / "base")
    targets = r".*(language_model.*(q_proj|up_proj)|vision_tower.*fc1|multi_modal_projector\.linear_2)"
    adapted = lora(hf_model, target_modules=targets)
    folder = tmp_path / "lora"
    adapted.save_pretrained(folder, safe_serialization=suffix == "safetensors")
    path = folder / f"adapter_model.{suffix}"
    if generation == "published":  # as PEFT named layers on transformers 4
        stored = load_file(path) if suffix == "safetensors" else torch.load(path)
        old = {}
        for name, tensor in stored.items():
            name = name.replace("base_model.model.model.", "base_model.model.")
            old[name.replace(".language_model.", ".language_model.model.")] = tensor
        save_file(old, path) if suffix == "safetensors" else torch.save(old, path)
    merged = adapted.merge_and_unload()
    if generation == "new":  # some trainers save it too
        shutil.copy(tmp_path / "base" / "config.json", folder)
    loaded = load(folder, base=tmp_path / "base")
    ids, pixels = hf_question(loaded.model.config)
    with torch.no_grad():
        mine, plain = loaded.model(ids, pixels), load(tmp_path / "base").model(ids, pixels)
    assert gap(mine, hf_logits(merged, ids, pixels)) < 10 * TOLERANCE  # two implementations
    assert gap(mine, plain) > 1e-2


def test_weights_that_were_trained_whole_replace_the_bases(tmp_path, models):
    hf_model, _, language = models
    folder, merged = lora_folder(tmp_path / "lora", models, modules_to_save=["lm_head"])
    base = language_folder(tmp_path / "vicuna", language)
    tower_folder(tmp_path / "some-tower", hf_model)
    stored = peft.utils.load_peft_weights(str(folder))
    assert any(name.endswith("lm_head.weight") for name in stored)
    assert gap(logits(load(folder, base=base).model), expected(models, merged)) < TOLERANCE


def test_a_merged_weight_is_rounded_once(tmp_path, models):
    """In float32, then in the type that is wanted: half precision on the way would lose small deltas."""
    hf_model, _, language = models
    folder, merged = lora_folder(tmp_path / "lora", models)
    base = language_folder(tmp_path / "vicuna", plain(language).half())
    tower_folder(tmp_path / "some-tower", hf_model)
    name = "language_model.layers.0.self_attn.q_proj.weight"
    tensors = open_source(folder, base=base).tensors
    assert tensors.dtype(name) == torch.float16
    exact = open_source(folder, base=base).tensors.read(name, torch.float32)
    delta = (
        merged.state_dict()["model.layers.0.self_attn.q_proj.weight"]
        - language.state_dict()["model.layers.0.self_attn.q_proj.weight"]
    )
    wanted = language.state_dict()["model.layers.0.self_attn.q_proj.weight"].half().float() + delta
    assert torch.allclose(exact, wanted, atol=1e-6)
    assert torch.equal(tensors.read(name), exact.half())
    assert torch.equal(tensors.read(name, torch.bfloat16), exact.bfloat16())


def test_a_lora_on_another_base_is_one_error_by_shape(tmp_path, models):
    hf_model, _, _ = models
    folder, _ = lora_folder(tmp_path / "lora", models)
    values = models[2].config.to_dict() | {"intermediate_size": 40}
    other = randomise(transformers.LlamaForCausalLM(transformers.LlamaConfig(**values)))
    base = language_folder(tmp_path / "other", other)
    tower_folder(tmp_path / "some-tower", hf_model)
    text = message(CheckpointError, folder, base=base)
    assert f"on {base} was trained on another base: model.layers.0.mlp.down_proj.weight is [32, 40]" in text
    assert "the adapter's [32, 48] and 1 more" in text


def test_a_lora_on_another_base_of_the_same_shape_is_told_by_its_fingerprint(tmp_path, models):
    hf_model, _, language = models
    folder, _ = lora_folder(tmp_path / "lora", models)
    base = language_folder(tmp_path / "vicuna", language)
    tower_folder(tmp_path / "some-tower", hf_model)
    recorded = fingerprint(own_weights(base))
    (folder / "llavakit.json").write_text(json.dumps({"provenance": {FINGERPRINT: recorded}}))
    load(folder, base=base)
    other = randomise(plain(language), seed=3)
    base = language_folder(tmp_path / "other", other)
    assert fingerprint(own_weights(base)) != recorded
    assert "was trained on another base than" in message(CheckpointError, folder, base=base)


def test_a_fingerprint_does_not_depend_on_how_weights_are_stored(tmp_path, models):
    hf_model, model, _ = models
    found = set()
    for suffix, shards in itertools.product(("bin", "safetensors"), (1, 3)):
        place = tmp_path / f"{suffix}{shards}"
        found.add(
            fingerprint(own_weights(original_folder(place, hf_model, model, suffix=suffix, shards=shards)))
        )
    assert len(found) == 1


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"peft_type": "IA3"}, "adapters of type 'IA3' are not supported, only 'LORA'"),
        ({"use_dora": True}, "DoRA"),
        ({"fan_in_fan_out": True}, "transposed weights"),
        ({"lora_alpha": ...}, "has no number lora_alpha"),
        ({"lora_alpha": "6"}, "has no number lora_alpha"),
    ],
)
def test_an_adapter_that_is_not_understood_is_refused(tmp_path, models, changes, says):
    folder, _ = lora_folder(tmp_path / "lora", models)
    edit_json(folder / "adapter_config.json", **changes)
    text = message(CheckpointError, folder, base=tmp_path)
    assert "adapter_config.json" in text
    assert says in text


def test_half_an_adapter_is_named(tmp_path, models):
    folder, _ = lora_folder(tmp_path / "lora", models)
    path = folder / "adapter_model.safetensors"
    data = path.read_bytes()
    path.write_bytes(data[:-9])
    assert "adapter_model.safetensors is not a whole safetensors file" in message(CheckpointError, folder)
    path.unlink()
    assert "has no adapter_model.safetensors: the adapter is only half" in message(CheckpointError, folder)
    (folder / "adapter_model.bin").write_bytes(b"PK\3\4")
    assert "adapter_model.bin is not a whole PyTorch file" in message(CheckpointError, folder)


def test_a_factor_without_the_other_is_named(tmp_path, models):
    folder, _ = lora_folder(tmp_path / "lora", models)
    path = folder / "adapter_model.safetensors"
    tensors = load_file(path)
    tensors.pop("base_model.model.model.layers.0.self_attn.q_proj.lora_B.weight")
    save_file(tensors, path)
    text = message(CheckpointError, folder, base=tmp_path)
    assert "model.layers.0.self_attn.q_proj has one factor only" in text


def test_a_whole_model_takes_no_base(tmp_path, models):
    hf_model, model, _ = models
    folder = original_folder(tmp_path / "llava", hf_model, model)
    assert "is a whole model: leave --base out" in message(UsageError, folder, base=folder)
    shutil.rmtree(tmp_path / "some-tower")
    hf_folder(tmp_path / "hf")
    text = message(UsageError, tmp_path / "hf", vision_tower="x")
    assert "has its vision tower inside: leave --vision-tower out" in text
