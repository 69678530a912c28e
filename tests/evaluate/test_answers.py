"""Rows of any table become answers, joined with their questions by id."""

import json
from pathlib import Path

import openpyxl
import pytest

from llavakit.errors import UsageError
from llavakit.evaluate.answers import Question, read_answers
from llavakit.evaluate.rows import find, read_rows

QUESTIONS = [Question(str(number), "?") for number in (1, 2, 3)]


def lines(path: Path, *rows: object) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_answers_are_joined_by_id_whatever_their_order(tmp_path: Path) -> None:
    path = lines(tmp_path / "a.jsonl", {"question_id": 3, "text": "c"}, {"question_id": "1", "text": "a"})
    answers = read_answers(path, QUESTIONS)
    assert dict(answers.texts) == {"3": "c", "1": "a"} and answers.missing(QUESTIONS) == 1


def test_the_last_of_duplicates_counts_and_strangers_are_counted(tmp_path: Path) -> None:
    rows = [{"question_id": number, "text": str(i)} for i, number in enumerate((1, 2, 1, 9, 8))]
    answers = read_answers(lines(tmp_path / "a.jsonl", *rows), QUESTIONS)
    assert answers.texts["1"] == "2" and (answers.duplicates, answers.strangers) == (1, 2)


def test_a_pictures_name_is_found_whatever_its_ending(tmp_path: Path) -> None:
    questions = [Question("code/0020.png", "?"), Question("code/0020.txt", "?"), Question("a.b", "?")]
    rows = [{"question_id": name, "text": name} for name in ("code/0020.JPG", "a.b")]
    answers = read_answers(lines(tmp_path / "a.jsonl", *rows), questions)
    assert dict(answers.texts) == {"code/0020.png": "code/0020.JPG", "a.b": "a.b"}


def test_answers_to_something_else_are_refused(tmp_path: Path) -> None:
    path = lines(tmp_path / "a.jsonl", {"question_id": "v1_0", "text": "a"})
    with pytest.raises(UsageError, match=r"a\.jsonl: answers none of these 3 questions .*'v1_0'.*like '1'"):
        read_answers(path, QUESTIONS)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.jsonl", '{"question_id": 1, "text": "x"}\n\n{"question_id": 2, "text": "y"}'),
        ("a.json", '[{"question_id": 1, "text": "x"}, {"question_id": 2, "text": "y"}]'),
        ("a.json", '{"1": "x", "2": "y"}'),
        ("a.json", '{"1": {"text": "x"}, "2": {"text": "y"}}'),
        ("a.json", '{"question_id": 1, "text": "x"}\n{"question_id": 2, "text": "y"}'),
        ("a.csv", "question_id,text\n1,x\n2,y\n"),
        ("a.tsv", "\ufeffindex\tprediction\n1\tx\n2\ty\n"),
        ("a.csv", "index,prediction\n1.0,x\n2.0,y\n"),
        ("a.json", '{"question_id": 1, "text": "x"},\r\n{"question_id": 2, "text": "y"}'),
        ("a.jsonl", '{"question_id": 1, "text": "x"},\n\n{"question_id": 2, "text": "y"},\n'),
    ],
)
def test_every_form_of_table_holds_the_same(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / name).write_text(text, encoding="utf-8")
    assert dict(read_answers(tmp_path / name, QUESTIONS).texts) == {"1": "x", "2": "y"}


def test_spreadsheets_are_read_and_their_numbers_are_ids(tmp_path: Path) -> None:
    book = openpyxl.Workbook()
    for row in (("index", "prediction"), (1.0, "x"), (2, "y"), (None, None)):
        book.active.append(row)
    book.save(tmp_path / "a.xlsx")
    assert dict(read_answers(tmp_path / "a.xlsx", QUESTIONS).texts) == {"1": "x", "2": "y"}


def test_a_folder_is_all_its_tables(tmp_path: Path) -> None:
    lines(tmp_path / "answers-0-of-2.jsonl", {"question_id": 1, "text": "x"})
    lines(tmp_path / "answers-1-of-2.jsonl", {"question_id": 2, "text": "y"})
    assert dict(read_answers(tmp_path, QUESTIONS).texts) == {"1": "x", "2": "y"}


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("a.jsonl", '{"question_id": 1, "text": "x"}\n{"question_id": 2,', r"a\.jsonl, line 2: not JSON"),
        ("a.jsonl", "[1, 2]", r"a\.jsonl, line 1: list where an object is expected"),
        ("a.json", "[", r"a\.json: not JSON"),
        ("a.json", "[" * 100_000, r"a\.json: not JSON"),
        ("a.json", "[3]", r"a\.json, row 1: int where"),
        ("a.json", '"x"', r"a\.json: str where"),
        ("a.csv", "question_id,text\n1\n", r"a\.csv, line 2: not as many fields as there are columns"),
        ("a.xlsx", "no zip", r"a\.xlsx: not an xlsx file"),
        ("a.parquet", "no table", r"a\.parquet: not a Parquet file"),
        ("a.docx", "x", r"a\.docx: rows are read from \.jsonl, \.json, \.csv"),
        ("a.jsonl", '{"question_id": 1, "words": "x"}', r"a row has no 'text' or .*it has question_id, w"),
        ("a.jsonl", '{"text": "x"}', r"a row has no 'question_id'"),
        ("a.jsonl", '{"question_id": 1, "text": {"a": 1}}', r"the answer to 1 is \{\"a\": 1\}, not a text"),
    ],
)  # fmt: skip
def test_what_is_malformed_is_named(tmp_path: Path, name: str, text: str, said: str) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(UsageError, match=said):
        read_answers(tmp_path / name, QUESTIONS)


def test_a_file_that_is_not_utf8_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_bytes(b'{"question_id": "\xff"}')
    with pytest.raises(UsageError, match=r"a\.jsonl: not UTF-8 text"):
        read_rows(tmp_path / "a.jsonl")


def test_files_are_found_however_deep_and_their_absence_is_told(tmp_path: Path) -> None:
    (tmp_path / "x" / "y").mkdir(parents=True)
    (tmp_path / "x" / "y" / "coco_pope_random.json").write_text("")
    assert find(tmp_path, "*pope_random.json*").name == "coco_pope_random.json"
    with pytest.raises(UsageError, match=r"no a\.json or b\.json in this folder"):
        find(tmp_path, "a.json", "b.json")
    with pytest.raises(UsageError, match="there is no such folder"):
        find(tmp_path / "gone", "a.json")


def test_a_file_of_one_line_is_one_row(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text('{"question_id": 2, "text": "y"}')
    assert dict(read_answers(tmp_path / "a.json", QUESTIONS).texts) == {"2": "y"}
