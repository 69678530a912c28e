"""Files of llama.cpp's converters: transformers is the oracle.

Tolerance 1e-4 on logits of size 1 to 10, as in test_transformers_folders.py.
"""

import random
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest
import torch

from checkpoint import gguf_files
from checkpoint.gguf_files import converted, language_values, vision_values, words, write
from checkpoint.small import question
from llavakit.checkpoint import describe, load
from llavakit.checkpoint.gguf_file import GGUFTensors, read_header
from llavakit.checkpoint.gguf_read import describe_gguf, open_gguf
from llavakit.checkpoint.source import Source
from llavakit.checkpoint.weights import load_into
from llavakit.config import RopeScaling, Tiling
from llavakit.errors import CheckpointError, UsageError
from llavakit.model import Llava
from llavakit.model.language.rope import rope_frequencies
from model.reference import TEXT_CLASSES, gap, hf_llava, hf_logits

TOLERANCE = 1e-4


def in_memory(source: Source) -> Llava:
    """The model of a source in float32."""
    with torch.device("meta"):
        model = Llava(source.said.config)
    head, words = "language_model.lm_head.weight", "language_model.embed_tokens.weight"
    tied = {head: words} if source.said.config.language.tie_word_embeddings else {}
    load_into(model, source.tensors, torch.float32, torch.device("cpu"), str(source.said.folder), tied)
    model.language_model.reset_buffers("cpu")
    return model.eval()


def logits_gap(hf_model: Any, model: Llava) -> float:
    ids, pixels = question(model.config)
    with torch.no_grad():
        return gap(model(ids, pixels), hf_logits(hf_model, ids, pixels))


@pytest.mark.parametrize("vision", ["clip", "siglip"])
@pytest.mark.parametrize("family", TEXT_CLASSES)
def test_a_converted_model_gives_the_same_logits_here(tmp_path: Path, family: str, vision: str) -> None:
    window = {"sliding_window": None} if family == "mistral" else {}  # llama.cpp's converter loses it
    hf_model, path = converted(tmp_path, family, vision, feature_layer=-2, **window)
    assert logits_gap(hf_model, in_memory(open_gguf(path))) < TOLERANCE


def test_the_feed_forward_layers_of_a_tower_have_their_right_names_in_new_files(tmp_path: Path) -> None:
    hf_model, path = converted(tmp_path, old=False)
    assert logits_gap(hf_model, in_memory(open_gguf(path))) < TOLERANCE


def test_the_last_block_that_the_file_holds_gives_the_features(tmp_path: Path) -> None:
    _, path = converted(tmp_path)
    config = describe_gguf(path).config
    assert (config.vision.num_hidden_layers, config.feature_layer) == (2, -1)  # of three, and layer -2


def test_a_file_that_names_its_feature_layer_is_believed(tmp_path: Path) -> None:
    hf_model, path = converted(tmp_path, feature_layer=1)
    _, config = hf_llava()
    _, rest = gguf_files.tensors(hf_model, config, "llama", old=True)
    values = vision_values(config) | {"clip.vision.feature_layer": [1]}
    write(tmp_path / "mmproj-model-f16.gguf", "clip", values, rest)
    assert logits_gap(hf_model, in_memory(open_gguf(path))) < TOLERANCE


def test_a_model_without_an_output_head_shares_the_embedding(tmp_path: Path) -> None:
    hf_model, path = converted(tmp_path, "qwen2", tie_word_embeddings=True)
    model = in_memory(open_gguf(path))
    assert model.language_model.lm_head.weight is model.language_model.embed_tokens.weight
    assert logits_gap(hf_model, model) < TOLERANCE


def test_a_vocabulary_without_an_image_token_gets_one_behind_it(tmp_path: Path) -> None:
    hf_model, path = converted(tmp_path)
    _, config = hf_llava()
    architecture, values = language_values("llama", config)
    model, _ = gguf_files.tensors(hf_model, config, architecture, old=True)
    model |= {name: model[name][:96] for name in ("token_embd.weight", "output.weight")}
    source = open_gguf(write(path, architecture, values | words(image=False), model))
    assert source.tokenizer.image_token_id == source.said.config.image_token_id == 96
    ids, pixels = question(source.said.config)
    with torch.no_grad():  # the words' logits; the row of the image token is zero
        assert (
            gap(in_memory(source)(ids, pixels)[..., :96], hf_logits(hf_model, ids, pixels)[..., :96])
            < TOLERANCE
        )


@pytest.mark.parametrize(
    ("scaling", "values"),
    [
        ({"rope_type": "linear", "factor": 2.0}, {"type": "linear", "factor": 2.0}),
        (
            {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 64},
            {"type": "yarn", "factor": 4.0, "original_context_length": 64},
        ),
    ],
    ids=["linear", "yarn"],
)
def test_stretched_positions_are_read(
    tmp_path: Path, scaling: dict[str, Any], values: dict[str, Any]
) -> None:
    hf_model, path = converted(tmp_path, rope_scaling=scaling)
    _, config = hf_llava()
    architecture, numbers = language_values("llama", config)
    numbers |= {f"llama.rope.scaling.{key}": value for key, value in values.items()}
    model, _ = gguf_files.tensors(hf_model, config, architecture, old=True)
    write(path, architecture, numbers, model)
    assert logits_gap(hf_model, in_memory(open_gguf(path))) < TOLERANCE


LLAMA_3 = {"factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0}


@pytest.mark.parametrize(
    ("numbers", "scaling"),
    [
        ({"head_dim": 128, "rope_theta": 500000.0}, LLAMA_3 | {"original_max_position_embeddings": 8192}),
        ({"head_dim": 64, "rope_theta": 500000.0},
         LLAMA_3 | {"factor": 32.0, "original_max_position_embeddings": 8192}),
        ({"head_dim": 64}, {"factor": 3.0, "low_freq_factor": 2.0, "high_freq_factor": 5.0,
                            "original_max_position_embeddings": 300}),
        ({}, LLAMA_3 | {"original_max_position_embeddings": 8}),  # one frequency of four between the bounds
        ({}, LLAMA_3 | {"original_max_position_embeddings": 900, "high_freq_factor": 1.1}),  # none
    ],
    ids=str,
)  # fmt: skip
def test_the_numbers_behind_llama_3s_divisors_are_found(
    tmp_path: Path, numbers: dict[str, Any], scaling: dict[str, Any]
) -> None:
    hf_model, config = hf_llava(**numbers, rope_scaling=RopeScaling(rope_type="llama3", **scaling))
    stretched, _ = rope_frequencies(config.language)
    plain, _ = rope_frequencies(config.language.model_copy(update={"rope_scaling": None}))
    architecture, values = language_values("llama", config)
    model, rest = gguf_files.tensors(hf_model, config, architecture, old=True)
    write(tmp_path / "mmproj.gguf", "clip", vision_values(config), rest)
    path = write(tmp_path / "m.gguf", architecture, values, model | {"rope_freqs.weight": plain / stretched})
    found, _ = rope_frequencies(describe_gguf(path).config.language)
    assert torch.allclose(found, stretched, rtol=1e-4, atol=0)


def test_divisors_of_another_kind_are_refused(tmp_path: Path) -> None:
    hf_model, path = converted(tmp_path)
    _, config = hf_llava()
    architecture, values = language_values("llama", config)
    model, _ = gguf_files.tensors(hf_model, config, architecture, old=True)
    write(path, architecture, values, model | {"rope_freqs.weight": torch.tensor([1.0, 5.0, 2.0, 9.0])})
    assert "rope_freqs.weight" in message(path)


def test_tiles_of_llava_1_6_are_read(tmp_path: Path) -> None:
    hf_model, path = converted(tmp_path)
    _, config = hf_llava()
    _, rest = gguf_files.tensors(hf_model, config, "llama", old=True)
    values = vision_values(config) | {
        "clip.vision.image_grid_pinpoints": [24, 48, 48, 24, 72, 24],
        "clip.vision.mm_patch_merge_type": "spatial_unpad",
    }
    newline = torch.randn(32)
    write(tmp_path / "mmproj-model-f16.gguf", "clip", values, rest | {"model.image_newline": newline})
    source = open_gguf(path)
    grids = ((48, 24), (24, 48), (24, 72))  # (height, width)
    assert source.said.config.tiling == Tiling(grids=grids, tile=24, patches=3)
    assert torch.equal(in_memory(source).image_newline, newline)


def test_pictures_are_padded_as_llama_cpp_does(tmp_path: Path) -> None:
    _, path = converted(tmp_path)
    image = describe_gguf(path).image
    assert (image.size, image.pad, image.mean) == (24, True, (0.48145467, 0.4578275, 0.40821072))


def test_the_template_follows_from_the_architecture_unless_the_file_says(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    assert describe_gguf(converted(tmp_path / "a")[1]).template == "vicuna_v1"
    _, path = converted(tmp_path / "b", "qwen2")
    assert describe_gguf(path).template == "chatml"
    hf_model, config = hf_llava("qwen2")
    architecture, values = language_values("qwen2", config)
    model, _ = gguf_files.tensors(hf_model, config, architecture, old=True)
    write(path, architecture, values | {"llavakit.template": "plain"}, model)
    assert describe_gguf(path).template == "plain"


def test_both_end_tokens_end_an_answer(tmp_path: Path) -> None:
    hf_model, path = converted(tmp_path)
    _, config = hf_llava()
    architecture, values = language_values("llama", config)
    model, _ = gguf_files.tensors(hf_model, config, architecture, old=True)
    write(path, architecture, values | {"tokenizer.ggml.eot_token_id": 7}, model)
    assert describe_gguf(path).eos_token_ids == (2, 7)


QUANTISED = ["Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q8_0", "BF16", "F16", "F32"]
WITHOUT_QUANTISER = ["Q2_K", "Q3_K", "Q4_K", "Q5_K", "Q6_K", "IQ4_NL", "IQ4_XS"]


@pytest.mark.parametrize("kind", QUANTISED + WITHOUT_QUANTISER)
def test_a_packed_tensor_is_what_the_gguf_package_makes_of_it(tmp_path: Path, kind: str) -> None:
    number = gguf.GGMLQuantizationType[kind]
    rng = np.random.default_rng(0)
    if kind in QUANTISED:
        packed = gguf.quantize(rng.standard_normal((6, 512), np.float32), number)
    else:  # any bytes are some weights; scales of 16 bits must not be infinite
        block, size = gguf.GGML_QUANT_SIZES[number]
        packed = rng.integers(0, 60, (6, 512 // block * size), dtype=np.uint8)
    path = write(
        tmp_path / "x.gguf", "llama", {}, {"a": torch.ones(3), "w": (kind, packed), "b": torch.ones(5)}
    )
    tensors = GGUFTensors(read_header(path))
    assert tensors.shape("w") == (6, 512)
    expected = torch.from_numpy(np.array(gguf.dequantize(packed, number)))
    assert torch.equal(tensors.read("w", torch.float32), expected)
    assert torch.equal(tensors.read("w"), expected.to(tensors.dtype("w")))
    assert torch.equal(tensors.read("b"), torch.ones(5))


def test_weights_that_are_not_packed_stay_in_their_type_and_mapped(tmp_path: Path) -> None:
    stored = torch.randn(4, 32).half()
    path = write(tmp_path / "x.gguf", "llama", {}, {"w": stored})
    tensors = GGUFTensors(read_header(path))
    first = tensors.read("w")
    assert first.dtype == torch.float16
    first.zero_()  # in memory alone: the file is another's
    assert torch.equal(tensors.read("w"), stored)


def test_the_header_is_read_as_the_gguf_package_reads_it(tmp_path: Path) -> None:
    values: dict[str, Any] = {
        "a.u8": ("UINT8", 200), "a.i8": ("INT8", -100), "a.u16": ("UINT16", 60000), "a.i16": ("INT16", -9),
        "a.u32": 4_000_000_000, "a.i32": ("INT32", -5), "a.u64": ("UINT64", 2**63), "a.i64": ("INT64", -5),
        "a.f32": 1e-5, "a.f64": ("FLOAT64", 1e-300), "a.bool": True, "a.text": "naïve ▁ 中",
        "a.numbers": [1, -2, 3], "a.reals": [0.5, -0.25], "a.texts": ["a", "", "é"], "a.flags": [True, False],
    }  # fmt: skip
    tensors = {"x": torch.randn(3, 5, 2), "y": torch.randn(7)}
    path = write(tmp_path / "x.gguf", "llama", values, tensors)
    ours, theirs = read_header(path), gguf.GGUFReader(path)
    fields = {key: field.contents() for key, field in theirs.fields.items() if not key.startswith("GGUF.")}
    assert fields.keys() == ours.metadata.keys()
    for key, value in fields.items():
        assert np.array_equal(np.asarray(ours.metadata[key]), np.asarray(value)) or key == "a.f32"
    assert ours.metadata["a.f32"] == 1e-5  # the decimal that was meant
    for tensor in theirs.tensors:
        place = ours.tensors[tensor.name]
        assert (place.offset, place.size) == (tensor.data_offset, tensor.n_bytes)
        assert torch.equal(GGUFTensors(ours).read(tensor.name), tensors[tensor.name])


# Loading goes by the file's name, and by what a folder holds.


def test_a_gguf_file_and_its_folder_are_loaded_as_any_model_is(tmp_path: Path) -> None:
    hf_model, path = converted(tmp_path)
    for named in (path, str(path), tmp_path):
        loaded = load(named, dtype=torch.float32)
        assert logits_gap(hf_model, loaded.model) < TOLERANCE
        assert describe(named).config == loaded.model.config
    assert load(path, template="chatml").template == "chatml"


def test_the_mmproj_is_the_vision_tower_that_can_be_named(tmp_path: Path) -> None:
    hf_model, path = converted(tmp_path)
    (tmp_path / "elsewhere").mkdir()
    mmproj = mmproj_of(path).rename(tmp_path / "elsewhere" / "vision.gguf")
    loaded = load(path, dtype=torch.float32, vision_tower=mmproj)
    assert logits_gap(hf_model, loaded.model) < TOLERANCE
    assert describe(path, vision_tower=mmproj).config == loaded.model.config


def test_a_packed_model_is_loaded_in_16_bits_unless_told_otherwise(tmp_path: Path) -> None:
    _, path = converted(tmp_path)
    packed = gguf.quantize(torch.randn(97, 32).numpy(), gguf.GGMLQuantizationType.Q8_0)
    rewritten(path, {}, **{"token_embd.weight": ("Q8_0", packed)})
    assert next(load(path).model.parameters()).dtype == torch.float16


def test_a_folder_of_two_models_is_ambiguous(tmp_path: Path) -> None:
    _, path = converted(tmp_path)
    path.with_name("other.gguf").write_bytes(path.read_bytes())
    with pytest.raises(
        CheckpointError, match=r"one model's \.gguf, not model\.gguf, other\.gguf: name the file"
    ):
        load(tmp_path)


# What is wrong with a file is said in one sentence.


def message(path: Path, mmproj: Path | None = None) -> str:
    with pytest.raises(CheckpointError) as caught:
        open_gguf(path, mmproj)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return converted(tmp_path)[1]


def rewritten(path: Path, changes: dict[str, Any], architecture: str = "llama", **tensors: Any) -> None:
    """The same file with some of its metadata other; None leaves a key out."""
    file = read_header(path)
    old = {key: value for key, value in file.metadata.items() if key != "general.architecture"}
    kept = {name: GGUFTensors(file).read(name).clone() for name in file.tensors}
    values = {key: value for key, value in (old | changes).items() if value is not None}
    write(path, architecture, values, kept | tensors)


def mmproj_of(path: Path) -> Path:
    return path.with_name("mmproj-model-f16.gguf")


@pytest.mark.parametrize("content", [b"", b"not a model at all", b"\x80\x02}q\x00.", b"GGML" * 20])
def test_what_is_no_gguf_file_is_said(model: Path, content: bytes) -> None:
    model.write_bytes(content)
    assert "GGUF file" in message(model)


@pytest.mark.parametrize("keep", [5, 20, 100, 2000, 0.5, 0.9, -1])
def test_a_file_cut_short_is_said(model: Path, keep: float) -> None:
    data = model.read_bytes()
    model.write_bytes(data[: int(len(data) * keep)] if isinstance(keep, float) else data[:keep])
    assert "is not a whole GGUF file" in message(model)


def test_another_version_is_said(model: Path) -> None:
    data = model.read_bytes()
    model.write_bytes(data[:4] + (1).to_bytes(4, "little") + data[8:])
    assert "GGUF version 1 is not supported" in message(model)


def test_another_architecture_is_said(model: Path) -> None:
    rewritten(model, {}, architecture="bert")
    assert "llavakit has no 'bert'" in message(model)


def test_a_mixture_of_experts_is_refused(model: Path) -> None:
    rewritten(model, {"llama.expert_count": 8})
    assert "mixture of experts" in message(model)


def test_a_missing_mmproj_is_said_with_the_remedy(model: Path) -> None:
    mmproj_of(model).unlink()
    assert "no mmproj*.gguf stands beside it: name the mmproj file with --vision-tower" in message(model)


def test_two_mmproj_are_one_too_many(model: Path) -> None:
    mmproj_of(model).with_name("mmproj-b.gguf").write_bytes(mmproj_of(model).read_bytes())
    assert "mmproj-b.gguf, mmproj-model-f16.gguf stand beside it" in message(model)
    assert open_gguf(model, mmproj_of(model)).said.config.vision.image_size == 24


def test_an_mmproj_in_place_of_the_model_is_said(model: Path) -> None:
    assert "is the vision half of a model" in message(mmproj_of(model))


def test_a_model_in_place_of_the_mmproj_is_said(model: Path) -> None:
    assert "is no mmproj: its architecture is 'llama'" in message(model, model)


def test_the_mmproj_of_a_wider_model_is_said(model: Path, tmp_path: Path) -> None:
    (tmp_path / "wide").mkdir()
    converted(tmp_path / "wide", hidden_size=40, head_dim=10)
    wrong = tmp_path / "wide" / "mmproj-model-f16.gguf"
    assert "makes features of width 40, the language model takes 32" in message(model, wrong)


@pytest.mark.parametrize("projector", ["ldp", "ldpv2", "resampler", "qwen2vl_merger"])
def test_another_projector_is_said(model: Path, projector: str) -> None:
    rewritten(mmproj_of(model), {"clip.projector_type": projector}, "clip")
    assert f"a projector of type '{projector}' is not supported" in message(model)


def test_a_projector_with_norms_is_said_although_it_is_called_mlp(model: Path) -> None:
    rewritten(mmproj_of(model), {}, "clip", **{"mm.3.weight": torch.zeros(2, 2)})
    assert "a projector of type 'mlp_norm' is not supported" in message(model)


def test_several_feature_layers_are_refused(model: Path) -> None:
    rewritten(mmproj_of(model), {"clip.vision.feature_layer": [1, 2]}, "clip")
    assert "feature_layer is [1, 2]" in message(model)


@pytest.mark.parametrize(
    "key", ["llama.block_count", "llama.context_length", "llama.attention.head_count",
            "llama.attention.layer_norm_rms_epsilon"],
)  # fmt: skip
def test_a_missing_number_is_named(model: Path, key: str) -> None:
    rewritten(model, {key: None})
    assert f"does not say {key}" in message(model)


@pytest.mark.parametrize(
    "key", ["clip.vision.image_size", "clip.vision.block_count", "clip.vision.image_mean"]
)
def test_a_missing_number_of_the_tower_is_named(model: Path, key: str) -> None:
    rewritten(mmproj_of(model), {key: None}, "clip")
    assert f"does not say {key}" in message(model)


def test_more_tokens_than_embeddings_are_said(model: Path) -> None:
    rewritten(model, {"tokenizer.ggml.tokens": [str(i) for i in range(98)]})
    assert "has 98 tokens and embeddings for 97" in message(model)


@pytest.mark.parametrize("value", ["many", [1, 2], 0])
def test_a_number_of_the_wrong_kind_is_said(model: Path, value: Any) -> None:
    rewritten(model, {"llama.attention.head_count": value})
    assert str(model) in message(model)


def test_a_stretching_that_we_do_not_know_is_said(model: Path) -> None:
    rewritten(model, {"llama.rope.scaling.type": "longrope", "llama.rope.scaling.factor": 2.0})
    assert "rope_type" in message(model)


def test_an_unknown_template_names_the_nearest(model: Path) -> None:
    rewritten(model, {"llavakit.template": "vicuna_v11"})
    assert "did you mean 'vicuna_v1'" in message(model)


@pytest.mark.parametrize("which", ["model.gguf", "mmproj-model-f16.gguf"])
def test_damage_anywhere_in_a_header_is_read_or_refused_but_never_a_traceback(
    model: Path, which: str
) -> None:
    path = model.with_name(which)
    data, rng = path.read_bytes(), random.Random(0)
    refused = 0
    for _ in range(100):
        spoilt = bytearray(data)
        for _ in range(rng.choice([1, 2, 8])):
            spoilt[rng.randrange(4, 4000)] = rng.choice([0, 1, 255, rng.randrange(256)])
        path.write_bytes(spoilt)
        try:
            open_gguf(model)
        except CheckpointError as error:
            refused += 1
            assert "\n" not in str(error)
    assert refused > 20


def test_without_the_gguf_package_the_extra_is_named(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "gguf", None)
    with pytest.raises(UsageError, match=r"pip install 'llavakit\[gguf\]'"):
        open_gguf(model)
