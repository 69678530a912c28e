"""A LLaVA put together from a vision tower and a language model, both written by transformers."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers

from checkpoint.originals import WORDS, clip_folder, tower_folder
from llavakit.checkpoint import build, compose, load, save
from llavakit.config import ImageConfig, LanguageConfig, VisionConfig
from llavakit.errors import CheckpointError, UsageError
from model.reference import TEXT_NUMBERS, gap, hf_llava, hf_logits, pictures, randomise
from prompt.sentencepieces import write


@pytest.fixture(scope="module")
def parts(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, Any, Any]:
    """A tower's folder and a language model's, and the models inside."""
    folder = tmp_path_factory.mktemp("parts")
    hf_model, _ = hf_llava()
    numbers = {name: value for name, value in TEXT_NUMBERS.items() if name != "rope_theta"}
    rope = {"rope_type": "default", "rope_theta": TEXT_NUMBERS["rope_theta"]}
    config = transformers.LlamaConfig(**(numbers | {"vocab_size": WORDS}), rope_parameters=rope)
    language = randomise(transformers.LlamaForCausalLM(config), seed=2).eval()
    language.save_pretrained(folder / "vicuna")
    write(folder / "vicuna", add_bos_token=True, legacy=False)
    return tower_folder(folder / "clip", hf_model), folder / "vicuna", hf_model, language


def test_the_parts_are_as_they_were_and_the_connector_is_new(parts):
    tower, vicuna, hf_model, language = parts
    model = build(compose(tower, vicuna, template="vicuna_v1"), dtype=torch.float32).model
    ids = torch.tensor([[1, 5, 9, 20, 7]])
    # 1e-5: the same network by two implementations, logits of size 1
    with torch.no_grad():
        theirs = language(ids).logits
    assert gap(model(ids)[..., :WORDS], theirs) < 1e-5
    pixels = pictures(model.config, 1)
    with torch.no_grad():
        seen = hf_model.model.vision_tower(pixels, output_hidden_states=True).hidden_states[-2]
    assert gap(model.vision_tower(pixels, -2), seen) < 1e-4
    bound = model.config.vision.hidden_size**-0.5  # of torch's linear layers
    assert 0.5 * bound < float(model.connector.linear_1.weight.abs().max()) <= bound


def test_the_connector_depends_on_the_seed_alone(parts):
    tower, vicuna, *_ = parts
    drawn = [
        compose(tower, vicuna, template="v0", seed=seed).tensors.read("connector.linear_2.weight")
        for seed in (1, 1, 2)
    ]
    assert torch.equal(drawn[0], drawn[1]) and not torch.equal(drawn[0], drawn[2])


@pytest.mark.parametrize("markers", [False, True])
def test_new_tokens_have_rows_behind_the_words_that_begin_as_their_mean(parts, markers):
    tower, vicuna, _, language = parts
    checkpoint = build(compose(tower, vicuna, template="vicuna_v1", image_markers=markers))
    tokenizer, table = checkpoint.tokenizer, checkpoint.model.language_model.embed_tokens.weight
    assert len(table) % 64 == 0 and len(table) - tokenizer.vocab_size < 64
    assert checkpoint.model.config.language.vocab_size == len(table)
    assert tokenizer.image_token_id == checkpoint.model.config.image_token_id == WORDS + 2 * markers
    assert ("<im_start>" in tokenizer.special) == checkpoint.image_markers == markers
    words = language.get_input_embeddings().weight
    assert torch.equal(table[:WORDS], words)
    assert torch.allclose(table[WORDS:], words.mean(dim=0).expand(len(table) - WORDS, -1), atol=1e-6)


def test_a_table_with_room_to_spare_is_left_as_it_is(parts, tmp_path):
    tower, _, _, language = parts
    values = language.config.to_dict() | {"vocab_size": WORDS + 5}
    wide = randomise(transformers.LlamaForCausalLM(transformers.LlamaConfig(**values)))
    wide.save_pretrained(tmp_path)
    write(tmp_path, add_bos_token=True, legacy=False)
    source = compose(tower, tmp_path, template="chatml")
    assert source.said.config.language.vocab_size == WORDS + 5
    assert source.tokenizer.image_token_id == WORDS


def test_what_is_composed_loads_here_and_in_transformers(parts, tmp_path):
    tower, vicuna, *_ = parts
    checkpoint = build(compose(tower, vicuna, template="vicuna_v1", image=ImageConfig(size=24, pad=True)))
    save(checkpoint, tmp_path / "llava")
    again = load(tmp_path / "llava")
    assert again.template == "vicuna_v1" and again.image.pad
    assert again.provenance["vision_tower"] == str(tower)
    hf_model = transformers.LlavaForConditionalGeneration.from_pretrained(tmp_path / "llava").eval()
    config = again.model.config
    ids = torch.tensor([[1, 5, *[config.image_token_id] * config.tokens_per_image, 9]])
    pixels = pictures(config, 1)
    with torch.no_grad():
        mine = again.model(ids, pixels)
    assert gap(mine, hf_logits(hf_model, ids, pixels)) < 1e-4
    processor = transformers.AutoTokenizer.from_pretrained(tmp_path / "llava")
    assert processor.convert_tokens_to_ids("<image>") == config.image_token_id


def test_a_whole_clip_will_do_and_so_will_a_siglip(parts, tmp_path):
    _, vicuna, hf_model, _ = parts
    whole = compose(clip_folder(tmp_path / "clip", hf_model), vicuna, template="vicuna_v1")
    assert build(whole).model.config.tokens_per_image == 9
    siglip, _ = hf_llava(vision="siglip")
    source = compose(tower_folder(tmp_path / "siglip", siglip, "siglip"), vicuna, template="vicuna_v1")
    assert source.said.config.feature_select == "full"
    assert source.said.config.tokens_per_image == 9
    build(source)


def test_numbers_that_a_recipe_states_are_checked(parts):
    tower, vicuna, *_ = parts
    source = compose(tower, vicuna, template="vicuna_v1")
    vision = source.said.config.vision
    language = source.said.config.language.model_copy(update={"vocab_size": WORDS})
    compose(tower, vicuna, template="vicuna_v1", vision=vision, language=language, image=source.said.image)
    with pytest.raises(UsageError, match=r"\[vision\] says image_size = 336, but .*clip.config\.json has 24"):
        compose(tower, vicuna, template="v0", vision=VisionConfig())
    wrong = LanguageConfig(**(language.model_dump() | {"rope_theta": 1e4}))
    with pytest.raises(UsageError, match=r"\[language\] says rope_theta = 10000\.0, but .*has 700\.0"):
        compose(tower, vicuna, template="v0", language=wrong)
    with pytest.raises(UsageError, match=r"\[image\] says size = 336"):
        compose(tower, vicuna, template="v0", image=ImageConfig())


def test_parts_that_are_none_are_named(parts, tmp_path):
    tower, vicuna, *_ = parts
    with pytest.raises(CheckpointError, match="is a CLIP or a SigLIP"):
        compose(vicuna, vicuna, template="v0")
    with pytest.raises(UsageError, match="no model 'nowhere'"):
        compose(tower, "nowhere", template="v0")
    save(build(compose(tower, vicuna, template="v0")), tmp_path / "llava")
    with pytest.raises(CheckpointError, match="a whole LLaVA goes into init"):
        compose(tower, tmp_path / "llava", template="v0")
    (tmp_path / "bert").mkdir()
    (tmp_path / "bert" / "config.json").write_text(json.dumps({"model_type": "bert"}))
    write(tmp_path / "bert", add_bos_token=True, legacy=False)
    with pytest.raises(CheckpointError, match="llavakit has no 'bert'"):
        compose(tower, tmp_path / "bert", template="v0")
