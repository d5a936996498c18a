"""What a run tells becomes lines: one that sums it up, and every line knows what it is about."""

import datetime as dt
import json
from dataclasses import replace

import pytest

from ent_sync.core.event import BatchPushed, CursorLost, DeliveryJudged, PlanMade, ReadingBegan, RunBegan, RunEnded
from ent_sync.core.fingerprint import Keys
from ent_sync.core.guard import Guard, Hold
from ent_sync.core.plan import Operation
from ent_sync.core.record import Population
from ent_sync.core.run import Kind, Outcome, RunResult, SourceRead
from ent_sync.observe import log

RUN = "20260902T053000000000-ab12"
HOLD = Hold(Guard.DEPARTURES, "lille-2d/pupil", 0.4, 0.03, "lille-2d")
WHY = "departures of lille-2d/pupil: 40.0% of them would be suspended, at most 3.0% may"
HELD = RunResult(
    run=RUN,
    kind=Kind.FULL,
    outcome=Outcome.HELD,
    plan="20260902T053001000000-cd34",
    sources=(
        SourceRead("lille-2d", complete=True, delivery="d1", read={Population.PUPIL: 300, Population.STAFF: 20}),
        SourceRead("lille-1d", complete=True, delivery="d2", read={Population.PUPIL: 200}),
    ),
    changes={Operation.UPDATE: 5, Operation.SUSPEND: 120},
    unchanged=375,
    applied={Operation.UPDATE: 5},
    failed=0,
    quarantined=2,
    held=(HOLD,),
    reasons=(WHY,),
    started=dt.datetime(2026, 9, 2, 5, 30, tzinfo=dt.UTC),
    seconds=4.25,
)


@pytest.fixture
def told(tmp_path):
    """Tells events, and gives the lines that came of them."""
    log.configure(tmp_path / "log", "debug")

    def act(*events):
        for each in events:
            log.listener(each)
        return [json.loads(line) for line in (tmp_path / "log").read_text().splitlines()]

    yield act
    log.configure(None, "info")


def test_a_run_is_summed_up_in_one_line(told):
    lines = told(RunBegan(RUN, Kind.FULL), RunEnded(HELD))

    assert [line["event"] for line in lines if "outcome" in line] == ["run ended"]


def test_the_summary_says_how_it_ended_how_much_it_did_and_how_long_it_took(told):
    [line] = told(RunEnded(HELD))

    assert (line["run"], line["outcome"], line["seconds"]) == (RUN, "held", 4.25)
    assert line["read"] == {"pupil": 500, "guardian": 0, "staff": 20, "school": 0}
    assert (line["applied"]["update"], line["changes"]["suspend"], line["quarantined"]) == (5, 120, 2)


def test_the_summary_says_why_something_was_held(told):
    [line] = told(RunEnded(HELD))

    assert line["reasons"] == [WHY]
    assert line["held"] == [{"guard": "departures", "scope": "lille-2d/pupil", "observed": 0.4, "limit": 0.03}]


@pytest.mark.parametrize(
    ("outcome", "level"),
    [(Outcome.DONE, "info"), (Outcome.PARTIAL, "warning"), (Outcome.HELD, "warning"), (Outcome.FAILED, "warning")],
)
def test_whoever_reads_warnings_only_hears_of_every_run_that_was_not_done(told, outcome, level):
    [line] = told(RunEnded(replace(HELD, outcome=outcome)))

    assert line["level"] == level


def test_every_line_of_a_run_names_it(told):
    lines = told(
        RunBegan(RUN, Kind.FULL),
        ReadingBegan("lille-2d", "d1", 6),
        CursorLost("lille-2d"),
        DeliveryJudged("lille-2d", "d1", "applied"),
        PlanMade("p1", "ent", {Operation.CREATE: 3}, 3, ()),
        BatchPushed("ent", 3, 0),
        RunEnded(HELD),
    )

    assert [line["run"] for line in lines] == [RUN] * 7


def test_a_line_after_a_run_is_not_about_it(told):
    lines = told(RunBegan(RUN, Kind.FULL), RunEnded(HELD), CursorLost("lille-2d"))

    assert "run" not in lines[-1]


def test_a_line_is_about_its_source_or_its_target(told):
    lines = told(DeliveryJudged("lille-2d", "d1", "applied"), BatchPushed("ent", 3, 0))

    assert [(line.get("source"), line.get("target")) for line in lines] == [("lille-2d", None), (None, "ent")]


def test_every_line_has_time_level_and_event_first(told):
    lines = told(RunBegan(RUN, Kind.FULL), RunEnded(HELD))

    assert [list(line)[:3] for line in lines] == [["timestamp", "level", "event"]] * 2
    assert all(dt.datetime.fromisoformat(line["timestamp"]).tzinfo == dt.UTC for line in lines)


# -- persons -----------------------------------------------------------------------------------------------------------

KEYS = Keys.derive(b"k" * 32)


def test_a_person_is_called_the_same_through_a_quarter():
    assert log.person(KEYS, "LILLE$1", dt.date(2026, 7, 1)) == log.person(KEYS, "LILLE$1", dt.date(2026, 9, 30))


def test_nobody_follows_a_person_from_one_quarter_to_the_next():
    assert log.person(KEYS, "LILLE$1", dt.date(2026, 9, 30)) != log.person(KEYS, "LILLE$1", dt.date(2026, 10, 1))
