"""Problems, the exceptions that stop us, and the document in which a run answers."""

import datetime as dt
import json

import pytest

from ent_sync.core.errors import (
    BadConfigurationError,
    BusyError,
    EntSyncError,
    LeaseLostError,
    Problem,
    StoreError,
    UnavailableError,
    UsageError,
    Where,
)
from ent_sync.core.guard import Guard, Hold
from ent_sync.core.plan import Operation
from ent_sync.core.record import Population
from ent_sync.core.run import Kind, Outcome, RunResult, SourceRead


@pytest.mark.parametrize(
    ("where", "text"),
    [
        (Where("a.xml"), "a.xml"),
        (Where("a.xml", 7), "a.xml:7"),
        (Where("a.yaml", 7, 3), "a.yaml:7:3"),
        (Where("a.yaml", 7, 3, "sources[0].path"), "a.yaml:7:3: sources[0].path"),
        (Where("a.yaml", path="sources"), "a.yaml: sources"),
    ],
)
def test_a_place_is_written_as_editors_understand_it(where, text):
    assert str(where) == text


def test_a_problem_is_its_place_and_its_sentence():
    problem = Problem(Where("a.yaml", 7, 3, "web.listen"), "address", "is no address")

    assert str(problem) == "a.yaml:7:3: web.listen: is no address"


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (EntSyncError, 1),
        (StoreError, 1),
        (UsageError, 2),
        (BusyError, 5),
        (LeaseLostError, 5),
        (UnavailableError, 7),
        (BadConfigurationError, 78),
    ],
)
def test_what_stops_a_command_has_the_exit_code_of_the_contract(error, code):
    assert error.exit_code == code


@pytest.mark.parametrize("error", [StoreError, UsageError, BusyError, LeaseLostError, UnavailableError])
def test_whatever_stops_us_can_be_caught_as_one(error):
    assert issubclass(error, EntSyncError)


def test_a_bad_configuration_tells_all_its_problems_at_once():
    problems = [Problem(Where("a.yaml", 1), "x", "is wrong"), Problem(Where("a.yaml", 2), "y", "is wrong too")]

    error = BadConfigurationError(problems)

    assert (str(error), error.problems) == ("a.yaml:1: is wrong\na.yaml:2: is wrong too", tuple(problems))


# -- outcomes and the document of a run --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("outcome", "code"),
    [("done", 0), ("failed", 1), ("partial", 3), ("stopped", 3), ("held", 4)],
)
def test_an_outcome_has_the_exit_code_of_the_contract(outcome, code):
    assert Outcome(outcome).exit_code == code


def test_there_are_no_other_outcomes_and_kinds():
    assert [*Outcome, *Kind] == ["done", "partial", "held", "failed", "stopped", "full", "delta", "targeted", "undo"]


def result(**others):
    values = {
        "run": "r1",
        "kind": Kind.FULL,
        "outcome": Outcome.HELD,
        "plan": "p1",
        "sources": (SourceRead("lille-2d", complete=True, delivery="d1", read={Population.PUPIL: 7}),),
        "changes": {Operation.CREATE: 3},
        "unchanged": 5,
        "applied": {Operation.CREATE: 2},
        "failed": 1,
        "quarantined": 4,
        "held": (Hold(Guard.JOIN_KEYS, "lille-2d", 0.5, 0.01, "lille-2d", frozenset({Operation.UPDATE})),),
        "reasons": ("because",),
        "started": dt.datetime(2026, 9, 1, 5, 30, tzinfo=dt.UTC),
        "seconds": 1.23456,
    }
    return RunResult(**(values | others))


def test_the_document_of_a_run_is_that_of_the_contract():
    assert result().document() == {
        "schema": "ent-sync/run/1",
        "run": "r1",
        "kind": "full",
        "outcome": "held",
        "plan": "p1",
        "sources": [
            {
                "name": "lille-2d",
                "complete": True,
                "delivery": "d1",
                "read": {"pupil": 7, "guardian": 0, "staff": 0, "school": 0},
            }
        ],
        "changes": {"create": 3, "update": 0, "suspend": 0, "restore": 0, "delete": 0, "unchanged": 5},
        "applied": {"create": 2, "update": 0, "suspend": 0, "restore": 0, "delete": 0},
        "failed": 1,
        "quarantined": 4,
        "held": [{"guard": "join-keys", "scope": "lille-2d", "observed": 0.5, "limit": 0.01}],
        "reasons": ["because"],
        "started": "2026-09-01T05:30:00+00:00",
        "seconds": 1.235,
    }


def test_the_document_of_a_run_is_plain_json():
    document = result(plan=None, sources=(), held=()).document()

    assert json.loads(json.dumps(document)) == document


def test_the_guards_are_spelled_as_in_the_contract():
    assert {Guard.COMPLETENESS, Guard.ORDER, Guard.GAP, Guard.SHRINKAGE, Guard.DEPARTURES} == {
        "completeness",
        "order",
        "gap",
        "shrinkage",
        "departures",
    }
