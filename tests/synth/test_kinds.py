"""Kinds: what a teacher is sent, and what of its replies is read."""

import pickle
from dataclasses import replace
from pathlib import Path

import pytest

from llavakit.errors import LlavaError, UsageError
from llavakit.synth.check import Checker
from llavakit.synth.kinds import Kind, context, load_kinds, write_prompts
from llavakit.synth.kinds.forms import INSTRUCTION
from llavakit.synth.scene import Region, Scene, Thing
from llavakit.synth.task import KINDS, RejectedError, Task

ALL = load_kinds()
SCENE = Scene(
    "7", "7.jpg", ("A dog on a lawn.", "A brown dog  plays\nin a garden."),
    (Thing("dog", (0.1, 0.25, 0.5, 1.0)), Thing("frisbee", (0.55, 0.12345, 0.6, 0.2))),
)  # fmt: skip


def task(kind: str, scene: Scene = SCENE, seed: int = 0) -> Task:
    return Task(scene, kind, seed, ("cat", "bench") if kind == "absent" else ())


def turns(kind: str, text: str) -> tuple[tuple[str, str], ...]:
    return ALL[kind].read(task(kind), text)


def rejected(kind: str, text: str) -> str:
    with pytest.raises(RejectedError) as caught:
        turns(kind, text)
    return f"{caught.value.kind}: {caught.value.reason}"


# What is sent ---------------------------------------------------------------------------------------------


def test_a_scene_is_captions_then_boxes_with_three_decimals_as_in_the_paper() -> None:
    assert context(SCENE) == (
        "A dog on a lawn.\nA brown dog plays in a garden.\n\n"
        "dog: [0.100, 0.250, 0.500, 1.000]\nfrisbee: [0.550, 0.123, 0.600, 0.200]"
    )


def test_regions_crowds_gaps_and_mentions_are_told_and_what_is_missing_takes_no_line() -> None:
    scene = Scene(
        "8", "8.jpg", (), (Thing("car", (0, 0, 1, 1)),), (Region("a red roof", (0, 0, 0.5, 0.5)),),
        ("Figure 2 shows a street.",), complete=False, crowds=frozenset({"person", "bird"}),
    )  # fmt: skip
    assert context(scene) == (
        "car: [0.000, 0.000, 1.000, 1.000]\na red roof: [0.000, 0.000, 0.500, 0.500]\n"
        "and more of: bird, person\n(there may be more than this)\n\n"
        "In the text:\nFigure 2 shows a street."
    )
    assert context(replace(SCENE, things=())) == "A dog on a lawn.\nA brown dog plays in a garden."


@pytest.mark.parametrize("name", KINDS)
def test_messages_are_the_prompt_two_examples_and_the_scene(name: str) -> None:
    sent = ALL[name].messages(task(name))
    assert [each["role"] for each in sent] == ["system", "user", "assistant", "user", "assistant", "user"]
    assert sent[-1]["content"].startswith(context(SCENE))
    assert "{scene}" not in sent[0]["content"] and "[x1, y1, x2, y2]" in sent[0]["content"]


def test_a_task_about_absent_things_names_them_and_a_choice_the_letter_to_be_right() -> None:
    assert (
        ALL["absent"].messages(task("absent"))[-1]["content"].endswith("\n\nNot in the picture: cat, bench")
    )
    letters = {ALL["choice"].messages(task("choice", seed=seed))[-1]["content"][-1] for seed in range(40)}
    assert letters == set("ABCD")
    for example in ALL["choice"].messages(task("choice"))[1:5:2]:
        assert example["content"][-1] in "AC"  # as their replies have it


def test_each_prompt_has_its_own_version_which_changes_with_what_is_sent(tmp_path: Path) -> None:
    assert len({kind.version for kind in ALL.values()}) == len(KINDS)
    mine = write(tmp_path, "brief", "in one sentence what", "in one line what")
    assert mine["brief"].version != ALL["brief"].version
    assert mine["detail"].version == ALL["detail"].version == load_kinds()["detail"].version


def test_wordings_are_many_and_not_sent(tmp_path: Path) -> None:
    for name, least in (("detail", 12), ("brief", 11)):
        asked = {ALL[name].read(task(name, seed=seed), "A dog.")[0][0] for seed in range(300)}
        assert len(asked) >= least
    mine = write(tmp_path, "brief", "Say briefly what this picture shows.", "Say it.")
    assert mine["brief"].version == ALL["brief"].version


def test_kinds_can_be_sent_to_another_machine() -> None:
    again = pickle.loads(pickle.dumps(ALL))
    assert again["choice"].messages(task("choice")) == ALL["choice"].messages(task("choice"))


def test_what_a_kind_needs_of_a_scene_is_said() -> None:
    def usable(name: str, scene: Scene) -> bool:
        return not ALL[name].usable(scene)

    bare = Scene("1", "1.jpg")
    boxes = replace(SCENE, captions=())
    assert all(usable(name, SCENE) for name in KINDS)
    assert [name for name in KINDS if usable(name, bare)] == ["absent"]
    assert not usable("reasoning", boxes) and not usable("detail", boxes) and usable("conversation", boxes)
    assert usable("detail", replace(boxes, things=SCENE.things * 2))
    assert not usable("absent", replace(SCENE, complete=False))


# What is read ---------------------------------------------------------------------------------------------


def test_pairs_are_read_and_answers_may_have_several_lines() -> None:
    text = (
        "\nQuestion: What is it?\r\nAnswer: A dog.\r\nIt is brown.\n\nQuestion:  Where?\nAnswer: On a lawn.\n"
    )
    assert turns("conversation", text) == (
        ("What is it?", "A dog.\nIt is brown."), ("Where?", "On a lawn."),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("kind", "text", "reason"),
    [
        ("conversation", "Here you go!\nQuestion: a b?\nAnswer: c.", "does not begin with"),
        ("conversation", "", "does not begin with"),
        ("conversation", "**Question:** a b?\n**Answer:** c.", "does not begin with"),
        ("conversation", "Question: a b?\nAnswer: c.", "has 1 question, not 2 or more"),
        ("conversation", "Question: a b?\nQuestion: c d?\nAnswer: e.", "question 1 and its"),
        ("conversation", "Question: a b?\nAnswer: c.\nQuestion: d?", "question 2 and its"),
        ("conversation", "Question:\nAnswer: c.", "question 1 is empty"),
        ("absent", "Question: a b?\nAnswer:", "answer 1 is empty"),
        ("absent", "Question: a\nb?\nAnswer: c.", "question 1 has several lines"),
        ("reasoning", "Question: a?\nAnswer: b.\n\nQuestion: c?\nAnswer: d.", "has 2 questions, not 1"),
        ("detail", " \n", "is empty"),
        ("detail", "# A dog\nThere is a dog.", "not plain text: '#'"),
        ("brief", "Answer: a dog.", "not plain text: 'Answer:'"),
        ("brief", "A **dog**.", "not plain text"),
        ("choice", "What?\nA. a\nB. b\nAnswer: A", "does not begin with"),
        ("choice", "Question: What?\nA. a\nC. b\nAnswer: A", "where option B should"),
        ("choice", "Question: What?\nA) a\nB) b\nAnswer: A", "where option A should"),
        ("choice", "Question: What?\nA. a\nAnswer: A", "has 1 option, not 2 to 6"),
        ("choice", "Question: What?\nA. a\nB. b\nAnswer: C", "where the right option's letter should"),
        ("choice", "Question: What?\nA. a\nB. b\nAnswer: b", "where the right option's letter should"),
        ("choice", "Question:\nA. a\nB. b\nAnswer: A", "the question is empty"),
    ],
)  # fmt: skip
def test_a_reply_in_another_form_is_rejected_with_the_reason(kind: str, text: str, reason: str) -> None:
    found = rejected(kind, text)
    assert found.startswith("form: ") and reason in found


def test_a_refusal_in_place_of_the_form_is_called_one() -> None:
    found = rejected("conversation", "I'm sorry, but I cannot see the image.")
    assert found == 'refusal: the teacher speaks of itself: "i\'m sorry"'


def test_a_choice_becomes_a_row_of_the_form_of_llava_1_5() -> None:
    text = "Question: What is on the lawn?\nA. a cat\nB. a dog\n\nAnswer: B\n"
    assert turns("choice", text) == (
        (f"What is on the lawn?\nA. a cat\nB. a dog\n{INSTRUCTION}", "B"),
    )  # fmt: skip


def test_the_question_of_a_description_is_drawn_by_the_task_alone() -> None:
    first = turns("detail", "A dog lies on a lawn.")
    assert first == turns("detail", "A dog lies on a lawn.")
    assert first[0][1] == "A dog lies on a lawn."


@pytest.mark.parametrize("name", KINDS)
def test_the_examples_pass_our_own_reader_and_checks(name: str) -> None:
    kind = ALL[name]
    categories = {thing.category for each in kind.prompt.examples for thing in each.things}
    checker = Checker(sorted(categories | {name for each in kind.prompt.examples for name in each.absent}))
    for number, example in enumerate(kind.prompt.examples):
        shown = example.task(name, number)
        assert checker.check(shown, kind.read(shown, example.reply)).unsupported == ()


# Files of a user's own ------------------------------------------------------------------------------------


def write(folder: Path, name: str, old: str, new: str) -> dict[str, Kind]:
    """Our prompts, one changed in a folder where it is alone."""
    (theirs,) = [path for path in write_prompts(folder / "all") if path.stem == name]
    text = theirs.read_text()
    assert old in text
    (folder / theirs.name).write_text(text.replace(old, new))
    return load_kinds(folder)


def test_prompts_written_are_read_as_they_were_and_never_overwritten(tmp_path: Path) -> None:
    paths = write_prompts(tmp_path / "prompts")
    assert [path.name for path in paths] == [f"{name}.toml" for name in KINDS]
    assert load_kinds(tmp_path / "prompts") == ALL
    with pytest.raises(UsageError, match=r"conversation\.toml is there already"):
        write_prompts(tmp_path / "prompts")
    (tmp_path / "file").write_text("")
    with pytest.raises(LlavaError, match="cannot be made"):
        write_prompts(tmp_path / "file" / "prompts")


@pytest.mark.parametrize(
    ("name", "old", "new", "reason"),
    [
        ("detail", "max_tokens = 500\n", "", "detail.toml: max_tokens: Field required"),
        ("detail", "max_tokens", "max_token", "unknown field 'max_token' (did you mean 'max_tokens'?)"),
        ("detail", "temperature = 0.5", "temperature = hot", "detail.toml: not valid TOML"),
        ("detail", "temperature = 0.5", "temperature = 5", "temperature: Input should be less than"),
        ("absent", "temperature = 0.7", 'temperature = 0\nwordings = ["a"]', "unknown field 'wordings'"),
        ("brief", '"Describe the image in brief."', '"<image>"', "wordings: '<image>' is no question"),
        ("brief", "box = [0.421,", "box = [0.621,", "examples.0.things.0.box: is not [x1, y1, x2, y2]"),
        ("choice", "Answer: C", "Answer: E", "choice.toml: examples.0.reply: 'Answer: E' stands where"),
    ],
)
def test_a_faulty_prompt_is_named_with_its_field(
    tmp_path: Path, name: str, old: str, new: str, reason: str
) -> None:
    with pytest.raises(UsageError) as caught:
        write(tmp_path, name, old, new)
    assert reason in str(caught.value) and str(tmp_path) in str(caught.value)


def test_a_folder_without_prompts_or_with_a_strange_one_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no prompt in this folder"):
        load_kinds(tmp_path)
    with pytest.raises(UsageError, match="there is no such folder"):
        load_kinds(tmp_path / "nowhere")
    (tmp_path / "details.toml").write_text("")
    with pytest.raises(UsageError, match="no kind 'details' \\(did you mean 'detail'"):
        load_kinds(tmp_path)
