"""Both stages of training beside transformers' Trainer: the same weights, rows and pictures, in one run.

    python benchmarks/train.py [--shapes small] [--stage align instruct] [--steps 8] [--rounds 2]

Needs transformers and accelerate; downloads nothing. The model is random and written once. The contenders
take turns, each a process of its own; the first steps of each do not count. A contender's figure is the
tokens that it trained on (padding left out) by the time between the ends of its first and last counted step:
reading the rows, decoding and preparing the pictures, forward, backward and AdamW. Both sides get one process
that prepares batches.

Rows of the second stage are as long as LLaVA-1.5's mix has them: 94 of 100 with a picture and words whose
log-length is normal (4.76, 0.85), cut at 800 (1,000 rows of llava_v1_5_mix665k.json, four letters a token);
6 of 100 without, of 500 to 2,000 tokens, for its 40,688 ShareGPT rows of 665,298. The small shapes take a
quarter of all lengths, as their pictures have a ninth to a third of 576 tokens. The first stage's are
captions of 8 to 16 words.

`--device cuda --shapes 7b --layers 4` is meant for a GPU: layers of a 7B, as many as fit with AdamW.
"""

import argparse
import json
import random
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from llavakit.bench.shapes import SHAPES as PUBLISHED
from llavakit.bench.shapes import Noise
from llavakit.cache import cache_folder
from llavakit.checkpoint.folder import write_folder
from llavakit.checkpoint.locate import embedded_folder
from llavakit.checkpoint.source import Description, Own, Source
from llavakit.config import ImageConfig, LanguageConfig, LlavaConfig, VisionConfig
from llavakit.prompt.tokenizer import Tokenizer

WARM = 2  # steps at the beginning that are not counted
RATES = {"align": "1e-3", "instruct": "2e-5"}
SHAPES = {
    # A tower like CLIP-B/16 and a language model beside it that a CPU trains: some 86 M and 58 M.
    "small": (
        VisionConfig(image_size=224, patch_size=16, hidden_size=768, intermediate_size=3072,
                     num_hidden_layers=12, num_attention_heads=12),
        LanguageConfig(vocab_size=32064, hidden_size=512, intermediate_size=1408, num_hidden_layers=8,
                       num_attention_heads=8, num_key_value_heads=8, head_dim=64),
    ),
    "tiny": (
        VisionConfig(image_size=128, patch_size=16, hidden_size=192, intermediate_size=768,
                     num_hidden_layers=6, num_attention_heads=6, hidden_act="gelu"),
        LanguageConfig(vocab_size=1024, hidden_size=192, intermediate_size=512, num_hidden_layers=6,
                       num_attention_heads=6, num_key_value_heads=3, head_dim=32),
    ),
    "7b": (PUBLISHED["7b"].vision, PUBLISHED["7b"].language),
}  # fmt: skip
CONTENDERS = {
    "align": ("packed", "cached", "peer"),
    "instruct": ("packed", "padded", "grouped", "peer", "peer-grouped"),
}
TOLD = {
    "packed": "llavakit",
    "cached": "llavakit, features cached",
    "padded": "llavakit, rows padded",
    "grouped": "llavakit, rows padded, grouped by length",
    "peer": "transformers Trainer",
    "peer-grouped": "transformers Trainer, grouped by length",
}


def base(name: str, layers: int | None) -> Path:
    """The folder of the random model, written where it is not there yet."""
    vision, language = SHAPES[name]
    if layers is not None:
        language = language.model_copy(update={"num_hidden_layers": layers})
    folder = cache_folder() / "bench" / f"train-{name}-{language.num_hidden_layers}-v1"
    if not (folder / "config.json").is_file():
        import torch

        tokenizer = Tokenizer.load(embedded_folder())
        config = LlavaConfig(vision=vision, language=language, image_token_id=tokenizer.image_token_id)
        image = ImageConfig(size=vision.image_size)
        said = Description(folder, config, image, Own(), "vicuna_v1", (tokenizer.eos_id,))
        write_folder(Source(said, tokenizer, Noise(config, torch.float32)), folder)
    return folder


def write_rows(folder: Path, stage: str, count: int, scale: float) -> Path:
    """So many rows as instruction data, and 64 smooth random pictures of 640 x 480 beside them."""
    rng, noise = random.Random(0), np.random.default_rng(0)
    for i in range(64):
        small = Image.fromarray(noise.integers(0, 256, (12, 16, 3), dtype=np.uint8))
        small.resize((640, 480), Image.Resampling.BICUBIC).save(folder / f"{i}.jpg", quality=90)

    def words(n: float) -> str:
        return " ".join(rng.choices(("red", "blue", "car", "cat", "there", "is", "one"), k=round(n)))

    rows = []
    for i in range(count):
        row: dict[str, Any] = {"id": i, "image": f"{i % 64}.jpg"}
        if stage == "align":
            asked, answer = "<image>", words(rng.randint(8, 16))
        elif rng.random() < 0.06:
            del row["image"]
            asked, answer = words(20 * scale), words(rng.uniform(500, 2000) * scale)
        else:
            said = min(800.0, rng.lognormvariate(4.76, 0.85)) * scale
            asked, answer = f"<image>\n{words(1 + said / 4)}", words(1 + said * 3 / 4)
        turns = [{"from": "human", "value": asked}, {"from": "gpt", "value": answer}]
        rows.append(row | {"conversations": turns})
    path = folder / "rows.json"
    path.write_text(json.dumps(rows), encoding="utf-8")
    return path


def ours(job: dict[str, Any], kind: str) -> tuple[float, int]:
    """(seconds, tokens) of the counted steps of our trainer."""
    import torch

    from llavakit.data.mixture import open_mixture
    from llavakit.train import Recipe, Step, train

    align = job["stage"] == "align"
    recipe = Recipe.parse(
        {
            "name": "bench",
            "init": job["model"],
            "stages": [
                {
                    "name": job["stage"],
                    "data": [{"path": job["rows"], "images": job["images"]}],
                    "template": "plain" if align else "vicuna_v1",
                    "trainable": ["connector"] if align else ["connector", "language_model"],
                    "steps": job["steps"] + WARM,
                    "batch": job["batch"],
                    "lr": float(RATES[job["stage"]]),
                    "max_length": 2048,
                    "group_by": "length" if kind == "grouped" else None,
                    "cache_features": kind == "cached",
                }
            ],
            "hardware": {
                "pack": kind in ("packed", "cached"),
                "save_every": 1_000_000,
                "compile": job["compile"],
                "checkpoint_activations": job["device"] == "cuda",
            },
        },
        "bench",
    )
    told: list[tuple[float, Step]] = []
    with tempfile.TemporaryDirectory() as out:

        def on_step(step: Step) -> None:
            if job["device"] == "cuda":
                torch.cuda.synchronize()
            told.append((time.perf_counter(), step))

        train(recipe, Path(out), open_mixture, lambda name, n: [], device=job["device"], hooks=[on_step])
    counted = told[WARM:]
    return counted[-1][0] - told[WARM - 1][0], sum(step.tokens for _, step in counted)


def peer(job: dict[str, Any], grouped: bool) -> tuple[float, int]:
    """(seconds, tokens) of the counted steps of transformers' Trainer."""
    import torch
    from torch.nn.utils.rnn import pad_sequence
    from transformers import (
        AutoProcessor,
        LlavaForConditionalGeneration,
        Trainer,
        TrainerCallback,
        TrainingArguments,
    )

    processor = AutoProcessor.from_pretrained(job["model"], use_fast=False)
    model = LlavaForConditionalGeneration.from_pretrained(job["model"], dtype=torch.float32)
    model.requires_grad_(False)
    model.model.multi_modal_projector.requires_grad_(True)
    if job["stage"] == "instruct":
        model.model.language_model.requires_grad_(True)
        model.lm_head.requires_grad_(True)
    rows = json.loads(Path(job["rows"]).read_text(encoding="utf-8"))
    per_picture = model.config.image_seq_length

    class Rows(torch.utils.data.Dataset[dict[str, Any]]):
        def __len__(self) -> int:
            return len(rows)

        def __getitem__(self, i: int) -> dict[str, Any]:
            (asked, answer), name = (t["value"] for t in rows[i]["conversations"]), rows[i].get("image")
            picture = Image.open(Path(job["images"]) / name).convert("RGB") if name else None
            prompt = "<image>" if job["stage"] == "align" else f"USER: {asked} ASSISTANT:"
            whole = processor(text=f"{prompt} {answer}</s>", images=picture, return_tensors="pt")
            ids = whole["input_ids"][0][:2048]
            before = len(processor.tokenizer(prompt)["input_ids"]) + (per_picture - 1 if name else 0)
            labels = ids.clone()
            labels[:before] = -100
            return {"input_ids": ids, "labels": labels, "pixels": whole.get("pixel_values")}

    def collate(examples: list[dict[str, Any]]) -> dict[str, Any]:
        ids = pad_sequence([e["input_ids"] for e in examples], batch_first=True, padding_value=2)
        labels = pad_sequence([e["labels"] for e in examples], batch_first=True, padding_value=-100)
        lengths = torch.tensor([len(e["input_ids"]) for e in examples])
        mask = (torch.arange(ids.shape[1])[None] < lengths[:, None]).long()
        batch = {"input_ids": ids, "labels": labels, "attention_mask": mask}
        pictures = [e["pixels"] for e in examples if e["pixels"] is not None]
        return batch | ({"pixel_values": torch.cat(pictures)} if pictures else {})

    tokens: list[Any] = []
    ends: list[float] = []

    class Counting(Trainer):  # type: ignore[misc]
        def training_step(self, model: Any, inputs: dict[str, Any], *rest: Any, **named: Any) -> Any:
            tokens.append(inputs["attention_mask"].sum())
            return super().training_step(model, inputs, *rest, **named)

        def _get_train_sampler(self, *rest: Any) -> Any:
            if not grouped:
                return super()._get_train_sampler(*rest)
            from transformers.trainer_pt_utils import LengthGroupedSampler

            lengths = [
                sum(len(t["value"]) for t in row["conversations"]) // 4 + per_picture * ("image" in row)
                for row in rows
            ]
            return LengthGroupedSampler(job["batch"], lengths=lengths)

    class Clock(TrainerCallback):  # type: ignore[misc]
        def on_step_end(self, *_: Any, **__: Any) -> None:
            if job["device"] == "cuda":
                torch.cuda.synchronize()
            ends.append(time.perf_counter())

    with tempfile.TemporaryDirectory() as out:
        arguments = TrainingArguments(
            output_dir=out, max_steps=job["steps"] + WARM, per_device_train_batch_size=job["batch"],
            learning_rate=float(RATES[job["stage"]]), lr_scheduler_type="cosine", warmup_steps=1,
            weight_decay=0.0, bf16=True, use_cpu=job["device"] == "cpu", optim="adamw_torch_fused",
            dataloader_num_workers=1, remove_unused_columns=False, save_strategy="no", report_to=[],
            disable_tqdm=True, logging_strategy="no", seed=0, torch_compile=job["compile"],
            gradient_checkpointing=job["device"] == "cuda",
        )  # fmt: skip
        trainer = Counting(
            model=model, args=arguments, train_dataset=Rows(), data_collator=collate, callbacks=[Clock()]
        )
        trainer.train()
    return ends[-1] - ends[WARM - 1], sum(int(t) for t in tokens[WARM:])


def worker(job: dict[str, Any]) -> None:
    kind = job["kind"]
    seconds, tokens = peer(job, kind == "peer-grouped") if kind.startswith("peer") else ours(job, kind)
    print(json.dumps({"seconds": seconds, "tokens": tokens}))


def ask(job: dict[str, Any]) -> dict[str, float]:
    """One contender's figures, from a process of its own."""
    done = subprocess.run(
        [sys.executable, __file__, "--job", json.dumps(job)], capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise SystemExit(f"{TOLD[job['kind']]} failed:\n{done.stderr[-3000:]}")
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def main(arguments: argparse.Namespace) -> None:
    model = base(arguments.shapes, arguments.layers)
    scale = 1.0 if arguments.shapes == "7b" else 0.25
    kept: dict[str, dict[str, list[float]]] = {}
    for stage in arguments.stage:
        rates: dict[str, list[float]] = {kind: [] for kind in CONTENDERS[stage]}
        with tempfile.TemporaryDirectory() as folder:
            count = arguments.batch * (arguments.steps + WARM) * 2
            rows = write_rows(Path(folder), stage, count, scale)
            job = {
                "stage": stage, "model": str(model), "rows": str(rows), "images": folder,
                "steps": arguments.steps, "batch": arguments.batch, "device": arguments.device,
                "compile": arguments.compile,
            }  # fmt: skip
            for turn in range(arguments.rounds):
                kinds = list(rates)
                for kind in kinds[turn % len(kinds) :] + kinds[: turn % len(kinds)]:
                    found = ask(job | {"kind": kind})
                    rates[kind].append(found["tokens"] / found["seconds"])
                    told = f"{stage} round {turn + 1} {TOLD[kind]}"
                    print(f"{told}: {rates[kind][-1]:,.0f} tokens/s", flush=True)
        kept[stage] = rates
        reference = statistics.median(rates["peer"])
        print(f"\n{stage}, {arguments.shapes}, batch {arguments.batch}, medians of {arguments.rounds}")
        for kind, each in rates.items():
            rate = statistics.median(each)
            print(f"  {TOLD[kind]:42} {rate:10,.0f} tokens/s  {rate / reference:5.2f} x")
        print()
    if arguments.json:
        arguments.json.write_text(json.dumps(kept, indent=1), encoding="utf-8")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--shapes", choices=SHAPES, default="small")
    parser.add_argument("--layers", type=int, help="of the language model")
    parser.add_argument("--stage", nargs="+", choices=CONTENDERS, default=["align", "instruct"])
    parser.add_argument("--steps", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--compile", action="store_true", help="torch.compile, on both sides")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--job", type=json.loads, help=argparse.SUPPRESS)
    found = parser.parse_args()
    worker(found.job) if found.job else main(found)
