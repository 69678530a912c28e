"""Fifty steps of both stages, beside the plainest loop that transformers allows."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from PIL import Image

from checkpoint.small import hf_folder
from llavakit.data.mixture import open_mixture
from llavakit.train import Recipe, Step, train

STEPS, BATCH, LR = 50, 4, {"align": 1e-3, "instruct": 2e-4}
SYSTEM = (
    "A chat between a curious user and an artificial intelligence assistant. "
    "The assistant gives helpful, detailed, and polite answers to the user's questions."
)


Rows = list[dict[str, Any]]


def write_rows(folder: Path, stage: str) -> Rows:
    """Conversations of unlike lengths, in the second stage every fifth without a picture."""
    generator = torch.Generator().manual_seed(0)
    rows: Rows = []
    for i in range(STEPS * BATCH):
        asked, said = (
            " ".join(f"w{w}" for w in torch.randint(80, (n,), generator=generator).tolist())
            for n in torch.randint(1, 30, (2,), generator=generator).tolist()
        )
        row: dict[str, Any] = {"id": i}
        if i % 5 or stage == "align":
            noise = torch.randint(256, (24, 24, 3), generator=generator, dtype=torch.uint8)
            Image.fromarray(noise.numpy()).save(folder / f"{i}.png")
            row["image"], asked = f"{i}.png", f"<image>\n{asked}"
        turns = [{"from": "human", "value": asked}, {"from": "gpt", "value": said}]
        rows.append(row | {"conversations": turns})
    (folder / f"{stage}.json").write_text(json.dumps(rows))
    return rows


def theirs(folder: Path, base: Path, rows_of: dict[str, Rows]) -> list[float]:
    """Losses of transformers' model, optimiser and schedule, stage by stage."""
    model = transformers.LlavaForConditionalGeneration.from_pretrained(base, dtype=torch.float32)
    processor = transformers.AutoProcessor.from_pretrained(base, backend="pil")
    losses = []
    for index, (stage, rows) in enumerate(rows_of.items()):
        model.requires_grad_(False)
        model.model.multi_modal_projector.requires_grad_(True)
        if stage == "instruct":
            model.model.language_model.requires_grad_(True)
            model.lm_head.requires_grad_(True)
        learned = [p for p in model.parameters() if p.requires_grad]
        optimiser = torch.optim.AdamW(learned, lr=LR[stage], weight_decay=0.0)
        schedule = transformers.get_cosine_schedule_with_warmup(optimiser, 2, STEPS)  # ceil(0.03 · 50)
        order = torch.randperm(len(rows), generator=torch.Generator().manual_seed(1000 * index)).tolist()
        for step in range(STEPS):
            batch = [rows[i] for i in order[step * BATCH : (step + 1) * BATCH]]
            parts, supervised = [], 0
            for row in batch:  # one by one: then there is no padding to be got wrong
                asked, said = (turn["value"] for turn in row["conversations"])
                before = f"{SYSTEM} USER: {asked} ASSISTANT:" if stage == "instruct" else "<image>"
                picture = [Image.open(folder / row["image"])] if "image" in row else None
                text = f"{before} {said}" + (" </s>" if stage == "instruct" else "")
                inputs = processor(text=text, images=picture, return_tensors="pt")
                start = len(processor(text=before, images=picture)["input_ids"][0])
                labels = inputs["input_ids"].clone()
                labels[:, :start] = -100
                supervised += int((labels[:, 1:] != -100).sum())
                parts.append((inputs, labels))
            total = torch.zeros(())
            for inputs, labels in parts:
                total = total + model(**inputs, labels=labels, num_items_in_batch=supervised).loss
            total.backward()
            torch.nn.utils.clip_grad_norm_(learned, 1.0)
            optimiser.step()
            schedule.step()
            optimiser.zero_grad()
            losses.append(float(total.detach()))
    return losses


@pytest.mark.parametrize("pack", [True, False])
def test_fifty_steps_of_both_stages_have_the_losses_of_a_plain_transformers_loop(
    tmp_path: Path, pack: bool
) -> None:
    hf_folder(tmp_path / "base")
    rows = {stage: write_rows(tmp_path, stage) for stage in LR}
    stages = [
        {
            "name": name, "data": str(tmp_path / f"{name}.json"),
            "steps": STEPS, "batch": BATCH, "lr": LR[name], "precision": "float32",
            "template": "plain" if name == "align" else "vicuna_v1",
            "trainable": ["connector"] if name == "align" else ["connector", "language_model"],
        }
        for name in LR
    ]  # fmt: skip
    recipe = {"name": "parity", "init": str(tmp_path / "base"), "stages": stages, "hardware": {"pack": pack}}
    told: list[Step] = []
    train(Recipe.parse(recipe, "parity"), tmp_path / "out", open_mixture, lambda *_: [], hooks=[told.append])
    expected = theirs(tmp_path, tmp_path / "base", rows)
    ours = [step.loss for step in told]
    assert len(ours) == len(expected) == 2 * STEPS
    assert expected[-1] < expected[0]
    # 1e-4: two float32 programs that sum in other orders, over 100 steps
    assert ours == pytest.approx(expected, abs=1e-4)
