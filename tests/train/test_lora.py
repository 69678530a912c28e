"""LoRA and QLoRA on our modules: what learns, what is merged, and files that PEFT and transformers read.

Tolerance 1e-5 on logits of size 1 to 10, where nothing else is said: a delta is added to the weight before
the product, or to the product after it, in float32; a wrong scale moves logits by more than 1e-2.
"""

import json
import math
from pathlib import Path
from typing import Any

import peft
import pytest
import torch
import transformers
from torch import nn

from checkpoint.originals import WORDS, tower_folder
from checkpoint.small import hf_folder, question, wrap
from llavakit import LLaVA
from llavakit.checkpoint import Checkpoint, load
from llavakit.cli.export import export
from llavakit.config import Quantization
from llavakit.errors import CheckpointError, LlavaError, UsageError
from llavakit.train import train
from llavakit.train.lora import add_lora, base_of, merge_lora, save_adapter
from llavakit.train.organs import FACTOR, Trainee
from llavakit.train.recipe import LoRA, Organ, Recipe, Stage
from model.reference import gap, hf_llava, hf_logits, pair, randomise
from prompt.sentencepieces import write
from train import small

TOLERANCE = 1e-5
ORGANS: tuple[Organ, ...] = ("vision_tower", "connector", "language_model")


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("base")
    hf_folder(folder)
    return folder


def trainee_of(base: Path) -> tuple[Trainee, Checkpoint]:
    checkpoint = load(base, dtype=torch.float32)
    checkpoint.model.requires_grad_(True)
    return Trainee(checkpoint.model, None, 16), checkpoint


def lora(**values: Any) -> LoRA:
    return LoRA(**({"rank": 4, "alpha": 6, "dropout": 0.0} | values))


def stage(given: LoRA | None, trainable: tuple[Organ, ...] = ("connector",), **values: Any) -> Stage:
    return Stage(
        **{
            "name": "s",
            "data": "d",
            "steps": 1,
            "batch": 1,
            "lr": 2e-2,
            "lora": given,
            "trainable": trainable,
        }
        | values
    )


def logits(model: nn.Module) -> torch.Tensor:
    model.eval()
    with torch.no_grad():
        return model(*question(model.config))  # type: ignore[arg-type]


def learn(trainee: Trainee, given: Stage, steps: int = 2) -> None:
    """A few steps of plain AdamW on noise for labels."""
    trainee.freeze_all_but(given.trainable)
    groups = [{"params": found, "lr": lr} for _, lr, found in trainee.groups(given)]
    optimiser = torch.optim.AdamW(groups, weight_decay=0.0)
    ids, pixels = question(trainee.llava.config)
    trainee.train()
    for _ in range(steps):
        out = trainee.llava(ids, pixels)
        torch.autograd.backward(nn.functional.cross_entropy(out[0, :-1].float(), ids[0, 1:]))
        optimiser.step()
        optimiser.zero_grad()
    trainee.eval()


def test_at_first_a_lora_changes_nothing(base):
    trainee, _ = trainee_of(base)
    before = logits(trainee.llava)
    factors = add_lora(trainee, lora(targets=ORGANS))
    assert torch.equal(logits(trainee.llava), before)
    assert all(p.requires_grad and p.dtype == torch.float32 for p in factors)


def test_the_layers_are_all_linear_ones_of_the_organ_that_are_run_but_not_the_head(base):
    trainee, _ = trainee_of(base)
    plain = {name for name, m in trainee.llava.named_modules() if isinstance(m, nn.Linear)}
    add_lora(trainee, lora(targets=ORGANS))
    worn = {n.partition(FACTOR)[0] for n, _ in trainee.llava.named_parameters() if FACTOR in n}
    # Of three blocks of the tower the features of the second are taken: the third is not run.
    assert plain - worn == {n for n in plain if n.startswith("vision_tower.encoder.layers.2.")} | {
        "language_model.lm_head"
    }


def test_only_the_factors_and_the_named_organs_move_each_at_its_rate(base):
    trainee, _ = trainee_of(base)
    add_lora(trainee, lora())
    given = stage(lora(), organ_lr={"connector": 1e-3})
    before = {name: p.detach().clone() for name, p in trainee.named_parameters()}
    learn(trainee, given)
    moved = {name for name, p in trainee.named_parameters() if not torch.equal(p, before[name])}
    assert moved == {n for n in before if FACTOR in n or n.startswith("llava.connector.")}
    assert [(organ, lr) for organ, lr, _ in trainee.groups(given)] == [
        ("connector", 1e-3),
        ("language_model", 2e-2),
    ]
    found = [id(p) for _, _, parameters in trainee.groups(given) for p in parameters]
    assert len(found) == len(set(found)) == len(moved)


def test_the_summary_counts_what_learns(base):
    trainee, _ = trainee_of(base)
    add_lora(trainee, lora())
    trainee.freeze_all_but(("connector",))
    sizes = {size.organ: size for size in trainee.summary()}
    assert sizes["connector"].learning == sizes["connector"].total
    assert sizes["vision_tower"].learning == 0
    layers = [p.shape for n, p in trainee.named_parameters() if n.endswith("proj.base_layer.weight")]
    assert sizes["language_model"].learning == sum(4 * sum(shape) for shape in layers)


@pytest.mark.parametrize("stabilised", [False, True])
def test_the_scale_is_alpha_over_the_rank_or_over_its_root(base, stabilised):
    trainee, _ = trainee_of(base)
    add_lora(trainee, lora(rank_stabilised=stabilised))
    learn(trainee, stage(lora()))
    layer = trainee.llava.language_model.layers[0].mlp.up_proj
    a, b = layer.lora_A["default"].weight, layer.lora_B["default"].weight
    x = torch.randn(3, a.shape[1])
    scale = 6 / (math.sqrt(4) if stabilised else 4)
    assert torch.allclose(layer(x) - layer.base_layer(x), scale * (x @ a.T @ b.T), atol=TOLERANCE)


def test_merged_it_says_what_it_said_before_and_is_a_plain_model_again(base):
    trainee, _ = trainee_of(base)
    names = set(trainee.state_dict())
    add_lora(trainee, lora(targets=ORGANS))
    learn(trainee, stage(lora(targets=ORGANS), ()))
    before, start = logits(trainee.llava), logits(load(base, dtype=torch.float32).model)
    merge_lora(trainee)
    assert gap(logits(trainee.llava), before) < 10 * TOLERANCE  # through three organs
    assert gap(before, start) > 1e-2
    assert set(trainee.state_dict()) == names
    with pytest.raises(LlavaError, match="no LoRA to merge"):
        merge_lora(trainee)


def test_two_loras_at_once_are_refused_and_so_are_packed_weights(base):
    trainee, _ = trainee_of(base)
    add_lora(trainee, lora())
    with pytest.raises(LlavaError, match="has a LoRA already"):
        add_lora(trainee, lora())
    packed = load(base, quantization=Quantization(scheme="int8"))
    with pytest.raises(LlavaError, match=r"set lora\.quantize"):
        add_lora(Trainee(packed.model, None, 16), lora())


def test_what_was_learned_goes_through_a_state_dict(base):
    given = stage(lora())
    first, _ = trainee_of(base)
    add_lora(first, lora())
    learn(first, given)
    names = first.learned([given])
    assert names == {n for n in first.state_dict() if FACTOR in n or n.startswith("llava.connector.")}
    kept = {name: tensor for name, tensor in first.state_dict().items() if name in names}
    second, _ = trainee_of(base)
    add_lora(second, lora(), seed=5)
    second.load_state_dict(kept, strict=False)
    assert torch.equal(logits(second.llava), logits(first.llava))


def test_what_was_learned_counts_the_stages_before(base):
    trainee, _ = trainee_of(base)
    merged, whole = stage(lora()), stage(None, ("vision_tower",))
    names = trainee.learned([merged, whole])
    assert names == set(trainee.state_dict())  # the connector, a LoRA that is in the weights, the tower
    assert trainee.learned([whole]) == {n for n in names if n.startswith("llava.vision_tower.")}
    assert trainee.learned([whole], whole=True) == names


# Files


@pytest.fixture(scope="module")
def adapter(base: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, torch.Tensor]:
    """A trained adapter's folder, and what the trainee says."""
    trainee, checkpoint = trainee_of(base)
    add_lora(trainee, lora(targets=("language_model", "vision_tower"), rank_stabilised=True))
    learn(trainee, stage(lora(targets=("language_model", "vision_tower"))))
    folder = tmp_path_factory.mktemp("adapter")
    checkpoint.template = "llama_2"
    checkpoint.provenance = {"recipe": "a test's"}
    save_adapter(trainee, checkpoint, base, folder)
    return folder, logits(trainee.llava)


def test_peft_reads_an_adapter_on_top_of_transformers(base, adapter):
    folder, expected = adapter
    hf_model = transformers.LlavaForConditionalGeneration.from_pretrained(base)
    adapted = peft.PeftModel.from_pretrained(hf_model, str(folder)).eval()
    ids, pixels = question(load(base).model.config)
    # 1e-4: two implementations of the network
    assert gap(hf_logits(adapted, ids, pixels), expected) < 10 * TOLERANCE
    assert gap(hf_logits(adapted.merge_and_unload(), ids, pixels), expected) < 10 * TOLERANCE


def test_we_read_an_adapter_on_the_base_that_it_names(base, adapter):
    folder, expected = adapter
    found = load(folder)
    assert gap(logits(found.model), expected) < 10 * TOLERANCE
    assert gap(expected, logits(load(base).model)) > 1e-2
    assert found.template == "llama_2"
    assert found.provenance["recipe"] == "a test's"
    said = LLaVA.from_pretrained(str(folder), device="cpu").generate("w1 w2", max_new_tokens=2)
    assert said.usage.completion_tokens >= 1


def test_an_adapter_remembers_its_base(adapter, tmp_path):
    folder, _ = adapter
    hf_folder(tmp_path, rope_theta=900.0)  # the same weights, so it is told by nothing
    load(folder, base=tmp_path)
    _, other = pair("llama", "clip", seed=4)
    from llavakit.checkpoint import save

    other_base = tmp_path / "other"
    save(wrap(other), other_base)
    with pytest.raises(CheckpointError, match="was trained on another base"):
        load(folder, base=other_base)


def test_export_merges_an_adapter_and_nothing_else(base, adapter, tmp_path):
    folder, expected = adapter
    out = tmp_path / "merged"
    export(str(folder), "hf", out, merge=True)
    assert gap(logits(load(out).model), expected) < 10 * TOLERANCE
    hf_model = transformers.LlavaForConditionalGeneration.from_pretrained(out).eval()
    ids, pixels = question(load(base).model.config)
    assert gap(hf_logits(hf_model, ids, pixels), expected) < 10 * TOLERANCE
    with pytest.raises(UsageError, match="is no adapter"):
        export(str(base), "hf", tmp_path / "x", merge=True)
    assert not (tmp_path / "x").exists()


def test_an_organ_that_learned_beside_the_factors_is_kept_whole(base, tmp_path):
    trainee, checkpoint = trainee_of(base)
    add_lora(trainee, lora())
    learn(trainee, stage(lora(), ("vision_tower", "connector")))
    save_adapter(trainee, checkpoint, base, tmp_path / "a")
    assert gap(logits(load(tmp_path / "a").model), logits(trainee.llava)) < 10 * TOLERANCE
    hf_model = transformers.LlavaForConditionalGeneration.from_pretrained(base)
    adapted = peft.PeftModel.from_pretrained(hf_model, str(tmp_path / "a")).eval()
    ids, pixels = question(trainee.llava.config)
    assert gap(hf_logits(adapted, ids, pixels), logits(trainee.llava)) < 10 * TOLERANCE
    settings = json.loads((tmp_path / "a" / "adapter_config.json").read_text())
    assert set(settings["modules_to_save"]) == {"multi_modal_projector", "vision_tower"}


def test_the_base_is_the_beginning_unless_more_was_trained_before() -> None:
    def recipe(*stages: Stage) -> Recipe:
        return Recipe(name="r", init="some/llava", stages=stages)

    align = stage(None, name="align")
    whole = stage(None, ("connector", "language_model"), name="whole")
    last = stage(lora(), name="last")
    assert base_of(recipe(last)) == "some/llava"
    assert base_of(recipe(align, last)) == "some/llava"
    assert base_of(recipe(whole, last)) is None
    assert base_of(recipe(stage(lora(), name="first"), last)) is None


# QLoRA


@pytest.mark.parametrize("scheme", ["bnb-nf4", "bnb-int8"])
def test_qlora_learns_on_packed_weights_and_merges_into_those_of_the_base(base, tmp_path, scheme):
    given = lora(quantize=scheme)
    trainee, checkpoint = trainee_of(base)
    add_lora(trainee, given)
    kinds = {p.dtype for n, p in trainee.llava.named_parameters() if n.endswith("proj.base_layer.weight")}
    assert kinds == {torch.uint8 if scheme == "bnb-nf4" else torch.int8}
    plain, _ = trainee_of(base)
    assert [s.total for s in trainee.summary()][:2] == [s.total for s in plain.summary()][:2]
    packed = logits(trainee.llava)
    before = {n: p.detach().clone() for n, p in trainee.named_parameters()}
    learn(trainee, stage(given))
    moved = {n for n, p in trainee.named_parameters() if not torch.equal(p, before[n])}
    assert moved == {n for n in before if FACTOR in n or n.startswith("llava.connector.")}
    assert gap(logits(trainee.llava), packed) > 1e-2
    with pytest.raises(LlavaError, match="export ADAPTER --merge"):
        merge_lora(trainee)
    save_adapter(trainee, checkpoint, base, tmp_path / "a")
    merged = load(tmp_path / "a").model
    layer = trainee.llava.language_model.layers[1].mlp.down_proj
    a, b = layer.lora_A["default"].weight, layer.lora_B["default"].weight
    exact = plain.llava.language_model.layers[1].mlp.down_proj.weight + 6 / 4 * b @ a
    assert torch.allclose(merged.language_model.layers[1].mlp.down_proj.weight, exact, atol=TOLERANCE)


def test_without_the_libraries_the_extra_is_named(base, monkeypatch):
    trainee, _ = trainee_of(base)
    monkeypatch.setitem(__import__("sys").modules, "bitsandbytes", None)
    with pytest.raises(UsageError, match=r"llavakit\[bnb\]"):
        add_lora(trainee, lora(quantize="bnb-nf4"))
    monkeypatch.setitem(__import__("sys").modules, "peft", None)
    with pytest.raises(UsageError, match=r"llavakit\[train\]"):
        add_lora(trainee, lora())


# The papers' way, from two trained parts to an adapter


def test_a_recipe_joins_trained_parts_aligns_them_and_tunes_a_lora(tmp_path: Path) -> None:
    hf_model, _ = hf_llava()
    tower_folder(tmp_path / "clip", hf_model)
    values = hf_model.config.text_config.to_dict() | {"vocab_size": WORDS}
    language = randomise(transformers.LlamaForCausalLM(transformers.LlamaConfig(**values)))
    language.save_pretrained(tmp_path / "vicuna")
    write(tmp_path / "vicuna", add_bos_token=True, legacy=False)
    recipe = Recipe.parse_toml(
        f"""
        name = "joined"
        [vision]
        weights = "{tmp_path / "clip"}"
        image_size = 24
        patch_size = 8
        hidden_size = 24
        intermediate_size = 40
        num_hidden_layers = 3
        num_attention_heads = 3
        layer_norm_eps = 1e-2
        [language]
        weights = "{tmp_path / "vicuna"}"
        vocab_size = {WORDS}
        hidden_size = 32
        intermediate_size = 48
        num_hidden_layers = 2
        num_attention_heads = 4
        num_key_value_heads = 2
        head_dim = 8
        rms_norm_eps = 1e-2
        rope_theta = 700.0
        max_position_embeddings = 256
        [[stages]]
        name = "align"
        data = "captions"
        template = "plain"
        trainable = ["connector"]
        steps = 2
        batch = 2
        lr = 1e-2
        [[stages]]
        name = "instruct"
        data = "questions"
        trainable = ["connector"]
        steps = 2
        batch = 2
        lr = 1e-2
        max_length = 200
        lora = {{ rank = 4, alpha = 8 }}
        [hardware]
        workers = 0
        """,
        "joined",
    )
    out = tmp_path / "run"
    train(recipe, out, lambda sources: small.Plates(sources[0].path), small.words)
    base, model, adapter = (load(out / name, dtype=torch.float32) for name in ("base", "model", "adapter"))
    assert gap(logits(adapter.model), logits(base.model)) > 1e-3
    # The model is what the adapter makes of its base, rounded to bfloat16: 8 bits of numbers up to 10.
    assert gap(logits(adapter.model), logits(model.model)) < 0.1
    assert adapter.provenance["recipe"]["name"] == "joined"
    head = base.model.language_model.lm_head.weight[:WORDS]
    assert torch.equal(head, language.lm_head.weight.bfloat16().float())  # nobody trained it
    hf_base = transformers.LlavaForConditionalGeneration.from_pretrained(out / "base", dtype=torch.float32)
    adapted = peft.PeftModel.from_pretrained(hf_base, str(out / "adapter")).eval()
    ids, pixels = question(base.model.config)
    assert gap(hf_logits(adapted, ids, pixels), logits(adapter.model)) < 10 * TOLERANCE
