"""llama.cpp itself, where llama-cpp-python is installed: it reads our files and writes the same tokens."""

from pathlib import Path
from typing import Any

import pytest
import torch

from checkpoint.test_gguf_read import in_memory
from checkpoint.test_gguf_write import source
from llavakit.checkpoint.folder import open_folder
from llavakit.checkpoint.gguf_write import write_gguf
from llavakit.checkpoint.locate import embedded_folder
from llavakit.checkpoint.source import Source

pytestmark = pytest.mark.slow
llama_cpp = pytest.importorskip("llama_cpp", reason="llama-cpp-python is not installed")

PROMPT = "USER: How many cars are there in the picture? ASSISTANT:"
COUNT = 12


def theirs(of: Source, folder: Path, scheme: str) -> Any:
    write_gguf(of, folder, scheme, "model")
    return llama_cpp.Llama(str(folder / f"model-{scheme}.gguf"), n_ctx=256, logits_all=True, verbose=False)


def greedy(of: Source, ids: list[int]) -> list[int]:
    """The most probable token again and again, ours, without a cache."""
    model = in_memory(of)
    ids = list(ids)
    for _ in range(COUNT):
        with torch.no_grad():
            ids.append(int(model(torch.tensor([ids]))[0, -1].argmax()))
    return ids


def greedy_there(llama: Any, ids: list[int]) -> list[int]:
    return [
        *ids,
        *(token for token, _ in zip(llama.generate(ids, temp=0.0, top_k=1), range(COUNT), strict=False)),
    ]


def test_the_embedded_model_answers_the_same_in_llama_cpp(tmp_path: Path) -> None:
    given = open_folder(embedded_folder())
    llama = theirs(given, tmp_path / "model", "f32")
    ids = given.tokenizer.encode(PROMPT)
    assert llama.tokenize(PROMPT.encode(), add_bos=True, special=True) == ids
    assert greedy_there(llama, ids) == greedy(given, ids)


@pytest.mark.parametrize("text", ["llama", "qwen2", "qwen3"])
def test_every_architecture_has_the_same_logits_in_llama_cpp(tmp_path: Path, text: str) -> None:
    given = source(text)
    llama = theirs(given, tmp_path / "model", "f32")
    ids = [1, 5, 9, 13, 21, 34, 55, 8]
    llama.eval(ids)
    with torch.no_grad():
        ours = in_memory(given)(torch.tensor([ids]))[0]
    # llama.cpp keeps keys and values in 16 bits
    assert float((torch.tensor(llama.scores[: len(ids)]) - ours).abs().max()) < 0.05 * float(ours.abs().max())


@pytest.mark.parametrize("scheme", ["q8_0", "q4_0", "q4_k"])
def test_packed_weights_mean_the_same_in_llama_cpp(tmp_path: Path, scheme: str) -> None:
    """Against our own reading of the same file: only rounding of activations differs."""
    from llavakit.checkpoint.gguf_read import open_gguf

    given = open_folder(embedded_folder())
    llama = theirs(given, tmp_path / "model", scheme)
    ids = given.tokenizer.encode(PROMPT)
    llama.eval(ids)
    with torch.no_grad():
        ours = in_memory(open_gguf(tmp_path / "model" / f"model-{scheme}.gguf"))(torch.tensor([ids]))[0]
    there = torch.tensor(llama.scores[: len(ids)])
    assert float((there - ours).norm() / ours.norm()) < 0.05
