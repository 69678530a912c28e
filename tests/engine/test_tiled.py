"""Pictures in tiles through the engine: transformers' words, in batches and over turns."""

from typing import Any

import pytest
import torch
from PIL import Image

import llavakit.engine.engine as engine_module
from assemble import byte_tokenizer, fresh_engine
from llavakit.engine import Engine, Reply, Sampling
from llavakit.engine.backends.torch_backend import TorchBackend
from llavakit.llava import LLaVA
from llavakit.prompt.encode import IGNORE, Encoded, PromptEncoder
from llavakit.prompt.messages import assistant, user
from llavakit.prompt.templates import get_template
from model.tiled_reference import NEXT, ONEVISION, image_config, noise, row, theirs, tiled_pair
from tiles import tiled_llava

STEPS = 32
MODELS = [(NEXT, "llama"), (NEXT, "mistral"), (NEXT, "qwen2"), (ONEVISION, "qwen2")]
ROWS: list[tuple[str, list[tuple[int, int]]]] = [
    ("tttitt", [(100, 40)]),
    ("it", [(31, 70)]),
    ("titt", [(500, 10)]),
    ("itttt", [(1, 300)]),
    ("ttiti", [(60, 60), (20, 80)]),
    ("tttt", []),
]


def engine_of(kind: str, model: Any) -> Engine:
    """An engine without end tokens in the model's small vocabulary."""
    config = model.config
    encoder = PromptEncoder(
        byte_tokenizer(), get_template("plain"), config.tokens_per_image, image_config(kind),
        tiling=config.tiling,
    )  # fmt: skip
    return Engine(TorchBackend(model, 4096), encoder, eos_token_ids=())


def written(engine: Engine, layout: str, images: list[Image.Image], seed: int = 0) -> Encoded:
    """A prompt of random words (`t`) and the pictures (`i`)."""
    layouts = engine.encoder.layouts(images)
    assert layouts is not None
    ids = row(engine.backend.model.config, layout, layouts, seed).tolist()
    spans, at, waiting = [], 0, iter(layouts)
    for piece in layout:
        length = next(waiting).tokens if piece == "i" else 1
        if piece == "i":
            spans.append((at, at + length))
        at += length
    return Encoded(ids, [IGNORE] * len(ids), tuple(images), spans, layout, layouts)


def say(engine: Engine, prompt: Encoded, steps: int = STEPS, reuse: bool = True) -> Reply:
    reply = Reply()
    for _ in engine.stream(prompt, Sampling(max_new_tokens=steps), reply, reuse=reuse):
        pass
    return reply


def prompts_of(engine: Engine) -> list[Encoded]:
    return [
        written(engine, layout, [noise(*shape, seed=i + 10 * n) for n, shape in enumerate(shapes)], i)
        for i, (layout, shapes) in enumerate(ROWS)
    ]


@pytest.mark.parametrize(("kind", "text"), MODELS)
def test_thirty_two_greedy_tokens_are_those_of_transformers_alone_and_in_a_batch(kind, text):
    hf_model, model = tiled_pair(kind, text)
    engine = engine_of(kind, model)
    prompts = prompts_of(engine)
    said = [say(engine, prompt).ids for prompt in prompts]
    for prompt, ids in zip(prompts, said, strict=True):
        pixels = theirs(kind, [prompt.images]) if prompt.images else {}
        expected = hf_model.generate(
            input_ids=torch.tensor([prompt.ids]),
            attention_mask=torch.ones(1, len(prompt.ids), dtype=torch.long),
            max_new_tokens=STEPS, do_sample=False, **pixels,
        )  # fmt: skip
        assert ids == expected[0, len(prompt.ids) :].tolist(), prompt.text
    together = engine_of(kind, model).complete(prompts, Sampling(max_new_tokens=STEPS))
    assert [reply.ids for reply in together] == said
    assert len({tuple(ids) for ids in said}) == len(said)  # each is about its own prompt


def spent(llava: LLaVA, prompt: Encoded, reuse: bool = True) -> tuple[int, int, str]:
    """Tokens prefilled, pictures encoded, what was said."""
    counters = llava.engine.counters
    before = counters.prefilled_tokens, counters.images_encoded
    text = say(llava.engine, prompt, reuse=reuse).text
    return counters.prefilled_tokens - before[0], counters.images_encoded - before[1], text


def cold(llava: LLaVA, prompt: Encoded) -> str:
    return say(fresh_engine(llava), prompt).text


@pytest.mark.parametrize("single", [False, True])
def test_a_second_turn_reads_its_own_tokens_and_encodes_no_picture(single):
    llava = tiled_llava(single)
    first = [user(noise(90, 40), "What is this?")]
    prompt = llava.encoder.encode(first)
    assert spent(llava, prompt)[:2] == (len(prompt.ids), 1)
    turns = [*first, assistant(cold(llava, prompt)), user("Why?")]
    follow = llava.encoder.encode(turns)
    new, images, text = spent(llava, follow)
    assert new <= len("<|im_end|><|im_start|>user\nWhy?<|im_end|><|im_start|>assistant\n") + 1
    assert images == 0
    assert text == cold(llava, follow)


def test_a_second_picture_costs_itself_alone():
    llava = tiled_llava()
    first = [user(noise(90, 40), "What is this?"), assistant("A.")]
    spent(llava, llava.encoder.encode([first[0]]))
    both = llava.encoder.encode([*first, user(noise(40, 90, 1), "And this?")])
    _, images, text = spent(llava, both)
    assert (images, text) == (1, cold(llava, both))


def test_beside_a_second_picture_onevision_looks_at_the_first_anew_and_once():
    """Alone it had tiles, beside another it has none; each way is remembered."""
    llava = tiled_llava(single=True)
    first = [user(noise(90, 40), "What is this?"), assistant("A.")]
    alone, both = (
        llava.encoder.encode(turns) for turns in ([first[0]], [*first, user(noise(40, 90, 1), "And this?")])
    )
    assert spent(llava, alone)[1] == 1
    _, images, text = spent(llava, both)
    assert (images, text) == (2, cold(llava, both))
    for prompt in (alone, both, alone):
        assert spent(llava, prompt)[1:] == (0, cold(llava, prompt))


def test_pictures_are_forgotten_by_the_tokens_they_take(monkeypatch):
    llava = tiled_llava()
    large, small = noise(64, 64), noise(32, 32, 1)
    tokens = [layout.tokens for image in (large, small) for layout in llava.encoder.layouts([image])]
    assert tokens[0] > 2 * tokens[1]
    monkeypatch.setattr(engine_module, "_REMEMBERED_TOKENS", tokens[0] + tokens[1] - 1)

    def look(image: Image.Image) -> int:
        return spent(llava, llava.encoder.encode([user(image, "?")]), reuse=False)[1]

    assert [look(small), look(small), look(large), look(large), look(small)] == [1, 0, 1, 0, 1]


@pytest.mark.parametrize("single", [False, True])
def test_the_package_answers_about_pictures_of_every_shape(single):
    llava = tiled_llava(single)
    requests = [
        "Hello",
        ("What is this?", [noise(200, 30)]),
        ("Both?", [noise(30, 60), noise(60, 30)]),
        ("A thread?", noise(700, 2)),
    ]
    together = llava.generate_batch(requests, max_new_tokens=12)
    alone = [llava.generate(*(r if isinstance(r, tuple) else (r,)), max_new_tokens=12) for r in requests]
    assert [reply.text for reply in together] == [reply.text for reply in alone]
    chat = llava.chat(noise(90, 40))
    assert chat.ask("What is this?", max_new_tokens=8).text
    assert chat.ask("Why?", max_new_tokens=8).usage.cached_tokens > 0
