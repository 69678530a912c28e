"""MME: two questions a picture, joined by what they ask."""

import json
from pathlib import Path

import pytest

from llavakit.errors import UsageError
from llavakit.evaluate.tasks import get_task
from llavakit.evaluate.tasks.mme import said

SHORT = "Answer the question using a single word or phrase."
MME = get_task("mme")


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Two categories in the two official layouts: one with folders, one without."""
    root = tmp_path / "data" / "MME_Benchmark_release_version"
    art = root / "artwork"
    (art / "images").mkdir(parents=True)
    (art / "questions_answers_YN").mkdir()
    (art / "images" / "7.jpg").touch()
    (art / "questions_answers_YN" / "7.txt").write_text(
        "Is it a painting?  Please answer yes or no.\tYes\nIs it a vase? Please answer yes or no.\tNo\n"
    )
    code = root / "code_reasoning"
    code.mkdir()
    for picture, (first, second) in {"0001": ("cat", "dog"), "0002": ("5", "6")}.items():
        (code / f"{picture}.png").touch()
        (code / f"{picture}.txt").write_text(
            f"Is the output '{first}'? Please answer yes or no.\tYes\n"
            f"Is the output '{second}'? Please answer yes or no.\tNo\n\n"
        )
    return tmp_path / "data"


def answers(path: Path, rows: list[tuple[str, str, str]]) -> Path:
    path.write_text(
        "".join(
            json.dumps({"question_id": name, "prompt": prompt, "text": text}) + "\n"
            for name, prompt, text in rows
        )
    )
    return path


ROWS = [
    ("artwork/images/7.jpg", f"Is it a painting?\n{SHORT}", "Yes"),
    ("artwork/images/7.jpg", f"Is it a vase?\n{SHORT}", "No"),
    ("code_reasoning/0001.png", f"Is the output 'cat'?\n{SHORT}", "Yes"),
    ("code_reasoning/0001.png", f"Is the output 'dog'?\n{SHORT}", "Yes"),
    ("code_reasoning/0002.png", f"Is the output '5'?\n{SHORT}", "No"),
    ("code_reasoning/0002.png", f"Is the output '6'?\n{SHORT}", "No."),
]


def test_questions_are_asked_as_llava_asks_them(data: Path) -> None:
    first, *_, last = MME.questions(data)
    assert first.id == "artwork/images/7.jpg#1"
    assert first.text == f"Is it a painting?\n{SHORT}"
    assert first.images == ("MME_Benchmark_release_version/artwork/images/7.jpg",)
    assert (data / MME.images / first.images[0]).is_file()
    assert (first.truth, last.truth, last.id) == ("yes", "no", "code_reasoning/0002.png#2")


def test_a_category_scores_its_right_answers_and_its_wholly_right_pictures(
    data: Path, tmp_path: Path
) -> None:
    outcome = MME.score_file(answers(tmp_path / "answers.jsonl", ROWS), data)
    # artwork: both right. code_reasoning: 2 of 4 right, no picture of 2 wholly.
    assert outcome.metrics["artwork"] == 200
    assert outcome.metrics["code_reasoning_acc"] == 50
    assert outcome.metrics["code_reasoning_acc_plus"] == 0
    assert (outcome.metrics["perception"], outcome.metrics["cognition"]) == (200, 50)
    assert outcome.score == outcome.metrics["total"] == 250
    assert (outcome.n, outcome.missing, outcome.duplicates, outcome.strangers) == (6, 0, 0, 0)
    assert outcome.chance == 100  # always yes: half of each category's questions, and no whole picture
    assert outcome.interval[0] <= 250 <= outcome.interval[1]
    assert "up to 400 points" in outcome.notes[0]


def test_answers_are_joined_by_what_was_asked_whatever_their_order_or_ending(
    data: Path, tmp_path: Path
) -> None:
    shuffled = [(name.replace(".png", ".jpg"), prompt, text) for name, prompt, text in reversed(ROWS)]
    outcome = MME.score_file(answers(tmp_path / "answers.jsonl", shuffled), data)
    assert outcome.score == 250


def test_the_official_wording_of_a_question_is_the_same_question(data: Path, tmp_path: Path) -> None:
    rows = [
        (name, prompt.replace(f"\n{SHORT}", " Please answer yes or no."), text) for name, prompt, text in ROWS
    ]
    assert MME.score_file(answers(tmp_path / "answers.jsonl", rows), data).score == 250


def test_our_own_ids_need_no_prompt(data: Path, tmp_path: Path) -> None:
    path = tmp_path / "own.jsonl"
    rows = [{"question_id": question.id, "text": question.truth} for question in MME.questions(data)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert MME.score_file(path, data).score == 400


def test_duplicates_missing_and_strange_answers_are_counted(data: Path, tmp_path: Path) -> None:
    rows = [*ROWS[:5], (*ROWS[0][:2], "No"), ("artwork/images/8.jpg", "Is it?", "Yes")]
    outcome = MME.score_file(answers(tmp_path / "answers.jsonl", rows), data)
    assert (outcome.duplicates, outcome.strangers, outcome.missing) == (1, 1, 1)
    assert outcome.metrics["artwork"] == 50  # the last answer to a question counts


@pytest.mark.parametrize(
    ("text", "reply"),
    [
        ("Yes", "yes"), ("no.", "no"), ("NO, it is", "no"), (" Yes", "yes"), ("Nothing", "no"),
        ("know", "no"), ("I know", "other"), ("Not yes", "no"), ("The answer is yes", "other"), ("", "other"),
        ("   no", "other"), ("Yes and no", "yes"),
    ],
)  # fmt: skip
def test_the_first_four_characters_decide(text: str, reply: str) -> None:
    assert said(text) == reply


def lavin(folder: Path, **files: str) -> Path:
    folder.mkdir()
    for category, text in files.items():
        (folder / f"{category}.txt").write_text(text)
    return folder


PAIR = (
    "1.jpg\tIs it? Please answer yes or no.\tYes\tYes\n1.jpg\tIs it not? Please answer yes or no.\tNo\tyes\n"
)


def test_official_result_files_need_no_data(tmp_path: Path) -> None:
    folder = lavin(
        tmp_path / "LaVIN",
        OCR=PAIR + "2.jpg\tIs it?\tNo\tno, not\n2.jpg\tIs it not?\tYes\tMaybe\n",
        text_translation="1.png\tA?\tYes\tYes\n1.png\tB?\tNo\tNo\n",
        notes="not a category\n",
    )
    outcome = MME.score_file(folder, tmp_path / "nowhere")
    assert outcome.metrics["OCR"] == 50
    assert outcome.metrics["text_translation"] == 200
    assert (outcome.score, outcome.metrics["perception"], outcome.metrics["cognition"]) == (250, 50, 200)
    assert "1 answers begin with neither yes nor no: wrong" in outcome.notes


def test_one_result_file_is_one_category(tmp_path: Path) -> None:
    folder = lavin(tmp_path / "one", OCR=PAIR)
    outcome = MME.score_file(folder / "OCR.txt", tmp_path)
    assert (outcome.score, outcome.n) == (50, 2)


def test_result_lines_are_paired_by_picture_and_a_lone_one_lacks_its_partner(tmp_path: Path) -> None:
    first, second = PAIR.splitlines(keepends=True)
    mixed = first + "2.jpg\tIs it?\tYes\tYes\n" + second.replace("\tyes", "\tno")
    outcome = MME.score_file(lavin(tmp_path / "mixed", OCR=mixed), tmp_path)
    assert (outcome.n, outcome.missing) == (4, 1)
    assert (outcome.metrics["OCR_acc"], outcome.metrics["OCR_acc_plus"]) == (75, 50)


def test_a_result_line_that_comes_again_replaces_the_first(tmp_path: Path) -> None:
    outcome = MME.score_file(
        lavin(tmp_path / "again", OCR=PAIR + PAIR.splitlines()[1][:-3] + "No\n"), tmp_path
    )
    assert (outcome.n, outcome.duplicates, outcome.score) == (2, 1, 200)


def test_templates_to_be_filled_have_the_truth_too(tmp_path: Path) -> None:
    template = "".join(line.rpartition("\t")[0] + "\n" for line in PAIR.splitlines())
    lavin(tmp_path / "Your_Results", OCR=template)
    rows = [("OCR/1.jpg", f"Is it?\n{SHORT}", "Yes"), ("OCR/1.jpg", f"Is it not?\n{SHORT}", "No")]
    outcome = MME.score_file(answers(tmp_path / "answers.jsonl", rows), tmp_path / "Your_Results")
    assert outcome.score == 200


def test_a_line_without_four_fields_is_named(tmp_path: Path) -> None:
    folder = lavin(tmp_path / "broken", OCR=PAIR + "2.jpg\tIs it?\tYes\n")
    with pytest.raises(
        UsageError, match=r"OCR\.txt, line 3: 3 fields where picture, question, truth and answer"
    ):
        MME.score_file(folder, tmp_path)
    with pytest.raises(UsageError, match="no line of picture, question, truth and answer here"):
        MME.score_file(lavin(tmp_path / "empty", OCR="\n"), tmp_path)
    folder = lavin(tmp_path / "truthless", OCR="2.jpg\tIs it?\tperhaps\tYes\n")
    with pytest.raises(UsageError, match=r"OCR\.txt, line 1: the truth is 'perhaps'"):
        MME.score_file(folder, tmp_path)


def test_files_of_another_benchmark_are_refused(data: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="result files are called after MME's categories"):
        MME.score_file(lavin(tmp_path / "other", scores="1\t2\n"), tmp_path)
    path = answers(tmp_path / "pope.jsonl", [("1", f"Is there a cat?\n{SHORT}", "Yes")])
    with pytest.raises(UsageError, match="answers none of these 6 questions"):
        MME.score_file(path, data)
    path.write_text('{"question_id": "artwork/7.jpg", "text": "Yes"}\n')
    with pytest.raises(UsageError, match=r"pope\.jsonl: a row of 'artwork/7.jpg' has no 'prompt'"):
        MME.score_file(path, data)


def test_data_of_another_kind_is_refused(data: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(UsageError, match="no folder here is a category of MME"):
        MME.questions(tmp_path / "empty")
    with pytest.raises(UsageError, match="there is no such folder"):
        MME.questions(tmp_path / "nowhere")
    file = data / "MME_Benchmark_release_version" / "code_reasoning" / "0001.txt"
    file.write_text("Is it?\tYes\nIs it not?\tperhaps\n")
    with pytest.raises(UsageError, match=r"0001\.txt, line 2: not a question, a tab, and Yes or No"):
        MME.questions(data)
    file.write_text("Is it?\tYes\n")
    with pytest.raises(UsageError, match=r"0001\.txt: questions on a picture come in pairs, and here are 1"):
        MME.questions(data)
