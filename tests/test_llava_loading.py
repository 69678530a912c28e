"""`LLaVA.from_pretrained`: where a model goes, in what type, and what is said when it cannot."""

import subprocess
import sys

import psutil
import pytest
import torch

from checkpoint.small import checkpoint, edit_json, photo
from llavakit import LLaVA
from llavakit.checkpoint import save
from llavakit.config import LanguageConfig, LlavaConfig, VisionConfig
from llavakit.errors import CheckpointError, LlavaError, UsageError
from llavakit.llava import quantization
from llavakit.memory import memory_needed

SEVEN_BILLION = LlavaConfig(
    vision=VisionConfig(), language=LanguageConfig(vocab_size=32064), image_token_id=32000
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("loading") / "model"
    save(checkpoint(), folder, dtype=torch.bfloat16)
    return folder


def types(llava) -> set[torch.dtype]:
    return {p.dtype for p in llava.model.parameters()}


def test_a_folder_loads_and_answers(folder):
    llava = LLaVA.from_pretrained(folder)
    assert llava.name == str(folder)
    reply = llava.generate("w5 w6", images=[photo()], max_new_tokens=3, temperature=0)
    assert reply.usage.image_tokens == llava.config.tokens_per_image == 9
    assert 1 <= reply.usage.completion_tokens <= 3


def test_a_path_may_be_a_string_and_may_begin_at_home(folder, monkeypatch):
    monkeypatch.setenv("HOME", str(folder.parent))
    assert LLaVA.from_pretrained("~/model").config == LLaVA.from_pretrained(str(folder)).config


def test_auto_is_float32_on_a_cpu_with_room(folder):
    assert types(LLaVA.from_pretrained(folder, device="cpu")) == {torch.float32}


def test_auto_is_bfloat16_on_a_cpu_where_float32_would_take_more_than_half(folder, monkeypatch):
    class Tight:
        available = 1.5 * memory_needed(LLaVA.from_pretrained(folder).config, torch.float32)

    monkeypatch.setattr(psutil, "virtual_memory", Tight)
    assert types(LLaVA.from_pretrained(folder, device="cpu")) == {torch.bfloat16}


@pytest.mark.parametrize("dtype", ["float16", "torch.float16", torch.float16])
def test_a_dtype_is_a_word_or_torchs(folder, dtype):
    assert types(LLaVA.from_pretrained(folder, device="cpu", dtype=dtype)) == {torch.float16}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"dtype": "bfloat"}, "unknown dtype 'bfloat' .did you mean 'bfloat16'"),
        ({"dtype": torch.int8}, "unknown dtype 'torch.int8'"),
        ({"dtype": "int8"}, "unknown dtype 'int8'"),
        ({"device": "banana"}, "device 'banana' cannot be used here"),
        ({"device": "cuda:99"}, "device 'cuda:99' cannot be used here"),
        ({"device": "meta"}, "device 'meta' cannot be used here"),
        ({"quantize": "int5"}, "unknown quantisation 'int5' .did you mean 'int"),
        ({"template": "vicuna"}, "unknown template 'vicuna' .did you mean 'vicuna_v1'"),
    ],
    ids=str,
)
def test_an_argument_that_names_nothing_is_the_users_mistake(folder, arguments, message):
    with pytest.raises(UsageError, match=message) as caught:
        LLaVA.from_pretrained(folder, **arguments)
    assert "\n" not in str(caught.value)


def test_arguments_are_checked_before_anything_is_looked_up(tmp_path):
    for arguments in ({"dtype": "x"}, {"device": "x"}, {"quantize": "x"}, {"template": "x"}):
        with pytest.raises(UsageError, match="'x'"):
            LLaVA.from_pretrained("no_such_model", **arguments)


def test_a_model_that_does_not_exist_is_the_users_mistake_and_half_of_one_is_not(tmp_path):
    with pytest.raises(UsageError, match="no model 'no_such_model'"):
        LLaVA.from_pretrained("no_such_model")
    with pytest.raises(CheckpointError, match=r"has no config\.json"):
        LLaVA.from_pretrained(tmp_path)


@pytest.mark.parametrize(
    ("quantize", "remedy"),
    [(None, "--quantize int8 or int4"), ("int8", "--quantize int4"), ("int4", "a smaller model")],
)
def test_a_model_that_does_not_fit_is_refused_before_its_weights_are_read(tmp_path, quantize, remedy):
    """Its config.json says how large it is, 64 times this machine's memory."""
    save(checkpoint(), tmp_path / "model")
    layers = 64 * psutil.virtual_memory().total // (4 * 4 * 16384**2)
    text = {"model_type": "llama", "vocab_size": 97, "hidden_size": 16384, "intermediate_size": 16384,
            "num_attention_heads": 128, "num_hidden_layers": int(layers / 2)}  # fmt: skip
    edit_json(tmp_path / "model" / "config.json", text_config=text)
    with pytest.raises(LlavaError, match=rf"needs \d+\.\d GB of memory and \d+\.\d GB is free: try {remedy}"):
        LLaVA.from_pretrained(tmp_path / "model", device="cpu", quantize=quantize)


def test_weights_are_counted_without_making_them():
    assert memory_needed(SEVEN_BILLION, torch.float32) == 4 * 7_063_427_072  # as transformers counts them


@pytest.mark.parametrize("quantize", [None, "int8", "int4"])
def test_the_memory_foretold_is_the_memory_taken(folder, quantize):
    llava = LLaVA.from_pretrained(folder, device="cpu", dtype="float32", quantize=quantize)
    taken = sum(t.nbytes for t in (*llava.model.parameters(), *llava.model.buffers()))
    assert taken == memory_needed(llava.config, torch.float32)


def test_a_seven_billion_in_four_bits_fits_where_the_articles_promise(folder):
    four = SEVEN_BILLION.model_copy(update={"quantization": quantization("int4")})
    assert memory_needed(four, torch.bfloat16) < 4.3e9


@pytest.mark.parametrize("quantize", ["int8", "int4"])
def test_a_quantised_model_answers(folder, quantize):
    llava = LLaVA.from_pretrained(folder, device="cpu", dtype="float32", quantize=quantize)
    blocks = llava.model.language_model.layers
    packed = {t.dtype for t in blocks.state_dict().values()}
    assert packed & {torch.int8, torch.uint8}
    assert llava.model.connector.linear_1.weight.dtype == torch.float32
    assert llava.generate("w5", max_new_tokens=2, temperature=0).usage.completion_tokens >= 1


def test_an_int8_model_says_nearly_what_the_whole_one_says(folder):
    ids = torch.arange(4, 20)[None]
    whole = LLaVA.from_pretrained(folder, device="cpu", dtype="float32").model(ids)
    packed = LLaVA.from_pretrained(folder, device="cpu", dtype="float32", quantize="int8").model(ids)
    # 1/254 of the largest weight of a row at each of 14 layers, against logits of deviation 1.4
    assert float((whole - packed).abs().mean()) < 0.05 * float(whole.std())


def test_the_template_of_the_folder_is_used_unless_another_is_named(folder):
    assert LLaVA.from_pretrained(folder).encoder.template.name == "vicuna_v1"
    assert LLaVA.from_pretrained(folder, template="chatml").encoder.template.name == "chatml"


def test_importing_the_package_does_not_import_transformers():
    code = "import sys, llavakit; llavakit.LLaVA; sys.exit('transformers' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize("value", [0, -100, 1.5, "100"])
def test_a_cache_of_no_size_is_refused(value):
    with pytest.raises(UsageError, match=r"cache_tokens is .*: it must be a whole number, 1 or more"):
        LLaVA.from_pretrained("tiny", cache_tokens=value)


@pytest.mark.parametrize(
    "settings",
    [
        {"quantize": 8},
        {"backend": "opnvino"},
        {"device": 3.5},
        {"image_tokens": 100000},
        {"image_tokens": "x"},
    ],
    ids=str,
)
def test_settings_that_mean_nothing_are_refused_in_a_sentence(settings):
    with pytest.raises(UsageError):
        LLaVA.from_pretrained("tiny", **settings)
