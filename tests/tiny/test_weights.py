"""The embedded weights: that they are whole, small, and as good as their card says."""

import json
from collections.abc import Sequence

import pytest
import torch
from PIL import Image

from llavakit import LLaVA
from llavakit.checkpoint import load, load_clip
from llavakit.checkpoint.locate import embedded_folder
from llavakit.prompt.messages import Message
from llavakit.tiny.exam import examine
from llavakit.tiny.world.styles import font_path

FOLDER = embedded_folder()
CARD = FOLDER / "scores.json"

pytestmark = pytest.mark.skipif(
    not (FOLDER / "config.json").is_file(), reason="the embedded weights are not here"
)


@pytest.fixture(scope="module")
def tiny() -> LLaVA:
    return LLaVA.from_pretrained("tiny")


def test_the_embedded_model_is_small_and_says_how_it_was_made(tiny: LLaVA) -> None:
    assert sum(path.stat().st_size for path in FOLDER.iterdir()) < 40e6
    assert tiny.provenance["recipe"]["name"] == "tiny"
    assert tiny.provenance["hours"] > 0
    assert "Commits" in (FOLDER / "README.md").read_text(encoding="utf-8")


def test_the_log_of_its_training_tells_every_stage_to_its_end(tiny: LLaVA) -> None:
    rows = map(json.loads, (FOLDER / "training_log.jsonl").read_text(encoding="utf-8").splitlines())
    last = {row["stage"]: row["step"] for row in rows}
    assert last == {stage["name"]: stage["steps"] for stage in tiny.provenance["recipe"]["stages"]}


def test_its_text_tower_is_kept() -> None:
    checkpoint = load("tiny", dtype=torch.float32)
    clip = load_clip("tiny", checkpoint)
    ids = torch.tensor([[*checkpoint.tokenizer.encode("a red car"), checkpoint.tokenizer.eos_id]])
    assert clip.encode_text(ids).norm() == pytest.approx(1, abs=1e-5)


def test_a_second_question_reads_only_its_own_words(tiny: LLaVA) -> None:
    chat = tiny.chat([Image.new("RGB", (128, 128), "white")])
    chat.ask("What is in the picture?")
    encoded, read = tiny.engine.counters.images_encoded, tiny.engine.counters.prefilled_tokens
    second = chat.ask("Is there a cat?")
    assert tiny.engine.counters.images_encoded == encoded
    new = second.usage.prompt_tokens - second.usage.cached_tokens
    assert tiny.engine.counters.prefilled_tokens - read == new < 20


CARDED = {line["line"]: line for line in json.loads(CARD.read_text())["scores"]}


@pytest.mark.slow
@pytest.mark.skipif(not font_path().exists(), reason="fonts-noto-color-emoji is not installed")
def test_it_scores_what_its_card_says(tiny: LLaVA) -> None:
    def generate(conversations: Sequence[Sequence[Message]]) -> list[str]:
        return [reply.text for reply in tiny.generate_batch(list(conversations), max_new_tokens=60)]

    keys = ("presence", "colour", "count", "absent")
    for result in examine(generate, n=60, seed=1, keys=keys, blind=False):
        # Other questions than the card's: the two intervals must meet.
        assert result.score.high >= CARDED[result.line]["low"], result
