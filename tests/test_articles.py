"""The code of the two tutorials that people have read, on a small model: same names, same behaviour.

Interfaces only; what a model of this package's own says is tested where it is trained.
"""

import functools
import http.server
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

import llavakit
from assemble import picture, random_llava
from llavakit import LLaVAChatBot, pipeline
from llavakit.errors import MediaError, UsageError
from llavakit.model.quantised import Int4Linear, Int8Linear

EMBEDDED = Path(llavakit.__file__).parent / "tiny" / "weights" / "config.json"
PROMPT = "USER: <image>\nDescribe this picture\nASSISTANT:"
SYSTEM = (
    "A chat between a curious user and an artificial intelligence assistant. "
    "The assistant gives helpful, detailed, and polite answers to the user's questions. "
)


@pytest.fixture
def bot(saved_llava: Path) -> LLaVAChatBot:
    return LLaVAChatBot(str(saved_llava), device_map="cpu", load_in_8_bit=False)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    picture().save(tmp_path / "tiger.png")
    return tmp_path


@pytest.fixture
def site(folder: Path) -> Iterator[str]:
    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=folder))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


# The chatbot class


def test_a_chat_about_a_picture_from_a_path(bot, folder):
    first = bot.start_new_chat(str(folder / "tiger.png"), "What is this?", max_new_tokens=10, do_sample=False)
    second = bot.continue_chat("What is unique about it?", max_new_tokens=10, do_sample=False)
    assert bot.get_conv_text() == (
        f"{SYSTEM}USER: <image>\nWhat is this? ASSISTANT: {first}</s>"
        f"USER: What is unique about it? ASSISTANT: {second}</s>"
    )
    expected = random_llava("vicuna_v1").chat(picture())
    assert first == expected.ask("What is this?", max_new_tokens=10).text
    assert second == expected.ask("What is unique about it?", max_new_tokens=10).text


def test_a_chat_about_a_picture_from_the_web(bot, folder, site):
    said = bot.start_new_chat(site + "/tiger.png", "What is this?", max_new_tokens=10, do_sample=False)
    assert said == bot.start_new_chat(
        folder / "tiger.png", "What is this?", max_new_tokens=10, do_sample=False
    )
    with pytest.raises(MediaError, match="404"):
        bot.start_new_chat(site + "/lion.png", "What is this?")


def test_a_new_chat_forgets_the_old_one(bot, folder):
    bot.start_new_chat(folder / "tiger.png", "What is this?", max_new_tokens=5)
    bot.start_new_chat(picture(1), "And this?", max_new_tokens=5)
    assert "What is this?" not in bot.get_conv_text()


@pytest.mark.parametrize("action", [lambda b: b.continue_chat("And?"), lambda b: b.generate_answer()])
def test_nothing_can_be_continued_before_a_chat_is_started(bot, action):
    assert bot.get_conv_text() == ""
    with pytest.raises(RuntimeError, match="start_new_chat"):
        action(bot)


def test_the_defaults_of_the_tutorial_sample_at_0_2_and_a_seed_repeats_them(bot, folder):
    # A random model is so sure of nothing that even temperature 0.2 varies.
    said = {bot.start_new_chat(folder / "tiger.png", "What?", max_new_tokens=40, seed=i) for i in range(3)}
    assert len(said) == 3
    again = bot.start_new_chat(folder / "tiger.png", "What?", max_new_tokens=40, seed=0)
    assert again in said
    chat = bot.llava.chat(folder / "tiger.png")
    assert again == chat.ask("What?", max_new_tokens=40, temperature=0.2, seed=0).text


def test_generate_answer_answers_the_last_question_anew(bot, folder):
    first = bot.start_new_chat(folder / "tiger.png", "What?", max_new_tokens=10, do_sample=False)
    before = bot.get_conv_text()
    assert bot.generate_answer(max_new_tokens=10, do_sample=False) == first
    assert bot.get_conv_text() == before
    assert bot.generate_answer(max_new_tokens=4, do_sample=False) == first[:4]


def test_without_use_cache_the_answers_are_the_same(bot, folder):
    def talk(**settings) -> list[str]:
        settings |= {"max_new_tokens": 10, "do_sample": False}
        start = bot.start_new_chat(folder / "tiger.png", "What?", **settings)
        return [start, bot.continue_chat("Why?", **settings)]

    assert talk(use_cache=False) == talk(use_cache=True)


def test_the_attributes_of_the_tutorial_are_there(bot, folder):
    assert (bot.conv, bot.conv_img, bot.img_tensor) == (None, None, None)
    bot.setup_image(str(folder / "tiger.png"))
    assert bot.conv_img.size == (40, 30)
    assert bot.img_tensor.shape == (1, 3, 32, 32)
    assert bot.roles == ("USER", "ASSISTANT")
    assert bot.stop_key == "</s>"
    assert isinstance(bot.model, torch.nn.Module)
    assert bot.tokenizer.decode(bot.tokenizer.encode("tiger")) == "tiger"
    assert bot.image_processor.size == 32
    bot.start_new_chat(picture(), "What?", max_new_tokens=2)
    assert bot.conv is not None


@pytest.mark.parametrize(
    ("arguments", "kind"),
    [
        ({}, Int8Linear),  # the default of the tutorial
        ({"load_in_8_bit": False, "load_in_4bit": True, "bnb_4bit_compute_dtype": torch.float32}, Int4Linear),
        ({"load_in_4bit": True, "bnb_4bit_quant_type": "nf4", "bnb_4bit_use_double_quant": True}, Int4Linear),
        ({"load_in_8_bit": False}, torch.nn.Linear),
    ],
)
def test_the_bot_loads_in_8_or_4_bits(saved_llava, arguments, kind):
    bot = LLaVAChatBot(model_path=saved_llava, device_map={"": "cpu"}, **arguments)
    assert isinstance(bot.model.language_model.layers[0].self_attn.q_proj, kind)
    assert bot.start_new_chat(picture(), "What?", max_new_tokens=3)


def test_a_mistyped_quantisation_setting_is_named_with_its_nearest(saved_llava):
    with pytest.raises(UsageError, match="did you mean 'load_in_4bit'"):
        LLaVAChatBot(saved_llava, load_in_4bits=True)


def test_a_mistyped_generation_setting_is_named_with_its_nearest(bot):
    with pytest.raises(UsageError, match="did you mean 'top_p'"):
        bot.start_new_chat(picture(), "What?", topp=0.5)


# The pipeline


@pytest.mark.parametrize("as_dict", [False, True])
def test_the_pipeline_in_4_bits(saved_llava, as_dict):
    if as_dict:
        config = {"load_in_4bit": True, "bnb_4bit_compute_dtype": torch.float16}
    else:
        from transformers import BitsAndBytesConfig

        config = BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_compute_dtype=torch.bfloat16)
    pipe = pipeline("image-to-text", model=str(saved_llava), model_kwargs={"quantization_config": config})
    assert isinstance(pipe.model.language_model.layers[0].self_attn.q_proj, Int4Linear)
    text = pipe(picture(), prompt=PROMPT, generate_kwargs={"max_new_tokens": 20})[0]["generated_text"]
    before = "USER: \nDescribe this picture\nASSISTANT: "
    assert text.startswith(before)
    assert len(text) > len(before)


def test_a_bitsandbytes_config_in_8_bits(saved_llava):
    from transformers import BitsAndBytesConfig

    for config in (BitsAndBytesConfig(load_in_8bit=True), BitsAndBytesConfig(load_in_8bit=True).to_dict()):
        pipe = pipeline("image-to-text", model=saved_llava, model_kwargs={"quantization_config": config})
        assert isinstance(pipe.model.language_model.layers[0].self_attn.q_proj, Int8Linear)


# With the model that comes with the package


@pytest.mark.skipif(not EMBEDDED.is_file(), reason="the embedded model is not built yet")
def test_the_articles_run_on_the_embedded_model(folder):
    bot = LLaVAChatBot("tiny")
    assert bot.start_new_chat(str(folder / "tiger.png"), "What is in this picture?")
    assert bot.continue_chat("What else?")
    pipe = pipeline(
        "image-to-text", model="tiny", model_kwargs={"quantization_config": {"load_in_4bit": True}}
    )
    assert "ASSISTANT: " in pipe(picture(), prompt=PROMPT)[0]["generated_text"]
