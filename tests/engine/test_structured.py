"""A random model, which says letters and digits if it is let, says JSON and nothing else when it must."""

import builtins
import json
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from tokenizers import Tokenizer as Backend
from tokenizers import decoders, models, pre_tokenizers

from assemble import byte_tokenizer, random_llava
from llavakit.engine.sampling import Sampler, Sampling
from llavakit.engine.structured import Guide, make_guide
from llavakit.errors import LlavaError, UsageError
from llavakit.llava import LLaVA
from llavakit.prompt.messages import user
from llavakit.prompt.tokenizer import TextStream, Tokenizer
from prompt.sentencepieces import write

PLACES = ["street", "beach", "café", "東京"]
BOX = {
    "type": "array",
    "items": {"type": "integer", "minimum": 0, "maximum": 999},
    "minItems": 4,
    "maxItems": 4,
}
LABEL = {"type": "string", "maxLength": 6}
THING = {
    "type": "object",
    "properties": {"label": LABEL, "box": BOX},
    "required": ["label", "box"],
    "additionalProperties": False,
}


def closed(**properties: Any) -> dict[str, Any]:
    names = list(properties)
    return {"type": "object", "properties": properties, "required": names, "additionalProperties": False}


def is_thing(value: Any) -> bool:
    box, label = value["box"], value["label"]
    whole = all(type(side) is int and 0 <= side <= 999 for side in box)
    return set(value) == {"label", "box"} and len(box) == 4 and whole and len(label) <= 6


# A schema, and whether a value is one that it describes, written by hand.
SCHEMAS: dict[str, tuple[dict[str, Any], Callable[[Any], bool]]] = {
    "enum": ({"enum": PLACES}, lambda v: v in PLACES),
    "constant": ({"const": {"a": [1, None, True]}}, lambda v: v == {"a": [1, None, True]}),
    "integer": (
        {"type": "integer", "minimum": -3, "maximum": 120},
        lambda v: type(v) is int and -3 <= v <= 120,
    ),
    "boolean or null": ({"type": ["boolean", "null"]}, lambda v: v in (True, False, None)),
    "array": (
        {"type": "array", "items": {"type": "boolean"}, "minItems": 2, "maxItems": 5},
        lambda v: 2 <= len(v) <= 5 and all(type(each) is bool for each in v),
    ),
    "object": (
        closed(place={"enum": PLACES}, people={"type": "integer", "minimum": 0, "maximum": 9}),
        lambda v: list(v) == ["place", "people"] and v["place"] in PLACES and 0 <= v["people"] <= 9,
    ),
    "nested": (
        closed(
            things={"type": "array", "items": THING, "minItems": 1, "maxItems": 3}, sure={"type": "boolean"}
        ),
        lambda v: 1 <= len(v["things"]) <= 3 and all(map(is_thing, v["things"])) and type(v["sure"]) is bool,
    ),
    "by reference": (
        {"$defs": {"thing": THING}, **closed(first={"$ref": "#/$defs/thing"})},
        lambda v: list(v) == ["first"] and is_thing(v["first"]),
    ),
    "text": ({"type": "string", "minLength": 3, "maxLength": 8}, lambda v: 3 <= len(v) <= 8),
    "pattern": (
        {"type": "string", "pattern": "^[A-Z]{2}[0-9]{1,4}é$"},
        lambda v: re.fullmatch("[A-Z]{2}[0-9]{1,4}é", v) is not None,
    ),
}  # fmt: skip


@pytest.fixture(scope="module")
def tiny() -> Tokenizer:
    import llavakit.tiny

    return Tokenizer.load(Path(llavakit.tiny.__file__).parent / "weights")


@pytest.fixture(scope="module")
def pieces(tmp_path_factory: pytest.TempPathFactory) -> Tokenizer:
    return Tokenizer.load(write(tmp_path_factory.mktemp("pieces")))


@pytest.fixture
def tokenizer(request: pytest.FixtureRequest) -> Tokenizer:
    return byte_tokenizer() if request.param == "bytes" else request.getfixturevalue(request.param)


tokenizers = pytest.mark.parametrize("tokenizer", ["bytes", "tiny", "pieces"], indirect=True)


def drawn(tokenizer: Tokenizer, vocabulary: int | None = None, most: int = 400, **values: Any) -> str | None:
    """What noise for logits says when guided; None: it was cut."""
    sampling = Sampling(**values)
    ends = frozenset({tokenizer.eos_id})
    sampler = Sampler(sampling, [], make_guide(sampling, tokenizer, ends))
    generator = torch.Generator().manual_seed(sampling.seed or 0)
    text = TextStream(tokenizer)
    written = ""
    for _ in range(most):
        token = sampler.draw(torch.randn(vocabulary or tokenizer.vocab_size, generator=generator))
        if token in ends:
            return (written + text.flush()).strip()
        written += text.push(token)
    return None


@torch.no_grad()
def said(llava: LLaVA, **values: Any) -> str | None:
    """What a model answers, each step computed anew; None: it was cut."""
    sampling = Sampling(**values)
    ends = llava.encoder.end_ids
    ids = llava.encoder.encode([user("What is there?")]).ids
    sampler = Sampler(sampling, ids, make_guide(sampling, llava.tokenizer, ends))
    answer: list[int] = []
    while len(answer) < sampling.max_new_tokens:
        token = sampler.draw(llava.model(torch.tensor([ids + answer]))[0, -1])
        if token in ends:
            return llava.tokenizer.decode(answer).strip()
        answer.append(token)
    return None


@pytest.mark.parametrize("temperature", [0.0, 1.0, 3.0])
@pytest.mark.parametrize("name", SCHEMAS)
def test_a_random_model_gives_json_that_the_schema_describes(llava: LLaVA, name: str, temperature: float):
    schema, fits = SCHEMAS[name]
    text = said(llava, json_schema=schema, temperature=temperature, seed=1, max_new_tokens=200)
    assert text is not None, "every one of these schemas has an end"
    assert fits(json.loads(text)), text


@tokenizers
@pytest.mark.parametrize("name", SCHEMAS)
def test_noise_becomes_json_with_any_tokenizer(tokenizer: Tokenizer, name: str):
    schema, fits = SCHEMAS[name]
    for seed in range(10):
        text = drawn(tokenizer, json_schema=schema, temperature=1.0, seed=seed)
        assert text is not None
        assert fits(json.loads(text)), text


@tokenizers
def test_filters_do_not_let_through_what_the_form_forbids(tokenizer: Tokenizer):
    """The likeliest token of all is mostly one that cannot come: top-k and top-p look at the others only."""
    schema, fits = SCHEMAS["nested"]
    for values in ({"top_k": 1}, {"top_p": 1e-6}, {"top_p": 0.5, "top_k": 3, "repetition_penalty": 1.5}):
        text = drawn(tokenizer, json_schema=schema, temperature=0.7, seed=3, **values)
        assert text is not None
        assert fits(json.loads(text)), text


@tokenizers
@pytest.mark.parametrize(
    "regex",
    [
        "yes|no", r"[0-9]{2,4}", r"\d{4}-[\d]{2}-\d+", "a/b\\.c", '"[^"]{0,5}"', "é{1,3}東{2}", "(?i)ja|nein",
        r"[a-z]{1,3}\n[é-ü]", "x\ny",
    ],
)  # fmt: skip
def test_noise_becomes_what_an_expression_matches(tokenizer: Tokenizer, regex: str):
    for seed in range(10):
        text = drawn(tokenizer, regex=regex, temperature=1.0, seed=seed)
        assert text is not None
        assert re.fullmatch(regex, text), text


@tokenizers
def test_only_the_end_can_come_where_the_form_is_complete(tokenizer: Tokenizer):
    guide = Guide(Sampling(json_schema={"const": 7}), tokenizer, {tokenizer.eos_id})
    logits = torch.zeros(tokenizer.vocab_size)
    for token in tokenizer.encode_plain("7", first=False).ids:
        assert guide.mask(logits)[tokenizer.eos_id] == -torch.inf  # not yet
        assert guide.mask(logits)[token] == 0
        guide.took(token)
    assert guide.mask(logits).isfinite().nonzero().tolist() == [[tokenizer.eos_id]]


def test_every_end_token_may_end_it_and_text_may_go_on():
    tokenizer = byte_tokenizer()
    ends = {tokenizer.eos_id, tokenizer.pad_id}
    guide = Guide(Sampling(regex="a+"), tokenizer, ends)
    letter = tokenizer.encode_plain("a", first=True).ids[0]
    guide.took(letter)
    allowed = guide.mask(torch.zeros(tokenizer.vocab_size)).isfinite().nonzero().flatten().tolist()
    assert set(allowed) == ends | {letter}


@tokenizers
def test_special_tokens_are_never_text(tokenizer: Tokenizer):
    guide = Guide(Sampling(regex=".{5}"), tokenizer, {tokenizer.eos_id})
    masked = guide.mask(torch.zeros(tokenizer.vocab_size))
    assert not masked[list(tokenizer.special.values())].isfinite().any()
    assert masked.isfinite().sum() > 60


@tokenizers
def test_a_string_may_hold_the_letters_of_a_special_token(tokenizer: Tokenizer):
    for mark in tokenizer.special:
        text = drawn(tokenizer, json_schema={"const": f"x{mark}y"})
        assert text is not None
        assert json.loads(text) == f"x{mark}y"


def test_an_answer_may_open_with_one_space_as_models_like_to():
    tokenizer = byte_tokenizer()
    for values in ({"regex": "yes"}, {"json_schema": {"enum": ["yes"]}}):
        guide = Guide(Sampling(**values), tokenizer, {tokenizer.eos_id})
        space = tokenizer.encode_plain(" ", first=True).ids[0]
        logits = torch.zeros(tokenizer.vocab_size)
        assert guide.mask(logits)[space] == 0
        guide.took(space)
        assert guide.mask(logits)[space] == -torch.inf


def test_white_space_does_not_run_for_ever():
    """A model that loves spaces and line breaks above all gets no more than one space in a place."""
    tokenizer = byte_tokenizer()
    logits = torch.zeros(tokenizer.vocab_size)
    logits[tokenizer.encode_plain(" \n\t\r", first=True).ids] = 10
    sampling = Sampling(json_schema=closed(a=BOX, b={"enum": ["x"]}))
    sampler = Sampler(sampling, [], make_guide(sampling, tokenizer, {tokenizer.eos_id}))
    answer: list[int] = []
    while (token := sampler.draw(logits)) != tokenizer.eos_id:
        answer.append(token)
    text = tokenizer.decode(answer)
    assert re.fullmatch(r' \{"a": \[(\d+, ){3}\d+\], "b": "x"\}', text), text


def test_a_models_table_may_be_longer_or_shorter_than_its_tokenizer():
    tokenizer = byte_tokenizer()
    for vocabulary in (tokenizer.vocab_size + 60, tokenizer.vocab_size - 1):  # padded; <image> has no row
        schema, fits = SCHEMAS["object"]
        text = drawn(tokenizer, vocabulary, json_schema=schema, temperature=1.0)
        assert text is not None
        assert fits(json.loads(text))


def test_logits_keep_their_type_and_are_not_changed_in_place():
    tokenizer = byte_tokenizer()
    guide = Guide(Sampling(regex="a"), tokenizer, {tokenizer.eos_id})
    logits = torch.ones(tokenizer.vocab_size, dtype=torch.bfloat16)
    assert guide.mask(logits).dtype == torch.bfloat16
    assert bool((logits == 1).all())


def test_a_seed_draws_the_same_guided_answer_again(llava: LLaVA):
    values = {"json_schema": SCHEMAS["nested"][0], "temperature": 1.0, "max_new_tokens": 200}
    assert said(llava, seed=1, **values) == said(llava, seed=1, **values)
    assert said(llava, seed=1, **values) != said(llava, seed=2, **values)


def test_a_schema_may_be_given_as_its_json_text():
    schema, fits = SCHEMAS["object"]
    text = drawn(byte_tokenizer(), json_schema=json.dumps(schema), temperature=1.0)
    assert text is not None
    assert fits(json.loads(text))


def test_a_schema_cannot_bring_its_own_white_space():
    schema = {"type": "array", "minItems": 3, "maxItems": 3, "items": {"const": 1}}
    text = drawn(
        byte_tokenizer(), json_schema=schema | {"x-guidance": {"whitespace_flexible": True}}, temperature=1.0
    )
    assert text is not None
    assert re.fullmatch(r"\[1, ?1, ?1\]", text)


def test_no_form_asked_for_means_no_guide():
    tokenizer = byte_tokenizer()
    assert make_guide(Sampling(), tokenizer, {tokenizer.eos_id}) is None


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({"json_schema": {"type": "foo"}}, "^json_schema: Invalid type: foo$"),
        ({"json_schema": {"type": "object", "properties": 5}}, "^json_schema: properties must be an object$"),
        ({"json_schema": {"$ref": "https://example.org/schema"}}, "^json_schema: .*does not fetch"),
        ({"json_schema": {"enum": []}}, "^json_schema: Unsatisfiable schema"),
        ({"json_schema": {"not": {"type": "string"}}}, '^json_schema: Unimplemented keys: ."not".'),
        ({"json_schema": {"type": "string", "pattern": "("}}, "^json_schema: unclosed group$"),
        ({"regex": "("}, "^regex: unclosed group$"),
        ({"regex": "a)|(b"}, "^regex: unopened group$"),  # though between brackets it would be right
        ({"regex": "a(?=b)"}, "^regex: look-around"),
        ({"regex": r"(a)\1"}, "^regex: backreferences are not supported$"),
    ],
)  # fmt: skip
def test_a_wrong_form_is_the_users_mistake_and_named(values, says):
    tokenizer = byte_tokenizer()
    with pytest.raises(UsageError, match=says):
        Guide(Sampling(**values), tokenizer, {tokenizer.eos_id})


def letters(characters: str) -> Tokenizer:
    """A byte-level tokenizer that lacks most bytes."""
    backend = Backend(models.BPE(vocab={letter: i for i, letter in enumerate(characters)}, merges=[]))
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    backend.decoder = decoders.ByteLevel()
    backend.add_special_tokens(["</s>"])
    return Tokenizer(backend, bos_token=None, eos_token="</s>", pad_token=None, image_token="<image>")


def test_a_character_that_the_vocabulary_lacks_ends_in_an_error_that_says_so():
    with pytest.raises(LlavaError, match=r"^regex: the answer cannot go on"):
        drawn(letters("abc"), regex="abx")


def test_a_token_that_was_not_allowed_is_refused():
    tokenizer = byte_tokenizer()
    guide = Guide(Sampling(regex="a"), tokenizer, {tokenizer.eos_id})
    with pytest.raises(LlavaError, match=r"^regex: token 66 cannot come here"):
        guide.took(66)


def test_a_tokenizer_of_another_kind_is_refused():
    backend = Backend(models.WordLevel({"yes": 0, "[UNK]": 1}, unk_token="[UNK]"))
    backend.add_special_tokens(["</s>"])
    words = Tokenizer(backend, bos_token=None, eos_token="</s>", pad_token=None, image_token="<image>")
    with pytest.raises(UsageError, match="cannot be used with this model's tokenizer"):
        Guide(Sampling(regex="yes"), words, {words.eos_id})


def test_without_the_library_the_extra_is_named(monkeypatch: pytest.MonkeyPatch):
    real = builtins.__import__

    def without(name: str, *rest: Any) -> Any:
        if name == "llguidance":
            raise ImportError(name)
        return real(name, *rest)

    monkeypatch.delitem(sys.modules, "llguidance", raising=False)
    monkeypatch.setattr(builtins, "__import__", without)
    tokenizer = byte_tokenizer()
    with pytest.raises(UsageError, match=r"llavakit\[structured\]"):
        Guide(Sampling(regex="a"), tokenizer, {tokenizer.eos_id})


def test_a_tokenizers_table_is_made_once_and_goes_with_it():
    from llavakit.engine import structured

    tokenizer = byte_tokenizer()
    before = len(structured._tables)
    tables = {id(structured._table(tokenizer)) for _ in range(3)}
    assert len(tables) == 1
    assert len(structured._tables) == before + 1
    del tokenizer
    assert len(structured._tables) == before


def test_guided_and_free_answers_stand_side_by_side():
    """Guides of one tokenizer share its table and nothing else."""
    tokenizer = byte_tokenizer()
    a, b = (Guide(Sampling(regex=each), tokenizer, {tokenizer.eos_id}) for each in ("ab", "ba"))
    first, second = tokenizer.encode_plain("ab", first=True).ids
    logits = torch.zeros(tokenizer.vocab_size)
    a.took(first)
    assert a.mask(logits)[second] == 0
    assert b.mask(logits)[first] == -torch.inf
    assert b.mask(logits)[second] == 0


def test_what_two_models_say_differs_and_both_are_right():
    schema, fits = SCHEMAS["nested"]
    texts = [
        said(random_llava(seed=seed), json_schema=schema, max_new_tokens=200, temperature=1.0, seed=0)
        for seed in (1, 2)
    ]
    assert texts[0] != texts[1]
    assert all(text is not None and fits(json.loads(text)) for text in texts)
