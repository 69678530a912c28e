"""What we write for llama.cpp: read back by us, and the language model by transformers, which reads GGUF too.

A file in float32 loses nothing. Errors of the packed schemes are relative, on logits of the small random
models: they depend on the weights, so bounds are about twice what was measured.
"""

import json
import weakref
from dataclasses import replace
from pathlib import Path
from typing import Any

import gguf
import pytest
import torch
import transformers

from checkpoint.gguf_files import pieces
from checkpoint.small import image_config, question
from checkpoint.test_gguf_read import in_memory
from llavakit.checkpoint import gguf_write
from llavakit.checkpoint.folder import as_source
from llavakit.checkpoint.gguf_read import open_gguf
from llavakit.checkpoint.gguf_write import write_gguf
from llavakit.checkpoint.source import Checkpoint, Source
from llavakit.checkpoint.tensors import Held
from llavakit.config import Quantization, Tiling
from llavakit.errors import CheckpointError, UsageError
from llavakit.model import Llava
from llavakit.prompt.sentencepiece import llama_backend
from llavakit.prompt.tokenizer import Tokenizer
from model.reference import TEXT_CLASSES, copy_weights, gap, hf_llava

TOLERANCE = 1e-4


BYTES = [(f"<0x{i:02X}>", 0.0, 6) for i in range(256)]


def source(text: str = "llama", vision: str = "clip", **overrides: Any) -> Source:
    """One of ours, with a tokenizer that GGUF can hold: the words of `reference`, and bytes for all else."""
    vocabulary = [*pieces(), *BYTES]
    hf_model, config = hf_llava(text, vision, vocab_size=len(vocabulary), **overrides)
    model = Llava(config).eval()
    copy_weights(hf_model, model)
    backend = llama_backend(vocabulary, bos_token="<s>")
    tokenizer = Tokenizer(backend, bos_token="<s>", eos_token="</s>", pad_token=None, image_token="<image>")
    return as_source(
        Checkpoint(
            model=model, tokenizer=tokenizer, image=image_config(config), template="vicuna_v1",
            eos_token_ids=(2,), provenance={"recipe": {"name": "x"}, "note": "naïve"},
        )
    )  # fmt: skip


def again(of: Source, folder: Path, scheme: str = "f32") -> Source:
    write_gguf(of, folder / "model", scheme, "small")
    return open_gguf(folder / "model" / f"small-{scheme}.gguf")


def logits(model: Llava) -> torch.Tensor:
    ids, pixels = question(model.config)
    with torch.no_grad():
        answer: torch.Tensor = model(ids, pixels)
    return answer


@pytest.mark.parametrize("vision", ["clip", "siglip"])
@pytest.mark.parametrize("text", TEXT_CLASSES)
def test_a_model_in_float32_comes_back_as_it_was(tmp_path: Path, text: str, vision: str) -> None:
    given = source(text, vision, feature_layer=-2)
    read = again(given, tmp_path)
    assert gap(logits(in_memory(given)), logits(in_memory(read))) < 1e-5  # the block that is not run is gone
    assert read.said.config.language == given.said.config.language
    assert read.said.config.vision.num_hidden_layers == 2
    assert (read.said.template, read.said.own.provenance) == ("vicuna_v1", given.said.own.provenance)
    assert read.said.image.model_copy(update={"mean": (), "std": ()}) == given.said.image.model_copy(
        update={"mean": (), "std": ()}
    )
    assert read.tokenizer.encode("a cat <image> w3") == given.tokenizer.encode("a cat <image> w3")


@pytest.mark.parametrize(
    "overrides",
    [
        {"text": "qwen2", "tie_word_embeddings": True},
        {"text": "llama", "feature_layer": -1},
        {"text": "llama", "feature_layer": 1},
        {"text": "llama", "tower": {"hidden_act": "gelu"}},
        {"text": "llama", "tower": {"hidden_act": "gelu_pytorch_tanh"}},
        {"text": "llama", "rope_scaling": {"rope_type": "linear", "factor": 2.0}},
        {
            "text": "llama",
            "rope_scaling": {"rope_type": "llama3", "factor": 4.0, "original_max_position_embeddings": 8},
        },
        {
            "text": "qwen3",
            "rope_scaling": {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 64,
                             "attention_factor": 1.25, "beta_fast": 16.0},
        },
    ],
    ids=str,
)  # fmt: skip
def test_every_setting_survives(tmp_path: Path, overrides: dict[str, Any]) -> None:
    given = source(**overrides)
    assert gap(logits(in_memory(given)), logits(in_memory(again(given, tmp_path)))) < 1e-4


@pytest.mark.parametrize("text", ["llama", "qwen2", "qwen3"])
def test_transformers_reads_our_language_model(tmp_path: Path, text: str) -> None:
    given = source(text, **({"head_dim": 128} if text == "qwen3" else {}))  # all that it reads of Qwen3
    again(given, tmp_path)
    theirs = transformers.AutoModelForCausalLM.from_pretrained(
        tmp_path / "model", gguf_file="small-f32.gguf", dtype=torch.float32, attn_implementation="eager"
    ).eval()
    ours = in_memory(given)
    ids = question(ours.config)[0]
    ids = ids[ids != ours.config.image_token_id][None]
    with torch.no_grad():
        assert gap(ours(ids), theirs(ids).logits) < TOLERANCE


@pytest.mark.parametrize("text", ["llama", "qwen2"])
def test_every_tensor_has_the_shape_that_llama_cpp_wants(tmp_path: Path, text: str) -> None:
    again(source(text), tmp_path, "q8_0")
    model = {t.name: t for t in gguf.GGUFReader(tmp_path / "model" / "small-q8_0.gguf").tensors}
    assert list(model["token_embd.weight"].shape) == [32, 353]  # ggml counts from the last axis
    assert list(model["blk.1.attn_k.weight"].shape) == [32, 16]
    assert model["blk.1.attn_k.weight"].tensor_type.name == "Q8_0"
    assert model["blk.1.ffn_down.weight"].tensor_type.name == "F16"  # 48 is no multiple of 32
    assert model["output_norm.weight"].tensor_type.name == "F32"
    tower = {t.name: t for t in gguf.GGUFReader(tmp_path / "model" / "mmproj-small-f16.gguf").tensors}
    assert list(tower["v.patch_embd.weight"].shape) == [8, 8, 3, 24]
    assert list(tower["v.blk.0.ffn_up.weight"].shape) == [24, 40]
    assert list(tower["mm.2.weight"].shape) == [32, 32]
    assert {tower[name].tensor_type.name for name in ("v.patch_embd.weight", "mm.0.weight")} == {"F16"}
    assert {tower[name].tensor_type.name for name in ("v.position_embd.weight", "mm.0.bias")} == {"F32"}
    assert not any(name.startswith(("v.blk.2.", "v.post_ln")) for name in tower)


def test_metadata_are_those_that_llama_cpp_needs(tmp_path: Path) -> None:
    again(source(), tmp_path, "q4_0")
    fields = gguf.GGUFReader(tmp_path / "model" / "mmproj-small-f16.gguf").fields
    said = {key: field.contents() for key, field in fields.items()}
    assert said["general.architecture"] == "clip"
    assert said["clip.vision.feature_layer"] == [2]  # else llama.cpp leaves out the last block it holds
    assert said["clip.vision.block_count"] == 2
    assert (said["clip.projector_type"], said["clip.vision.projection_dim"]) == ("mlp", 32)
    assert (said["clip.has_vision_encoder"], said["clip.use_gelu"]) == (True, False)
    fields = gguf.GGUFReader(tmp_path / "model" / "small-q4_0.gguf").fields
    assert fields["general.file_type"].contents() == gguf.LlamaFileType.MOSTLY_Q4_0
    assert fields["llama.rope.dimension_count"].contents() == 8
    assert "<image>" in fields["tokenizer.chat_template"].contents()


def wide(**overrides: Any) -> Source:
    """Wide enough for blocks of 256."""
    numbers = {"hidden_size": 256, "intermediate_size": 512, "head_dim": 64, "num_hidden_layers": 2}
    return source(**(numbers | overrides))


@pytest.mark.parametrize(
    ("scheme", "bound"), [("f16", 2e-3), ("bf16", 1e-2), ("q8_0", 0.04), ("q4_0", 0.6), ("q4_k", 0.4)]
)
def test_packed_weights_cost_what_their_bits_cost(tmp_path: Path, scheme: str, bound: float) -> None:
    given = wide()
    exact, packed = logits(in_memory(given)), logits(in_memory(again(given, tmp_path, scheme)))
    assert float((packed - exact).norm() / exact.norm()) < bound


def test_q4_k_is_q4_k_where_it_can_be(tmp_path: Path) -> None:
    again(wide(), tmp_path, "q4_k")
    tensors = gguf.GGUFReader(tmp_path / "model" / "small-q4_k.gguf").tensors
    kinds = {tensor.name: tensor.tensor_type.name for tensor in tensors}
    assert kinds["blk.0.attn_q.weight"] == "Q4_K"
    assert kinds["output.weight"] == "Q6_K"


def test_a_model_with_tiles_survives(tmp_path: Path) -> None:
    given = source()
    tiling = Tiling(grids=((24, 48), (48, 24)), tile=24, patches=3)
    config = given.said.config.model_copy(update={"tiling": tiling})
    newline = Held({"image_newline": torch.randn(32)})
    tensors = Held({name: part.read(name) for part in (given.tensors, newline) for name in part})
    read = again(replace(given, said=replace(given.said, config=config), tensors=tensors), tmp_path)
    assert read.said.config.tiling == tiling
    assert torch.equal(read.tensors.read("image_newline"), newline.read("image_newline"))


# One tensor at a time, and all or nothing.


class Watched(Held):
    """Asserts that what was read before is gone."""

    def __init__(self, held: dict[str, torch.Tensor]) -> None:
        super().__init__(held)
        self.last: weakref.ref[torch.Tensor] | None = None
        self.count = 0

    def read(self, name: str, dtype: Any = None, device: Any = "cpu") -> torch.Tensor:
        assert self.last is None or self.last() is None, f"{name} is read while another tensor is in memory"
        tensor = super().read(name, dtype, device).clone()
        self.last, self.count = weakref.ref(tensor), self.count + 1
        return tensor


@pytest.mark.parametrize("scheme", ["f32", "f16", "q8_0", "q4_k"])
def test_no_more_than_one_tensor_is_in_memory(tmp_path: Path, scheme: str) -> None:
    given = wide()
    watched = Watched({name: given.tensors.read(name) for name in given.tensors})
    write_gguf(replace(given, tensors=watched), tmp_path / "model", scheme)
    assert watched.count > 40


def test_a_failure_on_the_way_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any) -> Any:
        raise OSError("no space left")

    monkeypatch.setattr(gguf_write, "_readme", full)
    with pytest.raises(CheckpointError, match="no space left"):
        write_gguf(source(), tmp_path / "model", "f16")
    assert list(tmp_path.iterdir()) == []


def test_our_own_folder_is_replaced_whole(tmp_path: Path) -> None:
    write_gguf(source(), tmp_path / "model", "f16")
    write_gguf(source(), tmp_path / "model", "q8_0")
    assert sorted(path.name for path in (tmp_path / "model").iterdir()) == [
        "Modelfile", "README.md", "mmproj-model-f16.gguf", "model-q8_0.gguf",
    ]  # fmt: skip


def test_a_folder_of_somebody_elses_gguf_files_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mine.gguf").write_bytes(b"GGUF")
    with pytest.raises(CheckpointError, match=r"holds other files, such as mine\.gguf"):
        write_gguf(source(), tmp_path, "f16")


def test_the_folder_says_how_it_is_used(tmp_path: Path) -> None:
    write_gguf(source(), tmp_path / "small", "q4_k")
    modelfile = (tmp_path / "small" / "Modelfile").read_text()
    for line in ("FROM ./small-q4_k.gguf", "FROM ./mmproj-small-f16.gguf", 'PARAMETER stop "</s>"'):
        assert line in modelfile.splitlines()
    assert 'TEMPLATE """' in modelfile
    readme = (tmp_path / "small" / "README.md").read_text()
    for command in (
        "ollama create small -f Modelfile",
        "llama-mtmd-cli -m small-q4_k.gguf --mmproj mmproj-small-f16.gguf",
        "llamafile -m small-q4_k.gguf",
    ):
        assert command in readme


# What llama.cpp would compute otherwise than we do is refused.


def changed(**values: Any) -> Source:
    given = source()
    config = given.said.config
    language = {k: v for k, v in values.items() if k in type(config.language).model_fields}
    rest = {k: v for k, v in values.items() if k not in language}
    config = config.model_copy(update=rest | {"language": config.language.model_copy(update=language)})
    return replace(given, said=replace(given.said, config=config))


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({"connector": "linear"}, "does not know the connector 'linear'"),
        ({"connector_bias": False}, "a connector without biases"),
        ({"connector_act": "silu"}, "the activation 'silu' in a connector"),
        ({"hidden_act": "gelu"}, "the activation 'gelu' in a language model"),
        ({"feature_layer": 0}, "features from before the vision tower's first block"),
        ({"feature_select": "full"}, "feature_select 'full' with a vision tower of clip"),
        ({"qk_norm": True, "qkv_bias": True}, "both norms and biases"),
        ({"quantization": Quantization(scheme="int8")}, "is quantised already: start from the model as"),
    ],
)  # fmt: skip
def test_a_model_that_llama_cpp_has_no_code_for_is_refused(
    tmp_path: Path, values: dict[str, Any], says: str
) -> None:
    with pytest.raises(CheckpointError, match=says):
        write_gguf(changed(**values), tmp_path / "model", "f16")
    assert list(tmp_path.iterdir()) == []


def test_a_model_whose_template_nobody_knows_is_refused(tmp_path: Path) -> None:
    given = source()
    given = replace(given, said=replace(given.said, template=None))
    with pytest.raises(CheckpointError, match="name it with --template"):
        write_gguf(given, tmp_path / "model", "f16")


def test_weights_too_large_for_16_bits_are_said(tmp_path: Path) -> None:
    given = source()
    held = {name: given.tensors.read(name).clone() for name in given.tensors}
    held["connector.linear_1.weight"][0, 0] = 1e6
    with pytest.raises(CheckpointError, match=r"mm\.0\.weight holds values too large for f16"):
        write_gguf(replace(given, tensors=Held(held)), tmp_path / "model", "f16")
    assert list(tmp_path.iterdir()) == []


def test_an_unknown_scheme_names_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"unknown scheme 'q4_K' \(did you mean 'q4_k'\?\)"):
        write_gguf(source(), tmp_path / "model", "q4_K")


def test_provenance_is_json(tmp_path: Path) -> None:
    again(source(), tmp_path)
    field = gguf.GGUFReader(tmp_path / "model" / "small-f32.gguf").fields["llavakit.provenance"]
    assert json.loads(field.contents())["note"] == "naïve"
