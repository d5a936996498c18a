"""Deliveries that do not follow on what is there, and those that would take away too much."""

from __future__ import annotations

import shutil
from typing import Any

from spoiled import HEAD, PUPIL, Installation, called, request

Directory = list[tuple[Any, ...]]
DELTA = "ENT2DVA_LILLE_Delta_20261121"
NEW_NAME = {"givenName": ["Neuf"]}


def renamed(place: Installation) -> list[str]:
    """The keys of those whose first name a delta changed."""
    return [row[0] for row in place.rows("SELECT source_key FROM accounts WHERE given_name = 'Neuf' ORDER BY 1")]


def change(key: str) -> str:
    return request("modify", "pupil", key, NEW_NAME)


# -- order -------------------------------------------------------------------------------------------------------------


def test_a_delta_that_is_not_newer_is_refused(place: Installation, before: Directory) -> None:
    place.delta({"pupil": [request("delete", "pupil", "1000000")]}, "20261120")

    answer = place.sync()

    assert (answer.code, answer.guards) == (4, {("order", "lille-2d")})
    assert answer.reason == (
        "ENT2DVA_LILLE_Delta_20261120: is dated 2026-11-20, but lille-2d is applied up to 2026-11-20: going back in "
        "time would undo what came since. Remove it, or ask for a newer one"
    )
    assert place.directory == before


def test_a_complete_delivery_that_is_not_newer_is_refused(place: Installation, before: Directory) -> None:
    delivered = place.deliver("20261119")
    delivered.keep("pupil", delivered.records("pupil")[:100])

    answer = place.sync()

    assert (answer.code, answer.guards) == (4, {("order", "lille-2d")})
    assert answer.reason.startswith("ENT2DVA_LILLE_Complet_20261119: is dated 2026-11-19, but lille-2d is applied up")
    assert place.directory == before


def test_a_truncated_delta_is_not_used_and_neither_is_what_comes_after_it(
    place: Installation, before: Directory
) -> None:
    first = place.delta({"pupil": [change("1000000")]}).file("pupil")
    content = first.read_bytes()
    first.write_bytes(content[:-20])
    place.delta({"pupil": [change("1000001")]}, "20261122")

    answer = place.sync()

    broken, later = answer.run["reasons"]
    assert (answer.code, answer.guards) == (4, {("completeness", "lille-2d"), ("gap", "lille-2d")})
    assert broken.startswith(f"{DELTA}_Eleve_0000.xml:8:1: is no XML from here on")
    assert later == (
        f"ENT2DVA_LILLE_Delta_20261122: comes after {DELTA}, which is held and missing between. "
        f"Ask the academy for {DELTA} in good order, or for a complete delivery"
    )
    assert place.directory == before


def test_a_truncated_delta_that_is_replaced_lets_the_later_one_in(place: Installation) -> None:
    first = place.delta({"pupil": [change("1000000")]}).file("pupil")
    content = first.read_bytes()
    first.write_bytes(content[:-20])
    place.delta({"pupil": [change("1000001")]}, "20261122")
    place.sync()
    first.write_bytes(content)

    answer = place.sync()

    assert answer.code == 0
    assert renamed(place) == ["LILLE$1000000", "LILLE$1000001"]


def test_a_complete_delivery_heals_a_held_delta(place: Installation, before: Directory) -> None:
    first = place.delta({"pupil": [change("1000000")]}).file("pupil")
    first.write_bytes(first.read_bytes()[:-20])
    place.sync()
    place.deliver("20261123")

    codes = [place.sync().code, place.sync().code]

    assert codes[-1] == 0
    assert place.directory == before


def test_a_part_missing_from_the_numbering_of_a_delta_holds_it(place: Installation, before: Directory) -> None:
    delivered = place.delta({"pupil": [change("1000000")]})
    shutil.copy(delivered.file("pupil"), delivered.file("pupil", 2))

    answer = place.sync()

    assert (answer.code, answer.guards) == (4, {("completeness", "lille-2d")})
    assert answer.reason.startswith(f"{DELTA}: part 0001 of ENT2DVA_LILLE_Eleve is missing")
    assert place.directory == before


# -- what a delta may say ----------------------------------------------------------------------------------------------


def test_a_whole_modify_of_an_unknown_key_makes_the_pupil(place: Installation) -> None:
    place.delta({"pupil": [request("modify", "pupil", "555", PUPIL)]})

    answer = place.sync()

    assert (answer.code, answer.run["applied"]["create"]) == (0, 1)
    assert place.active["pupil"] == 301


def test_a_partial_modify_of_an_unknown_key_is_set_aside(place: Installation) -> None:
    place.delta({"pupil": [change("555"), change("1000000")]})

    answer = place.sync()

    [entry] = place.quarantine
    assert (answer.code, answer.run["quarantined"]) == (3, 1)
    assert (entry["rule"], entry["file"], entry["line"]) == ("modify-unknown", f"{DELTA}_Eleve_0000.xml", 2)
    assert entry["message"] == (
        "changes part of a record that the source never delivered; it waits for the next complete delivery"
    )
    assert renamed(place) == ["LILLE$1000000"]


def test_a_delete_of_an_unknown_key_does_nothing(place: Installation, before: Directory) -> None:
    place.delta({"pupil": [request("delete", "pupil", "555")]})

    answer = place.sync()

    assert (answer.code, answer.run["sources"][0]["read"]["pupil"]) == (0, 1)
    assert place.directory == before


def test_a_few_unknown_keys_do_not_hold_a_delta(place: Installation) -> None:
    place.delta({"pupil": [*(change(str(9_000_000 + n)) for n in range(20)), change("1000000")]})

    answer = place.sync()

    assert (answer.code, answer.run["quarantined"]) == (3, 20)
    assert renamed(place) == ["LILLE$1000000"]


def test_many_unknown_keys_are_a_gap_and_hold_the_delta(place: Installation, before: Directory) -> None:
    place.delta({"pupil": [*(change(str(9_000_000 + n)) for n in range(21)), change("1000000")]})

    answer = place.sync()

    assert (answer.code, answer.guards) == (4, {("gap", "lille-2d")})
    assert answer.reason == (
        f"{DELTA}: 21 of 22 modify and delete requests are about keys never delivered (95.5%, limit 2.0% and 20): "
        "an earlier delta is missing. Ask the academy for a complete delivery"
    )
    assert place.directory == before


def test_an_operation_that_replaces_nothing_is_set_aside(place: Installation, before: Directory) -> None:
    place.delta({"pupil": [change("1000000").replace("replace", "add")]})

    answer = place.sync()

    [entry] = place.quarantine
    assert (answer.code, entry["rule"], entry["line"]) == (3, "operation", 2)
    assert entry["message"] == "a modification is none that replaces; ask for the next complete delivery"
    assert place.directory == before


def test_of_two_requests_about_one_key_the_last_one_counts(place: Installation) -> None:
    place.delta({"pupil": [request("modify", "pupil", "1000000", {"givenName": ["Ancien"]}), change("1000000")]})

    answer = place.sync()

    assert answer.code == 0
    assert renamed(place) == ["LILLE$1000000"]


# -- too many at once --------------------------------------------------------------------------------------------------


def test_a_shrunken_population_is_held_and_nobody_is_suspended(place: Installation, before: Directory) -> None:
    delivered = place.deliver()
    delivered.keep("pupil", delivered.records("pupil")[:180])

    answer = place.sync()

    [shrinkage] = [each for each in answer.run["held"] if each["guard"] == "shrinkage"]
    plan = answer.run["plan"]
    assert answer.code == 4
    assert shrinkage == {"guard": "shrinkage", "scope": "lille-2d/pupil", "observed": 0.6, "limit": 0.9}
    assert "shrinkage of lille-2d/pupil: 60.0% of them would remain, at least 90.0% must" in answer.run["reasons"]
    assert (
        f"Look: ent-sync plan show {plan} --by school. Then: ent-sync plan approve {plan}, or plan reject {plan}"
    ) in answer.run["reasons"]
    assert place.directory == before


def test_a_mass_departure_from_a_source_is_held_and_arrivals_go_on(place: Installation) -> None:
    delivered = place.deliver()
    delivered.keep("pupil", delivered.records("pupil")[:276])
    delivered.add("pupil", request("add", "pupil", "555", PUPIL).encode())

    answer = place.sync()

    assert answer.code == 4
    assert ("departures", "lille-2d/pupil") in answer.guards
    assert "departures of lille-2d/pupil: 8.0%, at most 3.0% without approval" in answer.run["reasons"]
    assert answer.run["applied"] == {"create": 1, "update": 0, "suspend": 0, "restore": 0, "delete": 0}
    assert (place.active["pupil"], place.suspended) == (301, 0)


def test_a_mass_departure_from_a_school_is_held(place: Installation, before: Directory) -> None:
    delivered = place.deliver()
    [(key,)] = place.rows("SELECT source_key FROM structures WHERE uai = '0620003S'")
    enrolled = f'ENTPersonStructRattach"><value>{key.partition("$")[2]}<'.encode()
    leaving = [each for each in delivered.records("pupil") if enrolled in each][:60]
    delivered.keep("pupil", [each for each in delivered.records("pupil") if each not in leaving])

    answer = place.sync()

    assert answer.code == 4
    assert ("departures", "0620003S") in answer.guards
    assert (place.active["pupil"], place.suspended) == (300, 0)


def test_departures_that_were_held_go_when_they_are_approved(place: Installation) -> None:
    delivered = place.deliver()
    delivered.keep("pupil", delivered.records("pupil")[:276])
    plan = place.sync().run["plan"]

    answer = place("plan", "approve", plan, "--json")

    assert answer.code == 0
    assert place.active["pupil"] == 276


# -- as synth makes them -----------------------------------------------------------------------------------------------


def test_every_fault_that_synth_makes_ends_with_the_exit_code_of_its_kind(place: Installation) -> None:
    expected = {
        "truncated-file": 4,
        "missing-kind": 4,
        "duplicate-keys": 3,
        "bad-encoding": 4,
        "entity-bomb": 4,
        "external-entity": 4,
        "oversized-value": 3,
        "out-of-order": 4,
        "shrunken": 4,
        "no-key": 3,
        "dangling-links": 4,
        "iso-8859-15": 0,
        "unknown-attribute": 0,
        "bad-archive": 4,
    }
    found = {}

    for fault in expected:
        copy = Installation(place.dir.parent / fault, place.original)
        shutil.copytree(place.dir, copy.dir)
        called("synth", copy.deliveries, "--pupils", "300", "--date", "2026-11-21", "--fault", fault)
        found[fault] = copy.sync().code

    assert found == expected


def test_a_complete_delivery_in_good_order_changes_nothing(place: Installation, before: Directory) -> None:
    place.deliver()

    answer = place.sync()

    assert (answer.code, answer.run["sources"][0]["delivery"], answer.run["reasons"]) == (0, HEAD, [])
    assert place.directory == before
