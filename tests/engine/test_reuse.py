"""A conversation costs only what is new, and however it was broken off, the next answer is a cold run's."""

import copy
import threading

import pytest
import torch

from assemble import PATCHES, fresh_engine, picture, random_llava
from llavakit.engine import Engine, Reply, Sampling
from llavakit.engine import engine as engine_module
from llavakit.llava import LLaVA
from llavakit.prompt.encode import Encoded
from llavakit.prompt.messages import assistant, user

STEPS = 12


@pytest.fixture
def engine(llava: LLaVA) -> Engine:
    """An engine of its own, whose counters begin at 0."""
    return fresh_engine(llava)


def say(engine: Engine, prompt: Encoded, reuse: bool = True, **settings) -> Reply:
    reply = Reply()
    for _ in engine.stream(prompt, Sampling(**({"max_new_tokens": STEPS} | settings)), reply, reuse=reuse):
        pass
    return reply


def cold(llava: LLaVA, prompt: Encoded) -> str:
    return say(fresh_engine(llava), prompt).text


def spent(engine: Engine, action) -> tuple[int, int]:
    """Tokens prefilled and pictures encoded while `action` runs."""
    before = copy.copy(engine.counters)
    action()
    after = engine.counters
    return after.prefilled_tokens - before.prefilled_tokens, after.images_encoded - before.images_encoded


def test_the_second_turn_reads_only_its_new_tokens(llava: LLaVA, engine: Engine):
    first = llava.encoder.encode([user(picture(), "What is this?")])
    answer = say(engine, first)
    second = llava.encoder.encode([user(picture(), "What is this?"), assistant(answer.text), user("Why?")])
    replies: list[Reply] = []
    new, images = spent(engine, lambda: replies.append(say(engine, second)))
    # The last token drawn was never read, so it counts as new.
    assert new == len(second.ids) - len(first.ids) - STEPS + 1
    assert images == 0
    assert replies[0].usage.cached_tokens == len(second.ids) - new
    assert replies[0].text == cold(llava, second)


def test_an_edited_history_is_reused_up_to_the_edit(llava: LLaVA, engine: Engine):
    say(engine, llava.encoder.encode([user(picture(), "What is this thing?")]))
    edited = llava.encoder.encode([user(picture(), "What is that?")])
    replies: list[Reply] = []
    new, images = spent(engine, lambda: replies.append(say(engine, edited)))
    tail = len("at?<|im_end|><|im_start|>assistant\n")
    assert (new, images) == (tail, 0)
    assert replies[0].text == cold(llava, edited)


def test_a_shorter_prompt_forgets_what_stood_behind_it(llava: LLaVA, engine: Engine):
    long = llava.encoder.encode([user("One two three"), assistant("four"), user("five six seven eight")])
    short = llava.encoder.encode([user("One two three")])
    for prompt in (long, short, long, short, short):
        assert say(engine, prompt).text == cold(llava, prompt)


def test_another_picture_in_the_same_place_is_looked_at(llava: LLaVA, engine: Engine):
    first, other = (llava.encoder.encode([user(picture(i), "What is this?")]) for i in (1, 2))
    assert first.ids == other.ids
    say(engine, first)
    replies: list[Reply] = []
    new, images = spent(engine, lambda: replies.append(say(engine, other)))
    assert (new, images) == (len(other.ids) - other.image_spans[0][0], 1)
    assert replies[0].text == cold(llava, other) != cold(llava, first)


def test_a_prompt_asked_again_reads_one_token(llava: LLaVA, engine: Engine):
    prompt = llava.encoder.encode([user(picture(), "What is this?")])
    before = say(engine, prompt).text
    assert spent(engine, lambda: say(engine, prompt)) == (1, 0)
    assert say(engine, prompt).text == before


def test_a_picture_is_taken_up_in_its_middle(engine: Engine, llava: LLaVA):
    prompt = llava.encoder.encode_written("Look: <image>", [picture()])
    before = say(engine, prompt).text
    assert spent(engine, lambda: say(engine, prompt)) == (1, 0)
    assert say(engine, prompt).text == before


def test_the_same_picture_in_another_conversation_is_not_encoded_again(llava: LLaVA, engine: Engine):
    for _ in range(3):
        say(engine, llava.encoder.encode([user(picture(), "What?")]))
    say(engine, llava.encoder.encode([user(picture(), picture(), "Same?")]))
    assert engine.counters.images_encoded == 1


def test_the_picture_not_seen_for_longest_is_forgotten(llava: LLaVA, engine: Engine, monkeypatch):
    monkeypatch.setattr(engine_module, "_REMEMBERED_TOKENS", 2 * PATCHES)

    def look(*seeds: int) -> int:
        prompt = llava.encoder.encode([user(*(picture(i) for i in seeds), "What?")])
        return spent(engine, lambda: say(engine, prompt, reuse=False, max_new_tokens=1))[1]

    assert [look(1), look(2), look(1), look(3), look(1), look(2)] == [1, 1, 0, 1, 0, 1]
    assert look(1, 2, 3, 4) == 2  # more than are kept, all the same
    assert len(engine._features) == 2


def test_a_stream_that_is_closed_leaves_an_engine_that_answers_as_a_cold_one(llava: LLaVA, engine: Engine):
    prompt = llava.encoder.encode([user(picture(), "What is this?")])
    reply = Reply()
    stream = engine.stream(prompt, Sampling(), reply)
    shown = next(stream) + next(stream)
    stream.close()
    assert (reply.text, reply.finish_reason) == (shown, "cancelled")
    follow = llava.encoder.encode([user(picture(), "What is this?"), assistant(shown), user("And?")])
    assert say(engine, follow).text == cold(llava, follow)


def test_the_event_stops_after_the_token_in_work(llava: LLaVA, engine: Engine):
    prompt = llava.encoder.encode([user("What?")])
    cancel, reply = threading.Event(), Reply()
    for i, _ in enumerate(engine.stream(prompt, Sampling(), reply, cancel)):
        if i == 3:
            cancel.set()
    assert (len(reply.ids), reply.finish_reason) == (4, "cancelled")
    assert say(engine, prompt).text == cold(llava, prompt)


def test_an_event_set_beforehand_costs_nothing(llava: LLaVA, engine: Engine):
    cancel = threading.Event()
    cancel.set()
    prompt = llava.encoder.encode([user(picture(), "What?")])
    assert list(engine.stream(prompt, Sampling(), cancel=cancel)) == []
    assert (engine.counters.prefilled_tokens, engine.counters.images_encoded) == (0, 0)


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt, torch.OutOfMemoryError])
@pytest.mark.parametrize("layer", [0, 1])
@pytest.mark.parametrize("passes", [0, 1, 3])  # whole forward passes before: 0 is within the prefill
def test_an_exception_in_any_layer_leaves_an_engine_that_answers_as_a_cold_one(error, layer, passes):
    llava = random_llava()
    engine = llava.engine
    held = llava.encoder.encode([user(picture(1), "What is this, a boat?")])
    broken = llava.encoder.encode(
        [user(picture(1), "What was that, and who sails it?"), assistant("I"), user("?")]
    )
    say(engine, held)

    calls = 0

    def fail(*_):
        nonlocal calls
        calls += 1
        if calls > passes:
            raise error

    # After the layer has written its keys and values.
    hook = llava.model.language_model.layers[layer].register_forward_hook(fail)
    with pytest.raises(error):
        say(engine, broken)
    hook.remove()
    for prompt in (held, broken):
        assert say(engine, prompt).text == cold(llava, prompt)
    assert not torch.is_inference_mode_enabled()


def test_an_exception_in_the_vision_tower_likewise(llava: LLaVA, engine: Engine):
    known = llava.encoder.encode([user(picture(1), "What?")])
    say(engine, known)

    def fail(*_):
        raise RuntimeError

    hook = llava.model.vision_tower.register_forward_hook(fail)
    other = llava.encoder.encode([user(picture(2), "What?")])
    with pytest.raises(RuntimeError):
        say(engine, other)
    hook.remove()
    for prompt in (known, other):
        assert say(engine, prompt).text == cold(llava, prompt)


def test_a_long_conversation_is_read_on(llava: LLaVA, engine: Engine):
    words = [user("Tell me.")]
    for turn in range(5):
        prompt = llava.encoder.encode(words)
        reply = say(engine, prompt, max_new_tokens=90)
        assert reply.usage.cached_tokens > 0 or turn == 0
        assert reply.text == say(fresh_engine(llava), prompt, max_new_tokens=90).text
        words += [assistant(reply.text), user("Go on.")]


def test_the_same_question_asked_twice_at_once_is_answered_twice(llava: LLaVA, engine: Engine):
    prompt = llava.encoder.encode([user("What?")])
    first = engine.stream(prompt, Sampling(max_new_tokens=STEPS))
    shown = next(first)
    assert say(engine, prompt).text == cold(llava, prompt)
    assert shown + "".join(first) == cold(llava, prompt)


def test_a_slow_reader_keeps_nobody_waiting(llava: LLaVA, engine: Engine):
    """Not even in the same thread, where waiting would never end."""
    slow = engine.stream(llava.encoder.encode([user("Slow?")]), Sampling(max_new_tokens=STEPS))
    shown = next(slow)
    quick = llava.encoder.encode([user("Quick?")])
    assert say(engine, quick).text == cold(llava, quick)
    assert shown + "".join(slow) == cold(llava, llava.encoder.encode([user("Slow?")]))


def test_threads_that_stream_at_once_each_get_their_answer(llava: LLaVA, engine: Engine):
    prompts = [llava.encoder.encode([user(picture(i % 2), f"Question {i}?")]) for i in range(4)]
    expected = [cold(llava, prompt) for prompt in prompts]
    together = threading.Barrier(len(prompts) + 1)
    results: dict[int, list[str]] = {}

    def work(i: int) -> None:
        together.wait()
        results[i] = [say(engine, prompts[i]).text for _ in range(4)]

    threads = [threading.Thread(target=work, args=(i,)) for i in range(len(prompts))]
    for thread in threads:
        thread.start()
    together.wait()
    batch = engine.complete(prompts, Sampling(max_new_tokens=STEPS))
    for thread in threads:
        thread.join()
    assert results == {i: [expected[i]] * 4 for i in range(len(prompts))}
    assert [reply.text for reply in batch] == expected
    assert engine.counters.images_encoded == 2
