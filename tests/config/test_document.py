from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import pytest
from pydantic import AfterValidator, BaseModel, Field, field_validator, model_validator

from ent_sync.config.document import Document, Section, read, refusal, refused_at, validate
from ent_sync.core.errors import BadConfigurationError, Problem


def document(folder: Path, text: str) -> Document:
    path = folder / "a.yaml"
    path.write_text(text, encoding="utf-8")
    return read(path)


def told(found: object) -> list[str]:
    assert isinstance(found, list)
    return [str(problem).split("a.yaml:", 1)[1] for problem in found]


# ---------------------------------------------------------------------------------------------------------------------
# Reading


def test_values_are_plain_and_dates_stay_text(tmp_path):
    found = document(
        tmp_path, "a: 1\nb: 0x1F\nc: 012\nd: 1.5\ne: yes\nf: true\ng:\nh: 2026-12-19\ni: [1_000, '2']\nj: .inf\nk: -3\n"
    )

    assert found.tree == {
        "a": 1,
        "b": 31,
        "c": 12,
        "d": 1.5,
        "e": "yes",
        "f": True,
        "g": None,
        "h": "2026-12-19",
        "i": [1000, "2"],
        "j": float("inf"),
        "k": -3,
    }


def test_an_empty_file_is_an_empty_group_at_its_first_line(tmp_path):
    found = document(tmp_path, "")

    assert (found.tree, found.where().line, found.where().column) == ({}, 1, 1)


def test_a_byte_order_mark_is_passed_over(tmp_path):
    (tmp_path / "a.yaml").write_bytes(b"\xef\xbb\xbfa: 1\n")

    assert read(tmp_path / "a.yaml").tree == {"a": 1}


def test_a_merge_adds_what_does_not_stand_there(tmp_path):
    found = document(tmp_path, "x: &x {b: 1, c: 2}\ny: &y {c: 3, d: 4}\nz:\n  <<: [*x, *y]\n  b: 5\n")

    assert found.get(("z",)) == {"b": 5, "c": 2, "d": 4}


def test_a_merged_key_is_placed_where_it_was_written(tmp_path):
    found = document(tmp_path, "x: &x {b: {c: 2}}\nz:\n  <<: *x\n")

    assert str(found.where(("z", "b", "c"))) == f"{tmp_path}/a.yaml:1:12: z.b.c"


def test_a_folder_in_place_of_a_file_is_a_problem(tmp_path):
    with pytest.raises(BadConfigurationError, match="cannot be read: Is a directory"):
        read(tmp_path)


def test_a_file_without_measure_is_not_read_whole(tmp_path):
    path = tmp_path / "a.yaml"
    with path.open("wb") as file:
        file.truncate(1_000_000_000)

    with pytest.raises(BadConfigurationError, match="has more than 8388608 bytes"):
        read(path)


@pytest.mark.parametrize("depth", [60, 400, 5000])
def test_a_document_without_floor_is_refused(tmp_path, depth):
    with pytest.raises(BadConfigurationError, match="is nested too deeply"):
        document(tmp_path, "[" * depth + "]" * depth)


def test_a_repeated_anchor_warns_nobody_with_its_line(tmp_path, recwarn):
    document(tmp_path, "a: &x hunter2\nb: &x hunter3\n")

    assert list(recwarn) == []


def test_the_library_s_exception_is_not_kept(tmp_path):
    with pytest.raises(BadConfigurationError) as caught:
        document(tmp_path, "a: 'hunter2\n")

    assert (caught.value.__cause__, caught.value.__context__) == (None, None)


def test_a_document_does_not_show_what_it_holds(tmp_path):
    found = document(tmp_path, "password: hunter2\n")

    assert "hunter2" not in repr(found)


# ---------------------------------------------------------------------------------------------------------------------
# Places


@pytest.mark.parametrize(
    ("loc", "place"),
    [
        ((), "1:1"),
        (("a",), "1:1: a"),
        (("a", 1), "3:5: a.1"),
        (("a", 1, "c"), "4:5: a.1.c"),
        (("a", 1, "absent"), "3:5: a.1.absent"),
        (("absent", 3), "1:1: absent.3"),
        (("a", 7), "1:1: a.7"),
        (("d", "e"), "5:5: d.e"),
    ],
)
def test_a_place_is_that_of_the_key_or_of_the_last_part_that_exists(tmp_path, loc, place):
    found = document(tmp_path, "a:\n  - b\n  - b: 1\n    c: 2\nd: {e: 3}\n")

    assert str(found.where(loc)) == f"{tmp_path}/a.yaml:{place}"


def test_a_key_that_looks_like_none_is_not_shown(tmp_path):
    found = document(tmp_path, "log: {my hunter2!}\n")

    assert found.where(("log", "my hunter2!")).path == "log.?"


# ---------------------------------------------------------------------------------------------------------------------
# Checking


class Inner(Section):
    number: int
    kind: Literal["big", "small"] = "big"
    start: str = Field(default="", alias="from")


class Cat(Section):
    kind: Literal["cat"]
    lives: int


class Dog(Section):
    kind: Literal["dog"]
    name: str


class Outer(Section):
    inner: Inner
    entries: tuple[Inner, ...] = ()
    animal: Annotated[Cat | Dog, Field(discriminator="kind")] | None = None
    either: int | list[str] = 0
    names: dict[str, Inner] | None = None


def test_all_problems_are_told_at_once_in_the_order_of_the_file(tmp_path):
    found = document(
        tmp_path, "entries:\n  - {number: 1, kind: huge}\n  - {}\ninner: {number: one, nmber: 2}\nextra: 1\n"
    )

    assert told(validate(found, Outer)) == [
        "2:17: entries.0.kind: must be 'big' or 'small'",
        "3:5: entries.1.number: is required",
        "4:9: inner.number: must be a whole number",
        "4:22: inner.nmber: is not a key here; known: number, kind, from",
        "5:1: extra: is not a key here; known: inner, entries, animal, either, names",
    ]


def test_the_tag_of_a_union_is_no_part_of_the_path(tmp_path):
    found = document(tmp_path, "inner: {number: 1}\nanimal:\n  kind: cat\n  lives: nine\n")

    assert told(validate(found, Outer)) == ["4:3: animal.lives: must be a whole number"]


def test_an_unknown_tag_is_refused_without_quoting_it(tmp_path):
    found = document(tmp_path, "inner: {number: 1}\nanimal: {kind: hunter2}\n")

    assert told(validate(found, Outer)) == ["2:1: animal: is not valid here"]


def test_what_fits_no_member_of_a_union_is_told_at_its_place(tmp_path):
    found = document(tmp_path, "inner: {number: 1}\neither: [1]\n")

    assert told(validate(found, Outer)) == [
        "2:1: either: must be a whole number",
        "2:10: either.0: must be text (digits alone need quotes)",
    ]


def test_a_problem_under_a_free_key_names_the_key(tmp_path):
    found = document(tmp_path, "inner: {number: 1}\nnames:\n  lille: {number: x}\n")

    assert told(validate(found, Outer)) == ["3:11: names.lille.number: must be a whole number"]


def test_a_valid_part_is_given_as_its_model(tmp_path):
    found = document(tmp_path, "inner: {number: 1, from: Lille}\n")

    inner = validate(found, Inner, at=("inner",))

    assert isinstance(inner, Inner)
    assert (inner.number, inner.start) == (1, "Lille")


def test_a_problem_of_a_part_has_the_path_of_the_whole(tmp_path):
    found = document(tmp_path, "entries:\n  - {number: 1}\n  - {number: x}\n")

    assert told(validate(found, Inner, at=("entries", 1))) == ["3:6: entries.1.number: must be a whole number"]


def test_a_part_that_lacks_counts_as_empty(tmp_path):
    found = document(tmp_path, "a: 1\n")

    assert told(validate(found, Inner, at=("inner",))) == ["1:1: inner.number: is required"]


class Judged(Section):
    a: str = ""
    b: str = ""

    @field_validator("a")
    @classmethod
    def _careless(cls, value: str) -> str:
        if value:
            raise ValueError(f"{value} will not do")
        return value

    @field_validator("b")
    @classmethod
    def _careful(cls, value: str) -> str:
        if value:
            raise refusal("toy", "must be empty")
        return value


def test_a_validator_s_value_error_is_told_by_its_place_only(tmp_path):
    found = document(tmp_path, "a: hunter2\n")

    assert told(validate(found, Judged)) == ["1:1: a: is not valid here"]


def test_a_refusal_is_told_with_its_rule_and_sentence(tmp_path):
    found = document(tmp_path, "b: hunter2\n")

    assert validate(found, Judged) == [Problem(found.where(("b",)), "toy", "must be empty")]


class Whole(Section):
    a: int = 0
    b: int = 0

    @model_validator(mode="after")
    def _sum(self) -> Whole:
        if self.a > self.b:
            raise refused_at(("b",), "toy", "must not be less than a")
        if self.b > 9:
            raise refusal("toy", "is too much {in all}")
        return self


def test_a_section_s_validator_can_name_the_key_that_is_wrong(tmp_path):
    found = document(tmp_path, "x: {a: 2,\n  b: 1}\n")

    assert told(validate(found, Whole, at=("x",))) == ["2:3: x.b: must not be less than a"]


def test_a_problem_of_the_whole_file_stands_at_its_beginning(tmp_path):
    found = document(tmp_path, "# a comment\nb: 10\n")

    assert told(validate(found, Whole)) == ["2:1: is too much {in all}"]


class Plain(BaseModel, extra="forbid"):
    size: Annotated[int, Field(ge=1)]
    word: Annotated[str, Field(pattern="^[a-z]+$", max_length=5)] = "a"
    inner: Annotated[Inner | None, AfterValidator(lambda value: value)] = None


def test_any_pydantic_model_can_be_checked(tmp_path):
    found = document(tmp_path, "size: 0\nword: HUNTER2\nother: 1\ninner: {numbr: 1}\n")

    assert told(validate(found, Plain)) == [
        "1:1: size: must be greater than or equal to 1",
        "2:1: word: must have at most 5 characters",
        "3:1: other: is not a key here",
        "4:1: inner.number: is required",
        "4:9: inner.numbr: is not a key here; known: number, kind, from",
    ]


def test_a_section_made_in_code_does_not_quote_what_it_refuses():
    with pytest.raises(ValueError, match="number") as caught:
        Inner(number="hunter2")

    assert "hunter2" not in f"{caught.value} {caught.value!r} {caught.value.errors()}"
