"""Each transform by a table of examples and by a law; and that no value is ever in what they raise."""

from __future__ import annotations

import datetime as dt
import string

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ent_sync.core.transforms import NAMES, BadTransformError, Values, apply, make

TODAY = dt.date(2026, 11, 24)
TEXT = st.text(max_size=30)
LETTERS = "abcdefghijklmnopqrstuvwxyzàâçéèêëîïôûù"
NAMES_OF_PEOPLE = st.text(alphabet=LETTERS + LETTERS.upper() + " -'", min_size=1, max_size=20)
DATES = st.dates(min_value=dt.date(1900, 1, 1), max_value=dt.date(2100, 12, 31))


def done(name: str, *values: str, parameter: object = None) -> Values:
    return apply(make(name, parameter), values, TODAY)


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("trim", "  Léa \t Anne ", "Léa Anne"),
        ("trim", "Le\u0301a", "Léa"),
        ("upper", "0590001a", "0590001A"),
        ("name-case", "JEAN-PIERRE", "Jean-Pierre"),
        ("name-case", "D'ARC", "D'Arc"),
        ("name-case", "JEANNE D'ARC", "Jeanne d'Arc"),
        ("name-case", "MARIE DE LOURDES", "Marie de Lourdes"),
        ("name-case", "DE", "De"),
        ("name-case", "ÉLÉONORE", "Éléonore"),
        ("name-case", "McDonald", "McDonald"),
        ("name-case", "léa", "léa"),
        ("date", "30/11/2009", "2009-11-30"),
        ("date", "2009-11-30", "2009-11-30"),
        ("year", "30/11/2009", "2009"),
        ("is-adult", "24/11/2008", "true"),
        ("is-adult", "25/11/2008", "false"),
        ("phone", "+33 6 12 34 56 78", "+33 6 12 34 56 78"),
        ("phone", "06.12.34.56.78", "+33 6 12 34 56 78"),
        ("phone", "0033 612345678", "+33 6 12 34 56 78"),
        ("phone", "+33 (0)6 12 34 56 78", "+33 6 12 34 56 78"),
        ("phone", "+32 2 771 79 19", "+32 2 771 79 19"),
        ("email", "Lea.Durand@Example.ORG", "Lea.Durand@example.org"),
        ("title", "M", "M."),
        ("title", "MME.", "Mme"),
        ("title", "Mlle", "Mme"),
        ("bool", "O", "true"),
        ("bool", "non", "false"),
    ],
)
def test_a_transform_gives(name: str, value: str, expected: str) -> None:
    assert done(name, value) == (expected,)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("trim", "   "),
        ("date", "31/02/2009"),
        ("date", "30/11/09"),
        ("date", "01/01/1799"),
        ("year", "30112009"),
        ("is-adult", "hier"),
        ("phone", "12"),
        ("phone", "rouge"),
        ("phone", "00 00 00 00 00"),
        ("email", "lea.durand"),
        ("email", "lea..durand@example.org"),
        ("email", "lea@example"),
        ("title", "Dr"),
        ("bool", "peut-être"),
    ],
)
def test_a_transform_drops_what_it_cannot_read(name: str, value: str) -> None:
    assert done(name, value) == ()


@pytest.mark.parametrize(
    ("name", "parameter", "values", "expected"),
    [
        ("sub-field", 2, ("1124$CM1",), ("CM1",)),
        ("sub-field", -1, ("1124$CM1",), ("CM1",)),
        ("sub-field", -1, ("3EME",), ("3EME",)),
        ("sub-field", 3, ("1124$CM1",), ()),
        ("sub-field", 2, ("CLG$$LILLE",), ()),
        ("table", {"PU": "public", "PR": "private"}, ("PR", "XX"), ("private",)),
        ("first", None, ("a", "b"), ("a",)),
        ("unique", None, ("a", "b", "a"), ("a", "b")),
        ("split", ";", ("a;b", "c"), ("a", "b", "c")),
        ("join", " ", ("a", "b"), ("a b",)),
        ("template", "{1}, {0}", ("Anne", "Durand"), ("Durand, Anne",)),
        ("template", "{0} {1}", ("Anne",), ()),
    ],
)
def test_a_configured_transform_gives(name: str, parameter: object, values: Values, expected: Values) -> None:
    assert done(name, *values, parameter=parameter) == expected


@pytest.mark.parametrize(
    ("name", "parameter"),
    [
        ("eval", None),
        ("trim", 1),
        ("sub-field", None),
        ("sub-field", 0),
        ("sub-field", True),
        ("table", {}),
        ("table", {"1": 1}),
        ("split", ""),
        ("join", None),
        ("template", "constant"),
        ("template", "{0} {name}"),
        ("template", "{0.__class__}"),
    ],
)
def test_a_transform_refuses_a_configuration(name: str, parameter: object) -> None:
    with pytest.raises(BadTransformError):
        make(name, parameter)


def test_an_outside_function_cannot_take_the_name_of_ours() -> None:
    step = make("year", None, {"year": lambda values: values})

    assert apply(step, ("30/11/2009",), TODAY) == ("2009",)


def test_an_outside_function_is_no_generaliser() -> None:
    step = make("blur", None, {"blur": lambda values: ("somebody",)})

    assert step.generalises == frozenset()


def test_what_an_outside_function_raises_is_a_refusal() -> None:
    def broken(values: Values) -> Values:
        raise ValueError(values)

    assert apply(make("broken", None, {"broken": broken}), ("Durand",), TODAY) == ()


# -- laws


PARAMETERS: dict[str, object] = {
    "sub-field": 1,
    "table": {"a": "b"},
    "split": ",",
    "join": ",",
    "template": "{0}",
}


@pytest.mark.parametrize("name", NAMES)
@given(values=st.lists(TEXT, max_size=4).map(tuple))
@settings(max_examples=50)
def test_no_transform_raises_whatever_it_is_given(name: str, values: Values) -> None:
    found = done(name, *values, parameter=PARAMETERS.get(name))

    assert all(isinstance(each, str) for each in found)


@pytest.mark.parametrize("name", ["trim", "upper", "name-case", "date", "phone", "email", "title", "bool", "unique"])
@given(values=st.lists(NAMES_OF_PEOPLE | DATES.map(lambda day: day.strftime("%d/%m/%Y")), max_size=3).map(tuple))
@settings(max_examples=50)
def test_what_a_cleaning_transform_gave_it_leaves_as_it_is(name: str, values: Values) -> None:
    once = done(name, *values)

    assert done(name, *once) == once


@given(name=NAMES_OF_PEOPLE)
def test_name_case_changes_nothing_but_case(name: str) -> None:
    assert [each.lower() for each in done("name-case", name)] == [name.lower()]


@given(name=NAMES_OF_PEOPLE.filter(lambda name: not name.isupper()))
def test_name_case_leaves_mixed_case_alone(name: str) -> None:
    assert done("name-case", name) == (name,)


@given(name=TEXT)
def test_trim_leaves_no_double_or_outer_blank(name: str) -> None:
    assert all(each == " ".join(each.split()) and each for each in done("trim", name))


@given(day=DATES)
def test_date_and_year_agree_with_the_calendar(day: dt.date) -> None:
    written = f"{day.day:02}/{day.month:02}/{day.year}"

    assert (done("date", written), done("year", written)) == ((day.isoformat(),), (str(day.year),))


@given(day=DATES)
def test_is_adult_changes_on_the_day_it_announces_and_not_before(day: dt.date) -> None:
    written = day.strftime("%d/%m/%Y")
    daily = make("is-adult").daily
    assert daily is not None

    announced = daily(TODAY)[1](written)

    if announced is None:
        assert done("is-adult", written) == ("true",)
    else:
        answers = [daily(announced + dt.timedelta(days=days))[0](written) for days in (-1, 0)]
        assert answers == ["false", "true"]


def test_who_was_born_on_29_february_comes_of_age_on_1_march() -> None:
    daily = make("is-adult").daily
    assert daily is not None

    assert daily(TODAY)[1]("29/02/2012") == dt.date(2030, 3, 1)


@given(number=st.from_regex(r"0[1-9][0-9]{8}", fullmatch=True), between=st.sampled_from(["", " ", ".", "-"]))
def test_phone_is_canonical_however_a_french_number_is_written(number: str, between: str) -> None:
    written = between.join(number[place : place + 2] for place in range(0, 10, 2))

    assert done("phone", written) == ("+33 " + number[1] + "".join(f" {number[i : i + 2]}" for i in range(2, 10, 2)),)


@given(
    local=st.from_regex(r"[A-Za-z0-9]{1,20}", fullmatch=True), domain=st.from_regex(r"[A-Z]{1,9}\.FR", fullmatch=True)
)
def test_email_lowers_the_domain_only(local: str, domain: str) -> None:
    assert done("email", f"{local}@{domain}") == (f"{local}@{domain.lower()}",)


@given(parts=st.lists(st.text(alphabet=string.ascii_letters, min_size=1), min_size=1, max_size=6), data=st.data())
def test_sub_field_gives_the_part_at_its_place(parts: list[str], data: st.DataObject) -> None:
    place = data.draw(st.integers(1, len(parts)))

    assert done("sub-field", "$".join(parts), parameter=place) == (parts[place - 1],)


@given(parts=st.lists(st.text(alphabet=string.ascii_letters, min_size=1), min_size=1, max_size=6))
def test_join_and_split_undo_each_other(parts: list[str]) -> None:
    assert done("split", *done("join", *parts, parameter="$"), parameter="$") == tuple(parts)


@given(values=st.lists(st.text(alphabet="ab", min_size=1), min_size=1))
def test_first_and_unique_keep_the_order(values: list[str]) -> None:
    assert done("first", *values) == done("unique", *values)[:1]


@given(title=TEXT)
def test_title_and_bool_know_a_closed_set_only(title: str) -> None:
    assert set(done("title", title)) <= {"M.", "Mme"}
    assert set(done("bool", title)) <= {"true", "false"}


@given(code=TEXT)
def test_table_gives_nothing_that_it_does_not_hold(code: str) -> None:
    assert set(done("table", code, parameter={"1": "one"})) <= {"one"}


@given(first=TEXT.filter(bool), second=TEXT.filter(bool))
def test_template_puts_values_in_their_places(first: str, second: str) -> None:
    assert done("template", first, second, parameter="<{0}|{1}>") == (f"<{first}|{second}>",)


@given(value=TEXT)
def test_upper_is_what_upper_case_is(value: str) -> None:
    assert done("upper", value) == ((value.upper(),) if value else ())
