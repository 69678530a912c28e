"""`pipeline` keeps transformers' call shapes."""

import base64
import io
import pkgutil

import pytest

import llavakit
from assemble import picture, random_llava
from llavakit import pipeline
from llavakit.errors import PromptError, UsageError
from llavakit.llava import LLaVA
from llavakit.pipelines import Pipeline

FEW = {"max_new_tokens": 8}
PROMPT = "USER: <image>\nDescribe this picture\nASSISTANT:"
CHAT = [{"role": "user", "content": [{"type": "image"}, {"type": "text", "text": "What?"}]}]


def test_no_module_hides_what_the_package_exports():
    """Importing `llavakit.x` sets `llavakit.x`, whatever the package meant by that name."""
    modules = {module.name for module in pkgutil.iter_modules(llavakit.__path__)}
    assert not modules & set(llavakit.__all__)


@pytest.fixture
def captions(llava: LLaVA) -> Pipeline:
    return pipeline("image-to-text", model=llava)


@pytest.fixture
def talks(llava: LLaVA) -> Pipeline:
    return pipeline("image-text-to-text", model=llava)


def answer(llava: LLaVA, prompt: str, *seeds: int) -> str:
    from llavakit.engine import Sampling

    encoded = llava.encoder.encode_written(prompt, [picture(i) for i in seeds])
    return llava.engine.complete([encoded], Sampling(**FEW))[0].text


def test_the_generated_text_is_the_prompt_without_its_placeholder_and_the_answer(llava, captions):
    result = captions(picture(), prompt=PROMPT, generate_kwargs=FEW)
    said = answer(llava, PROMPT, 0)
    assert result == [{"generated_text": f"USER: \nDescribe this picture\nASSISTANT: {said}"}]


def test_a_list_of_pictures_gives_a_list_of_lists(llava, captions):
    results = captions([picture(1), picture(2)], prompt=PROMPT, max_new_tokens=8)
    assert [r[0]["generated_text"].rsplit(" ", 1)[1] for r in results] == [
        answer(llava, PROMPT, 1), answer(llava, PROMPT, 2)
    ]  # fmt: skip
    assert captions([], prompt=PROMPT) == []


def test_a_picture_alone_is_captioned(llava, captions):
    assert captions(picture(), **FEW) == [{"generated_text": "\n" + answer(llava, "<image>\n", 0)}]


def test_return_full_text_false_gives_the_answer_alone(llava, captions, talks):
    said = answer(llava, PROMPT, 0)
    assert captions(picture(), PROMPT, return_full_text=False, **FEW) == [{"generated_text": said}]
    assert talks(picture(), text=PROMPT, return_full_text=False, **FEW) == [
        {"input_text": PROMPT, "generated_text": said}
    ]


def test_a_written_prompt_comes_back_whole_with_image_text_to_text(llava, talks):
    assert talks(images=picture(), text=PROMPT, **FEW) == [
        {"input_text": PROMPT, "generated_text": f"{PROMPT} {answer(llava, PROMPT, 0)}"}
    ]


def test_several_pictures_for_one_prompt(llava, talks):
    prompt = "<image> and <image>: which is red?"
    [result] = talks(images=[picture(1), picture(2)], text=prompt, return_full_text=False, **FEW)
    assert result["generated_text"] == answer(llava, prompt, 1, 2)


def test_prompts_beside_pictures_come_back_flat_as_transformers_has_it(llava, talks):
    results = talks(
        images=[picture(1), [picture(2)]], text=[PROMPT, "<image>?"], return_full_text=False, **FEW
    )
    assert [r["generated_text"] for r in results] == [answer(llava, PROMPT, 1), answer(llava, "<image>?", 2)]


def test_text_alone_is_answered(llava, talks):
    assert talks(text="Hello", return_full_text=False, **FEW) == [
        {"input_text": "Hello", "generated_text": answer(llava, "Hello")}
    ]
    assert len(talks(text=["Hello", "You"], **FEW)[1]) == 1


def data_uri(payload: bytes) -> str:
    return "data:image/png;base64," + base64.b64encode(payload).decode()


@pytest.mark.parametrize("key", ["image", "url", "path", "base64"])
def test_a_chat_names_its_pictures(llava, talks, tmp_path, key):
    buffer = io.BytesIO()
    picture().save(buffer, "PNG")
    (tmp_path / "a.png").write_bytes(buffer.getvalue())
    source = {
        "image": picture(), "url": data_uri(buffer.getvalue()), "path": str(tmp_path / "a.png"),
        "base64": base64.b64encode(buffer.getvalue()).decode(),
    }[key]  # fmt: skip
    chat = [{"role": "user", "content": [{"type": "image", key: source}, {"type": "text", "text": "What?"}]}]
    said = llava.generate("What?", picture(), **FEW).text
    [result] = talks(text=chat, **FEW)
    assert result["input_text"] == chat
    assert result["generated_text"] == [*chat, {"role": "assistant", "content": said}]
    assert talks(chat, return_full_text=False, **FEW)[0]["generated_text"] == said


def test_a_chat_takes_its_pictures_from_beside_it(llava, talks):
    [result] = talks(images=[picture()], text=CHAT, return_full_text=False, **FEW)
    assert result["generated_text"] == llava.generate("What?", picture(), **FEW).text
    with pytest.raises(UsageError, match="more places"):
        talks(text=CHAT)
    with pytest.raises(UsageError, match="more pictures"):
        talks(images=[picture(), picture()], text=CHAT)


def test_several_chats_give_a_list_of_lists(llava, talks):
    chats = [[{"role": "user", "content": word}] for word in ("Hello", "Goodbye")]
    for results in (
        talks(text=chats, return_full_text=False, **FEW),
        talks(chats, return_full_text=False, **FEW),
    ):
        assert [r[0]["generated_text"] for r in results] == [
            llava.generate(word, **FEW).text for word in ("Hello", "Goodbye")
        ]


def test_transformers_settings_mean_what_they_mean_there(llava, captions):
    greedy = captions(picture(), PROMPT, **FEW)
    assert (
        captions(picture(), PROMPT, generate_kwargs={"do_sample": False, "temperature": 0.7, **FEW}) == greedy
    )
    sampled = {str(captions(picture(), PROMPT, do_sample=True, seed=i, **FEW)) for i in range(4)}
    assert len(sampled) == 4
    stop = greedy[0]["generated_text"][-3:]
    cut = captions(picture(), PROMPT, generate_kwargs={"stop_strings": [stop], "use_cache": True, **FEW})
    assert greedy[0]["generated_text"].startswith(cut[0]["generated_text"])
    assert stop not in cut[0]["generated_text"]


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        ({"images": picture(), "text": "no place"}, PromptError, "picture"),
        (
            {"images": [picture()], "text": ["<image>", "<image>"]},
            UsageError,
            "2 prompts need as many pictures",
        ),
        ({"images": picture()}, UsageError, "needs text"),
        ({"text": 5}, UsageError, "needs text"),
        ({"text": "Hi", "num_beams": 4}, UsageError, "num_beams"),
        ({"text": [{"role": "user", "content": [{"type": "vido"}]}]}, UsageError, "vido"),
        ({"text": [{"role": "robot", "content": "Hi"}]}, PromptError, "robot"),
    ],
)
def test_what_makes_no_sense_is_refused(talks, arguments, error, words):
    with pytest.raises(error, match=words):
        talks(**arguments)


def test_an_unknown_task_or_argument_is_refused(llava):
    with pytest.raises(UsageError, match="did you mean 'image-to-text'"):
        pipeline("image2text", model=llava)
    with pytest.raises(UsageError, match="quantize_config"):
        pipeline("image-to-text", model="nowhere", model_kwargs={"quantize_config": None})


def test_every_setting_of_the_article_loads_a_folder(saved_llava):
    import torch

    llava = random_llava("vicuna_v1")
    pipe = pipeline(
        "image-to-text", model=saved_llava, torch_dtype=torch.float32, device=-1,
        model_kwargs={"low_cpu_mem_usage": True},
    )  # fmt: skip
    assert pipe(picture(), PROMPT, return_full_text=False, **FEW)[0]["generated_text"] == answer(
        llava, PROMPT, 0
    )
