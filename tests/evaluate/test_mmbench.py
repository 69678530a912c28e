"""MMBench: a question counts if all its rotations are right."""

import base64
import csv
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import openpyxl
import pytest

from llavakit.errors import UsageError
from llavakit.evaluate.tasks import get_task
from llavakit.evaluate.tasks.mmbench import choice

MMBENCH = get_task("mmbench")
PICTURE = base64.b64encode(b"\xff\xd8\xff" + 60 * b"jpeg").decode()
COLUMNS = (
    "index", "question", "hint", "A", "B", "C", "D", "answer", "category", "image", "source", "l2-category",
    "comment", "split",
)  # fmt: skip


def row(
    index: int, choices: Sequence[str], answer: str, category: str = "ocr", **more: str
) -> dict[str, Any]:
    letters = dict(zip("ABCD", choices, strict=False))
    return {
        "index": index, "question": "Which one?", "answer": answer, "category": category,
        "l2-category": "perception", "image": PICTURE, "split": "dev", **letters, **more,
    }  # fmt: skip


# Two questions: one of three choices in all rotations, one of two in one of them.
ROWS = [
    row(7, ("red", "green", "blue"), "A", hint="Look."),
    row(1_000_007, ("green", "blue", "red"), "C", image="7"),
    row(2_000_007, ("blue", "red", "green"), "B", image="7"),
    row(8, ("cat", "dog"), "B", "animals"),
    row(1_000_008, ("dog", "cat"), "A", "animals"),
]


def tsv(path: Path, rows: Sequence[Mapping[str, Any]], columns: Sequence[str] = COLUMNS) -> Path:
    path.parent.mkdir(exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, columns, delimiter="\t")
        writer.writeheader()
        writer.writerows(rows)
    return path


def xlsx(path: Path, rows: Sequence[Mapping[str, Any]]) -> Path:
    book = openpyxl.Workbook()
    columns = list(dict.fromkeys(name for each in rows for name in each))
    sheet = book.worksheets[0]
    sheet.append(columns)
    for each in rows:
        sheet.append([each.get(name) for name in columns])
    book.save(path)
    return path


def predicted(*texts: str | None) -> list[dict[str, Any]]:
    return [{"index": each["index"], "prediction": text} for each, text in zip(ROWS, texts, strict=True)]


@pytest.fixture
def data(tmp_path: Path) -> Path:
    tsv(tmp_path / "data" / "mmbench_dev_20230712.tsv", ROWS)
    tsv(tmp_path / "data" / "mmbench_test_20230712.tsv", ROWS[:1])
    return tmp_path / "data"


def test_every_rotation_is_asked_in_llavas_words(data: Path) -> None:
    questions = MMBENCH.questions(data)
    assert [question.id for question in questions] == ["7", "1000007", "2000007", "8", "1000008"]
    assert questions[0].text == (
        "Look.\nWhich one?\nA. red\nB. green\nC. blue\n"
        "Answer with the option's letter from the given choices directly."
    )
    assert questions[0].images == (f"data:image/jpeg;base64,{PICTURE}",)
    assert questions[1].images == questions[0].images  # a rotation may name the row that has the picture
    assert questions[3].choices == ("cat", "dog")


def test_the_chinese_task_reads_the_chinese_file_and_asks_in_chinese(data: Path) -> None:
    tsv(data / "mmbench_dev_cn_20231003.tsv", [row(7, ("红", "绿"), "A")])
    (question,) = get_task("mmbench-cn").questions(data)
    assert question.text == "Which one?\nA. 红\nB. 绿\n请直接回答选项字母。"
    assert len(MMBENCH.questions(data)) == 5


def test_a_lone_table_is_taken_whatever_it_is_called(tmp_path: Path) -> None:
    tsv(tmp_path / "data" / "questions.tsv", ROWS)
    assert len(MMBENCH.questions(tmp_path / "data")) == 5
    assert len(MMBENCH.questions(tmp_path / "data" / "questions.tsv")) == 5


def test_circular_needs_all_rotations_and_vanilla_the_first(data: Path, tmp_path: Path) -> None:
    path = xlsx(tmp_path / "predictions.xlsx", predicted("A", "C", "B", "B", "B"))
    outcome = MMBENCH.score_file(path, data)
    assert (outcome.score, outcome.metrics["circular"], outcome.metrics["vanilla"]) == (50, 50, 100)
    assert outcome.metrics["rotations"] == 80
    assert (outcome.metrics["ocr"], outcome.metrics["animals"], outcome.metrics["perception"]) == (100, 0, 50)
    assert (outcome.n, outcome.missing, outcome.marks) == (2, 0, {"7": 1.0, "8": 0.0})
    assert outcome.chance == pytest.approx(100 * (1 / 27 + 1 / 4) / 2)
    assert outcome.notes == ()


def test_a_table_that_has_the_answers_needs_no_data(tmp_path: Path) -> None:
    kept = [{key: value for key, value in each.items() if key not in ("image", "split")} for each in ROWS]
    rows = [each | {"prediction": text} for each, text in zip(kept, "ACBBA", strict=True)]
    for path in (xlsx(tmp_path / "own.xlsx", rows), tsv(tmp_path / "own.tsv", rows, list(rows[0]))):
        outcome = MMBENCH.score_file(path, tmp_path / "nowhere")
        assert (outcome.score, outcome.n) == (100, 2)
        assert outcome.notes == (f"{path.name}'s own column 'answer' is the truth",)


def test_index_prediction_and_truth_are_enough(tmp_path: Path) -> None:
    path = tmp_path / "short.csv"
    path.write_text("index,prediction,GT\n7,A. red,A\n1000007,C,C\n8,red,A\n")
    outcome = MMBENCH.score_file(path, tmp_path / "nowhere")
    assert outcome.marks == {"7": 1.0, "8": 0.0}
    assert outcome.chance == pytest.approx(100 * (1 / 16 + 1 / 4) / 2)


def test_missing_predictions_are_wrong_and_counted(data: Path, tmp_path: Path) -> None:
    rows = [
        *predicted("A", None, "B", "B", "A"),
        {"index": 8, "prediction": "A"},
        {"index": 9, "prediction": "A"},
    ]
    outcome = MMBENCH.score_file(xlsx(tmp_path / "predictions.xlsx", rows), data)
    assert (outcome.score, outcome.missing, outcome.duplicates, outcome.strangers) == (0, 1, 1, 1)
    assert "1 of 5 rows, rotations among them, have no prediction: wrong" in outcome.notes


def test_without_rotations_circular_is_vanilla(tmp_path: Path) -> None:
    tsv(tmp_path / "data" / "MMBench_DEV_EN.tsv", [ROWS[0], ROWS[3]])
    path = tsv(tmp_path / "predictions.csv", [], ("index", "prediction"))
    path.write_text("index,prediction\n7,A\n8,cat\n")
    outcome = MMBENCH.score_file(path, tmp_path / "data")
    assert outcome.metrics["circular"] == outcome.metrics["vanilla"] == 50
    assert "no question has rotations here: circular is the same as vanilla" in outcome.notes


def test_rotations_without_the_question_itself_are_left_out(tmp_path: Path) -> None:
    tsv(tmp_path / "data" / "mmbench_dev.tsv", [ROWS[0], ROWS[4]])
    path = tsv(tmp_path / "p.tsv", predicted("A", "", "", "", "B"), ("index", "prediction"))
    outcome = MMBENCH.score_file(path, tmp_path / "data")
    assert (outcome.n, outcome.score) == (1, 100)
    assert any(note.startswith("1 rotations of questions that are not there") for note in outcome.notes)


def llava(path: Path, rows: Sequence[Mapping[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(each) + "\n" for each in rows))
    return path


def test_llavas_answers_are_read(data: Path, tmp_path: Path) -> None:
    rows = [
        {"question_id": each["index"], "round_id": 0, "text": text, "options": [], "option_char": []}
        for each, text in zip(ROWS, "ACBBA", strict=True)
    ]
    assert MMBENCH.score_file(llava(tmp_path / "answers.jsonl", rows), data).score == 100


def test_llavas_further_rounds_must_be_right_too(tmp_path: Path) -> None:
    tsv(tmp_path / "data" / "mmbench_dev.tsv", [ROWS[0], ROWS[3]])
    first = [{"question_id": 7, "round_id": 0, "text": "A"}, {"question_id": 8, "round_id": 0, "text": "B"}]
    turned = [
        {"question_id": number, "round_id": round_, "text": text, "options": options, "option_char": letters}
        for number, round_, text, options, letters in (
            (7, 1, "C", ["green", "blue", "red"], ["B", "C", "A"]),
            (7, 2, "B", ["blue", "red", "green"], ["C", "A", "B"]),
            (8, 1, "B", ["dog", "cat"], ["B", "A"]),
        )
    ]
    outcome = MMBENCH.score_file(llava(tmp_path / "all.jsonl", [*first, *turned]), tmp_path / "data")
    assert outcome.marks == {"7": 1.0, "8": 0.0}
    outcome = MMBENCH.score_file(llava(tmp_path / "some.jsonl", [*first, turned[0]]), tmp_path / "data")
    assert outcome.score == 0  # a round that is missing is wrong
    spelt = [{**each, "round_id": str(each["round_id"])} for each in (*first, *turned)]
    assert MMBENCH.score_file(llava(tmp_path / "spelt.jsonl", spelt), tmp_path / "data").marks["7"] == 1
    del turned[0]["option_char"]
    with pytest.raises(UsageError, match=r"bad\.jsonl: round 1 of 7 needs lists 'options' and 'option_char'"):
        MMBENCH.score_file(llava(tmp_path / "bad.jsonl", [*first, *turned]), tmp_path / "data")


COLOURS = ("red", "green", "dark green")


@pytest.mark.parametrize(
    ("text", "letter"),
    [
        ("A", "A"), ("B.", "B"), ("(C)", "C"), ("A. red", "A"), ("The answer is B", "B"), ("**B**", "B"),
        ("b", None),  # a small letter is none
        ("A or B", None), ("D", None), ("", None),
        ("It is Red.", "A"), ("light green", "B"),
        ("dark green", None),  # holds the text of two choices
        ("A is nothing like dark green, as one can well see", "A"),
        ("Z", None), ("Z, for it is red", None),
        ("Cannot determine the answer, perhaps A", None),
        ("Failed to obtain answer via API: A", None),
        ("A/B", None), ("A?", None), ("A-red", "A"),
    ],
)  # fmt: skip
def test_a_choice_is_told_by_its_letter_or_its_text(text: str, letter: str | None) -> None:
    assert choice(text, COLOURS) == letter


def test_the_rule_of_2025_takes_letters_near_the_end_only_and_texts_of_short_replies() -> None:
    assert choice("A is what I would say here", ("x", "y"), late=True) is None
    assert choice("What I would say here is A", ("x", "y"), late=True) == "A"
    assert choice("A", ("x", "y"), late=True) == "A"
    assert choice("B is one two three", ("x", "yy"), late=True) is None
    assert choice("it is rather blue", ("red", "blue"), late=True) is None
    assert choice("is blue", ("red", "blue"), late=True) == "B"


def test_a_choice_that_is_not_there_is_no_answer() -> None:
    assert choice("C", ("red", "green")) is None
    assert choice("B", ("red", "", "green")) is None
    assert choice("C", ("red", "", "green")) == "C"


def test_the_upload_is_llavas_table(data: Path, tmp_path: Path) -> None:
    questions = MMBENCH.questions(data)
    path = tsv(tmp_path / "p.tsv", predicted("A", "C", "B\x07", "", "A"), ("index", "prediction"))
    MMBENCH.upload(tmp_path / "upload.xlsx", questions, MMBENCH.read(path, questions))
    names, first, *_, fourth, _ = (
        openpyxl.load_workbook(tmp_path / "upload.xlsx").worksheets[0].iter_rows(values_only=True)
    )
    assert names == ("index", "question", "A", "B", "C", "D", "prediction", "answer", "split")
    assert first == (7, "Which one?", "red", "green", "blue", None, "A", "A", "dev")
    assert fourth == (8, "Which one?", "cat", "dog", None, None, None, "B", "dev")
    # and it holds all that a score needs
    assert MMBENCH.score_file(tmp_path / "upload.xlsx", tmp_path / "nowhere").metrics["vanilla"] == 50


def test_test_files_cannot_be_scored_here(tmp_path: Path) -> None:
    tsv(tmp_path / "data" / "mmbench_test.tsv", [{**ROWS[0], "answer": ""}])
    path = tsv(tmp_path / "p.tsv", predicted("A", "", "", "", ""), ("index", "prediction"))
    with pytest.raises(UsageError, match="1 of 1 questions have no answer in the data"):
        MMBENCH.score_file(path, tmp_path / "data")


def test_bad_files_are_named(data: Path, tmp_path: Path) -> None:
    path = tsv(tmp_path / "p.tsv", [{"index": 9, "prediction": "A"}], ("index", "prediction"))
    with pytest.raises(UsageError, match=r"p\.tsv: answers none of these 5 questions .* ids like '9'"):
        MMBENCH.score_file(path, data)
    path.write_text("index\tguess\n7\tA\n")
    with pytest.raises(UsageError, match=r"p\.tsv: no row has 'prediction' or 'text'"):
        MMBENCH.score_file(path, data)
    with pytest.raises(UsageError, match=r"no \.tsv, .* file here has 'mmbench' and 'cn' in its name"):
        get_task("mmbench-cn").questions(data)
    broken = tsv(tmp_path / "broken" / "mmbench_dev.tsv", [{**ROWS[0], "index": "x"}])
    with pytest.raises(UsageError, match=r"mmbench_dev\.tsv: the index 'x' is not a whole number"):
        MMBENCH.questions(broken.parent)
    tsv(broken, [{**ROWS[0], "answer": "red"}])
    with pytest.raises(UsageError, match=r"index 7 has the answer 'red', which is no choice's letter"):
        MMBENCH.questions(broken.parent)
    tsv(broken, [{"index": 3, "question": "Which?"}])
    with pytest.raises(UsageError, match="index 3 has no choices in columns 'A', 'B'"):
        MMBENCH.questions(broken.parent)
