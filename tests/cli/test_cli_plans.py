"""`plan`: what waits is shown, let through as stored, or thrown away."""

from __future__ import annotations

from typing import Any

import pytest


def test_plans_are_listed_by_name(held: Any) -> None:
    installation, plan = held

    [first, *_] = installation("plan", "list", "--json").document

    assert (first["plan"], first["status"], first["target"]) == (plan, "held", "ent")


def test_a_plan_tells_which_guard_holds_it_and_what_it_allows(held: Any) -> None:
    installation, plan = held

    document = installation("plan", "show", plan, "--json").document

    assert {(each["guard"], each["scope"], each["limit"]) for each in document["held"]} == {
        ("departures", "lille-2d/pupil", 0.03),
        ("departures", "lille-2d/guardian", 0.03),
    }


@pytest.mark.parametrize(("by", "length"), [("school", 8), ("population", 0), ("attribute", 0)])
def test_a_plan_is_counted_by_school_population_or_attribute(held: Any, by: str, length: int) -> None:
    installation, plan = held

    document = installation("plan", "show", plan, "--by", by, "--json").document

    assert document["by"] == by
    assert sum(each["count"] for each in document["facets"] if each["status"] == "held") >= document["waiting"]
    assert all(len(each["facet"]) in {length, 1} for each in document["facets"]) or not length


def test_names_are_shown_on_a_terminal_only(held: Any) -> None:
    installation, plan = held

    answer = installation("plan", "show", plan, "--reveal")

    assert (answer.code, answer.out) == (2, "")


def test_an_approved_plan_is_applied_and_answers_as_a_run(held: Any) -> None:
    installation, plan = held
    waiting = installation("plan", "show", plan, "--json").document["waiting"]

    answer = installation("plan", "approve", plan, "--json")

    assert answer.code == 0
    assert (answer.document["schema"], sum(answer.document["applied"].values())) == ("ent-sync/run/1", waiting)


def test_a_plan_is_applied_once(held: Any) -> None:
    installation, plan = held
    installation("plan", "approve", plan)

    answer = installation("plan", "approve", plan)

    assert (answer.code, answer.out) == (2, "")
    assert answer.err == f"plan {plan} is applied: only one that waits can be approved or rejected\n"


def test_a_rejected_plan_is_not_applied(held: Any) -> None:
    installation, plan = held

    answer = installation("plan", "reject", plan, "--json")

    assert (answer.code, answer.document["plan"], answer.document["status"]) == (0, plan, "rejected")
    assert installation("plan", "approve", plan).code == 2
    [target] = installation("status", "--json").document["targets"]
    assert target["accounts"]["pupil"] == {"active": 400, "suspended": 0}


@pytest.mark.parametrize("verb", ["show", "approve", "reject"])
def test_an_unknown_plan_is_wrong_usage(demo: Any, verb: str) -> None:
    answer = demo("plan", verb, "nothing")

    assert (answer.code, answer.err) == (2, "no plan is called nothing; look: ent-sync plan list\n")
