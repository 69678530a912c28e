"""Any model that opens leaves in any format, says the same there, and is never whole in memory."""

import pytest
import torch

from checkpoint.small import checkpoint, question
from llavakit.checkpoint import load, open_source, save
from llavakit.checkpoint.export import export
from llavakit.config import Quantization
from llavakit.errors import UsageError


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("export") / "model"
    save(checkpoint(), folder)
    return folder


def logits(model):
    ids, pixels = question(model.config)
    with torch.inference_mode():
        return model(ids, pixels)


@pytest.mark.parametrize("to", ["hf", "original"])
def test_what_is_exported_gives_the_same_logits(folder, tmp_path, to):
    export(open_source(folder), tmp_path / to, to)
    assert torch.equal(logits(load(tmp_path / to).model), logits(load(folder).model))


def test_there_and_back_is_the_same_folder(folder, tmp_path):
    export(open_source(folder), tmp_path / "original", "original")
    export(open_source(tmp_path / "original"), tmp_path / "hf", "hf")
    first, again = load(folder), load(tmp_path / "hf")
    assert first.model.config == again.model.config and first.template == again.template
    state = again.model.state_dict()
    assert all(torch.equal(tensor, state[name]) for name, tensor in first.model.state_dict().items())


@pytest.mark.parametrize("scheme", ["int8", "int4"])
def test_a_quantised_export_is_what_quantised_loading_gives(folder, tmp_path, scheme):
    export(open_source(folder), tmp_path / "packed", "hf", quantize=scheme)
    on_the_way = load(folder, quantization=Quantization(scheme=scheme))
    assert torch.equal(logits(load(tmp_path / "packed").model), logits(on_the_way.model))


def test_weights_can_change_their_type_on_the_way(folder, tmp_path):
    export(open_source(folder), tmp_path / "half", "hf", dtype=torch.float16)
    assert {p.dtype for p in load(tmp_path / "half").model.parameters()} == {torch.float16}


def test_each_weight_is_reported_once_it_is_read(folder, tmp_path):
    source, read = open_source(folder), []
    export(source, tmp_path / "out", "hf", on_read=read.append)
    assert sorted(read) == sorted(source.tensors)


def test_a_quantised_model_is_not_quantised_or_converted_again(folder, tmp_path):
    export(open_source(folder), tmp_path / "packed", "hf", quantize="int8")
    source = open_source(tmp_path / "packed")
    for to, quantize in (("original", None), ("gguf", None), ("hf", "int4")):
        with pytest.raises(UsageError, match="is quantised already: export the model that it was made from"):
            export(source, tmp_path / "out", to, quantize=quantize)
    assert not (tmp_path / "out").exists()
    export(source, tmp_path / "copy", "hf")
    assert torch.equal(logits(load(tmp_path / "copy").model), logits(load(tmp_path / "packed").model))
