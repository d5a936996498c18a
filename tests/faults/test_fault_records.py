"""Records that cannot be used: each is set aside with its reason, and the rest goes on."""

from __future__ import annotations

import json
from typing import Any

import pytest
from spoiled import HEAD, PUPIL, Answer, Installation, pupil, request

Directory = list[tuple[Any, ...]]
PUPILS = f"{HEAD}_Eleve_0000.xml"


def where_and_why(place: Installation) -> list[tuple[str, str, int | None, str]]:
    return [(each["rule"], each["file"], each["line"], each["message"]) for each in place.quarantine]


def assert_set_aside(
    answer: Answer, place: Installation, rule: str, line: int, message: str, file: str = PUPILS
) -> None:
    assert (answer.code, answer.run["outcome"], answer.run["quarantined"]) == (3, "partial", 1)
    assert where_and_why(place) == [(rule, file, line, message)]


def names(place: Installation) -> list[str]:
    """The first names of the pupil who is new."""
    return [row[0] for row in place.rows("SELECT given_name FROM accounts WHERE source_key = 'LILLE$555'")]


def test_an_oversized_value_sets_its_record_aside(place: Installation, before: Directory) -> None:
    line = place.deliver().add("pupil", pupil(sn=["A" * 70_000]))

    answer = place.sync()

    assert_set_aside(
        answer, place, "value-size", line, "a value is longer than 64 Ki characters; ask the academy to correct it"
    )
    assert place.directory == before


def test_an_oversized_record_is_set_aside(place: Installation, before: Directory) -> None:
    line = place.deliver().add("pupil", pupil(ENTEleveRegime=["A" * 60_000] * 20))

    answer = place.sync()

    message = "is larger than a record can be; ask the academy to correct it"
    assert_set_aside(answer, place, "record-size", line, message)
    assert place.directory == before


def test_an_html_entity_without_a_document_type_is_read(place: Installation) -> None:
    place.deliver().add("pupil", pupil(givenName=["Zo&eacute;"]))

    answer = place.sync()

    assert answer.code == 0
    assert names(place) == ["Zoé"]


def test_an_entity_that_not_even_html_knows_sets_its_record_aside(place: Installation, before: Directory) -> None:
    line = place.deliver().add("pupil", pupil(givenName=["Zo&nonsense;"]))

    answer = place.sync()

    message = "a character is written by a name that HTML does not know; ask the academy to correct it"
    assert_set_aside(answer, place, "entity", line, message)
    assert place.directory == before


def test_a_record_that_is_not_built_as_the_format_has_it_is_set_aside(place: Installation, before: Directory) -> None:
    line = place.deliver().add("pupil", pupil(givenName=["<b>Zoe</b>"]))

    answer = place.sync()

    message = "an attribute holds an element that is no value; ask the academy to correct it"
    assert_set_aside(answer, place, "record", line, message)
    assert place.directory == before


def test_a_record_without_id_is_set_aside(place: Installation, before: Directory) -> None:
    line = place.deliver().add("pupil", pupil("", ENTPersonJointure=[]))

    answer = place.sync()

    message = "has no readable key (identifier/id); ask the academy to correct it"
    assert_set_aside(answer, place, "no-key", line, message)
    assert place.directory == before


def test_while_a_record_has_no_id_nobody_of_its_population_is_absent(place: Installation, before: Directory) -> None:
    delivered = place.deliver()
    delivered.keep("pupil", delivered.records("pupil")[:-3])
    delivered.add("pupil", pupil("", ENTPersonJointure=[]))

    answer = place.sync()

    assert (answer.code, answer.run["changes"]["suspend"]) == (3, 0)
    assert place.directory == before


def test_a_record_whose_id_is_not_its_join_key_is_set_aside(place: Installation, before: Directory) -> None:
    line = place.deliver().add("pupil", pupil(ENTPersonJointure=["556"]))

    answer = place.sync()

    message = "ENTPersonJointure is not the id of the record; ask the academy to correct it"
    assert_set_aside(answer, place, "key-mismatch", line, message)
    assert place.directory == before


def test_of_two_records_with_one_key_the_first_counts(place: Installation) -> None:
    delivered = place.deliver()
    guardian = ["10000000$10$1$1$1$1"]
    delivered.add("pupil", pupil(ENTElevePersRelEleve=guardian))
    line = delivered.add("pupil", pupil(givenName=["Double"], ENTElevePersRelEleve=guardian))

    answer = place.sync()

    message = "has the key of an earlier record of the same kind, which counts; ask the academy to correct it"
    assert_set_aside(answer, place, "duplicate-key", line, message)
    assert names(place) == ["Camille"]


def test_one_key_in_two_populations_sets_both_records_aside(place: Installation, before: Directory) -> None:
    delivered = place.deliver()
    old = delivered.line("staff", "<id>3000001</id>") - 2
    new = delivered.add("pupil", pupil("3000001"))

    answer = place.sync()

    message = "has the key of a record of another kind: neither is used; ask the academy to correct it"
    assert answer.code == 3
    assert sorted(where_and_why(place)) == [
        ("key-in-two-populations", PUPILS, new, message),
        ("key-in-two-populations", f"{HEAD}_PersEducNat_0000.xml", old, message),
    ]
    assert place.directory == before


def test_a_record_of_another_category_is_set_aside(place: Installation, before: Directory) -> None:
    line = place.deliver().add("pupil", request("add", "staff", "555", PUPIL).encode())

    answer = place.sync()

    message = "is not of the category Eleve of its file; ask the academy to correct it"
    assert_set_aside(answer, place, "category", line, message)
    assert place.directory == before


def test_a_pupil_without_a_name_is_set_aside(place: Installation, before: Directory) -> None:
    line = place.deliver().add("pupil", pupil(sn=[]))

    answer = place.sync()

    message = "has no sn or ENTPersonNom, without which there is no account; ask the academy to correct it"
    assert_set_aside(answer, place, "required", line, message)
    assert place.directory == before


def test_a_known_pupil_who_comes_without_a_name_keeps_his_account(place: Installation, before: Directory) -> None:
    delivered = place.deliver()
    first = delivered.records("pupil")[0].decode()
    delivered.edit("pupil", first, first.replace('name="sn"', 'name="cn"'))

    answer = place.sync()

    assert (answer.code, answer.run["quarantined"]) == (3, 1)
    assert place.directory == before


def test_a_structure_without_uai_is_set_aside(place: Installation, before: Directory) -> None:
    school = request("add", "school", "5555", {"ENTStructureJointure": ["5555"], "ENTStructureNomCourant": ["ESSAI"]})
    line = place.deliver().add("school", school.encode())

    answer = place.sync()

    message = "has no UAI, and cannot be told from other structures; ask the academy to correct it"
    assert_set_aside(answer, place, "required", line, message, f"{HEAD}_EtabEducNat_0000.xml")
    assert place.directory == before


def test_a_link_to_nobody_is_set_aside_and_its_pupil_is_used(place: Installation) -> None:
    place.deliver().add("pupil", pupil(ENTElevePersRelEleve=["987654$10$1$1$1$1"]))

    answer = place.sync()

    assert (answer.code, answer.run["applied"]["create"]) == (3, 1)
    assert where_and_why(place) == [
        (
            "link-to-nobody",
            HEAD,
            None,
            "a pupil names a guardian whom the source does not deliver: the pupil is used, the link is not; "
            "ask the academy for the guardian",
        )
    ]
    assert names(place) == ["Camille"]


def test_more_than_2_percent_of_links_to_nobody_hold_the_delivery(place: Installation, before: Directory) -> None:
    delivered = place.deliver()
    delivered.keep("guardian", delivered.records("guardian")[20:])

    answer = place.sync()

    assert answer.code == 4
    assert answer.guards == {("completeness", "lille-2d")}
    assert answer.reason == (
        f"{HEAD}: 22 of 630 guardian links lead to nobody (3.5%, limit 2.0%): part of the people is missing. "
        "Ask the academy for the whole delivery"
    )
    assert place.directory == before


def test_an_unknown_attribute_is_ignored_and_counted_by_name(place: Installation) -> None:
    delivered = place.deliver()
    for key in ("555", "556"):
        delivered.add("pupil", pupil(key, ENTEleveNouveaute=["2699"]))

    answer = place.sync()

    lines = [json.loads(line) for line in (place.dir / "ent-sync.log").read_text().splitlines()]
    told = [
        (each["file"], each["name"], each["count"]) for each in lines if each["event"] == "unknown attribute ignored"
    ]
    assert (answer.code, answer.run["applied"]["create"]) == (0, 2)
    assert told == [(PUPILS, "ENTEleveNouveaute", 2)]


@pytest.mark.parametrize("verb", ["modify", "delete"])
def test_a_complete_delivery_holds_nothing_but_records(place: Installation, before: Directory, verb: str) -> None:
    attributes = {"givenName": ["Neuf"]} if verb == "modify" else None
    line = place.deliver().add("pupil", request(verb, "pupil", "1000000", attributes).encode())

    answer = place.sync()

    message = "is no add request, and a complete delivery holds nothing else; ask the academy to correct it"
    assert_set_aside(answer, place, "not-an-add", line, message)
    assert place.directory == before


def test_quarantine_says_where_and_why_and_never_whom(place: Installation) -> None:
    place.deliver().add("pupil", pupil("4242424", sn=["TRESPRIVE"], ENTPersonJointure=["7"]))
    place.sync()
    [entry] = place.quarantine

    shown = place("quarantine", "show", entry["id"])

    assert shown.code == 0
    assert "ENTPersonJointure is not the id of the record; ask the academy to correct it" in shown.out
    assert "TRESPRIVE" not in shown.out
    assert "4242424" not in shown.out


def test_what_comes_in_good_order_leaves_quarantine(place: Installation) -> None:
    place.deliver().add("pupil", pupil(sn=[]))
    codes = [place.sync().code]
    place.deliver("20261122").add("pupil", pupil())

    codes.append(place.sync().code)

    assert codes == [3, 0]
    assert place.quarantine == []
    assert names(place) == ["Camille"]
