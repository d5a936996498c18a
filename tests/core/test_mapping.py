"""Rules compiled to functions: which source counts, what a refusal does, and what looks like a national number."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest

from ent_sync.core.errors import Where
from ent_sync.core.mapping import AttributeRule, Note, compile_rule, compile_until, looks_national, tainted
from ent_sync.core.profile import RegisterPopulation
from ent_sync.core.record import Key, Origin, Population, Record
from ent_sync.core.register import SOURCE_CLASSES, SourceClass
from ent_sync.core.transforms import NAMES, Step, Values, make

TODAY = dt.date(2026, 11, 24)


def record(**values: str | Values) -> Record:
    return Record(
        Population.PUPIL,
        Key("LILLE$1"),
        {name: (value,) if isinstance(value, str) else value for name, value in values.items()},
        Origin("file.xml", 1),
        "lille-2d",
    )


def rule(*sources: str, steps: tuple[Step, ...] = (), **more: Any) -> AttributeRule:
    return AttributeRule(name="x", sources=sources, steps=steps, purpose="acc", where=Where("m.yaml", 1), **more)


def made(which: AttributeRule, *records: Record, shapes: bool = True) -> tuple[Values, list[Note]]:
    notes: list[Note] = []
    return compile_rule(which, which.sources, TODAY, shapes=shapes)(records, notes), notes


def test_the_first_source_attribute_with_a_value_counts() -> None:
    assert made(rule("sn", "ENTPersonNom"), record(ENTPersonNom="Durand")) == (("Durand",), [])


def test_the_first_record_with_a_value_has_precedence() -> None:
    assert made(rule("sn"), record(), record(sn="Durand"), record(sn="Martin")) == (("Durand",), [])


def test_a_value_that_is_refused_gives_way_to_the_next_record() -> None:
    found, notes = made(rule("mail", steps=(make("email"),)), record(mail="no"), record(mail="a@example.org"))

    assert (found, notes) == (("a@example.org",), [])


def test_a_refusal_without_another_value_is_noted() -> None:
    assert made(rule("mail", steps=(make("email"),)), record(mail="no")) == ((), [("x", "refused")])


def test_a_blank_value_is_nothing_and_no_refusal() -> None:
    assert made(rule("sn", steps=(make("trim"), make("upper"))), record(sn="  ")) == ((), [])


def test_an_attribute_keeps_its_first_value_only() -> None:
    assert made(rule("sn"), record(sn=("a", "b"))) == (("a",), [])


def test_a_multiple_attribute_keeps_all_values() -> None:
    assert made(rule("sn", multiple=True), record(sn=("a", "b"))) == (("a", "b"), [])


def test_of_several_values_the_refused_ones_are_dropped_and_noted() -> None:
    found, notes = made(rule("mail", steps=(make("email"),), multiple=True), record(mail=("no", "a@example.org")))

    assert (found, notes) == (("a@example.org",), [("x", "refused")])


def test_steps_run_in_order() -> None:
    steps = (make("split", "$"), make("trim"), make("join", " "))

    assert made(rule("n", steps=steps), record(n="SCE IA$$LILLE")) == (("SCE IA LILLE",), [])


@pytest.mark.parametrize(
    "number",
    [
        "185057800608436",
        "1 85 05 78 006 084 36",
        "1850578006084",
        "2.85.05.2A.006.084",
        "née 185057800608436",
        "123456789AB",
        "0123456789A",
        "INE 123456789ab",
    ],
)
def test_a_national_number_is_withheld(number: str) -> None:
    assert made(rule("sn"), record(sn=number)) == ((), [("x", "looks-like-nir")])


@pytest.mark.parametrize(
    "value",
    [
        "Durand",
        "+33 6 12 34 56 78",
        "lea.durand2009@example.org",
        "10310019110",
        "Marie-Antoinette de l'Étoile",
        "+4915123456789",
    ],
)
def test_what_is_no_national_number_is_let_through(value: str) -> None:
    assert not looks_national(value)


def test_a_national_number_among_several_values_is_withheld_alone() -> None:
    found, notes = made(rule("sn", multiple=True), record(sn=("Durand", "1850578006084")))

    assert (found, notes) == (("Durand",), [("x", "looks-like-nir")])


def test_codes_of_a_table_may_look_like_national_numbers() -> None:
    assert made(rule("mef"), record(mef="123456789AB"), shapes=False) == (("123456789AB",), [])


def test_a_generaliser_after_other_steps_still_announces_its_day() -> None:
    until = compile_until(rule("b", steps=(make("trim"), make("first"), make("is-adult"))), TODAY)

    assert until is not None
    assert until((" 30/11/2009 ",)) == dt.date(2027, 11, 30)


def test_a_rule_that_no_day_changes_has_no_announcement() -> None:
    assert compile_until(rule("sn", steps=(make("trim"),)), TODAY) is None


PLAIN = tuple(make(name) for name in NAMES if name not in {"sub-field", "table", "split", "join", "template"})


@pytest.mark.parametrize("source", sorted(SOURCE_CLASSES))
def test_no_chain_of_transforms_cleanses_what_may_never_leave(source: str) -> None:
    """Rows 11, 13, 14 and all others of class `never` and `inside`, through every step there is (gdpr.md R3, R4)."""
    for population in RegisterPopulation:
        before = tainted(source, (), population)
        after = tainted(source, PLAIN, population)

        assert after is before or (source, before) == ("ENTPersonDateNaissance", SourceClass.RESTRICTED)


def test_only_generalisers_make_a_birth_date_ordinary() -> None:
    ordinary = {
        step.name
        for step in PLAIN
        if tainted("ENTPersonDateNaissance", (step,), RegisterPopulation.PUPIL_2D) is SourceClass.ORDINARY
    }

    assert ordinary == {"is-adult", "year"}
