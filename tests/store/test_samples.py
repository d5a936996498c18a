"""Samples in the store, and out of it and in again as CSV."""

import datetime as dt
import io
import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ent_sync.core.levels.samples import Cause, Result, Sample, Stage
from ent_sync.core.levels.spans import Span
from ent_sync.federation import exchange
from ent_sync.store import samples, seen

NOON = dt.datetime(2026, 11, 23, 12, 0, tzinfo=dt.UTC)
MINUTE = dt.timedelta(minutes=1)


def sample(minute=0, service="educonnect", vantage="main", **changed):
    values = {
        "service": service,
        "vantage": vantage,
        "time": NOON + minute * MINUTE,
        "result": Result.UP,
        "seconds": 0.25,
    }
    return Sample(**{**values, **changed})


DOWN = {"result": Result.DOWN, "stage": Stage.TLS, "cause": Cause.TLS_EXPIRED}


def add(database, *some):
    with database.transaction() as connection:
        return samples.add(connection, some)


def held(database, service="educonnect", window=None, **more):
    with database.reading() as connection:
        return list(samples.of(connection, service, window or Span(NOON, NOON + 60 * MINUTE), **more))


def test_a_sample_comes_back_as_it_was(database):
    add(database, sample(**DOWN))

    assert held(database) == [sample(**DOWN)]


def test_samples_come_back_in_the_order_of_time(database):
    add(database, sample(3), sample(1), sample(2))

    assert [each.time for each in held(database)] == [NOON + each * MINUTE for each in (1, 2, 3)]


def test_adding_the_same_samples_twice_adds_nothing(database):
    add(database, sample(1), sample(2))

    assert (add(database, sample(1), sample(2)), len(held(database))) == (0, 2)


def test_a_sample_that_is_known_is_not_changed(database):
    add(database, sample(1))
    add(database, sample(1, **DOWN))

    assert held(database) == [sample(1)]


def test_vantage_points_do_not_hide_each_other(database):
    add(database, sample(), sample(vantage="amiens"))

    assert [each.vantage for each in held(database)] == ["amiens", "main"]


def test_more_samples_than_one_statement_takes_are_kept(database):
    assert add(database, *(sample(each / 60) for each in range(2500))) == 2500


def test_what_may_still_count_at_the_start_of_a_window_is_in_it(database):
    add(database, sample(-8), sample(-4), sample(10), sample(60))

    found = held(database, hold=dt.timedelta(minutes=7.5))

    assert [each.time for each in found] == [NOON - 4 * MINUTE, NOON + 10 * MINUTE]


def test_other_services_are_not_in_it(database):
    add(database, sample(), sample(service="ent"))

    assert [each.service for each in held(database)] == ["educonnect"]


def test_the_services_of_which_there_are_samples(database):
    add(database, sample(), sample(1), sample(service="ent"))

    with database.reading() as connection:
        assert samples.services(connection) == ("educonnect", "ent")


def test_the_latest_sample_of_each_service(database):
    add(database, sample(1), sample(2, **DOWN), sample(service="ent"))

    with database.reading() as connection:
        found = samples.latest(connection)

    assert {name: each.result for name, each in found.items()} == {"educonnect": Result.DOWN, "ent": Result.UP}


def test_samples_are_counted_by_service_vantage_point_and_result(database):
    add(database, sample(1), sample(2), sample(3, **DOWN), sample(1, vantage="amiens"))

    with database.reading() as connection:
        found = samples.counts(connection)

    assert found == {
        ("educonnect", "main", Result.UP): 2,
        ("educonnect", "main", Result.DOWN): 1,
        ("educonnect", "amiens", Result.UP): 1,
    }


def test_failures_are_counted_by_stage_and_cause(database):
    add(database, sample(1), sample(2, **DOWN), sample(3, **DOWN))

    with database.reading() as connection:
        assert samples.failures(connection) == {("educonnect", "tls", "tls_expired"): 2}


def test_what_was_known_already_is_not_counted_again(database):
    add(database, sample(1), sample(2, **DOWN))
    add(database, sample(1), sample(2, **DOWN), sample(3, **DOWN))

    with database.reading() as connection:
        found = samples.counts(connection), samples.failures(connection)

    assert (sum(found[0].values()), found[1]) == (3, {("educonnect", "tls", "tls_expired"): 2})


# -- as CSV ------------------------------------------------------------------------------------------------------------


def written(*some):
    stream = io.StringIO(newline="")
    exchange.write(some, stream)
    return stream.getvalue()


def read(text):
    return exchange.parse(io.StringIO(text, newline=""), "samples.csv")


def test_the_lines_of_a_file_are_those_of_the_contract():
    assert written(sample(**DOWN), sample(1, seconds=None)).splitlines() == [
        "time,service,vantage,result,stage,cause,seconds",
        "2026-11-23T12:00:00Z,educonnect,main,down,tls,tls_expired,0.25",
        "2026-11-23T12:01:00Z,educonnect,main,up,,,",
    ]


moments = st.datetimes(dt.datetime(2020, 1, 1), dt.datetime(2035, 1, 1), timezones=st.just(dt.UTC))
any_sample = st.builds(
    Sample,
    service=st.from_regex(r"[a-z0-9][a-z0-9\-]{0,20}", fullmatch=True),
    vantage=st.from_regex(r"[a-z0-9][a-z0-9\-]{0,20}", fullmatch=True),
    time=moments,
    result=st.sampled_from(Result),
    stage=st.none() | st.sampled_from(Stage),
    cause=st.none() | st.sampled_from(Cause),
    seconds=st.none() | st.floats(0, 1e6),
)


@given(st.lists(any_sample, max_size=5))
def test_what_is_written_is_read_again(some):
    assert read(written(*some)) == some


HEAD = "time,service,vantage,result,stage,cause,seconds\n"
GOOD = "2026-11-23T12:00:00Z,educonnect,main,up,,,0.1\n"


@pytest.mark.parametrize(
    ("line", "rule"),
    [
        ("2026-11-23T12:00:00,educonnect,main,up,,,", "time"),
        ("2026-11-23T12:00:00+01:00,educonnect,main,up,,,", "time"),
        ("2026-02-30T12:00:00Z,educonnect,main,up,,,", "time"),
        ("2026-11-23 12:00,educonnect,main,up,,,", "time"),
        ("2026-11-23T12:00:00Z,Educ Onnect,main,up,,,", "service"),
        ("2026-11-23T12:00:00Z,educonnect,,up,,,", "vantage"),
        ("2026-11-23T12:00:00Z,educonnect,main,UP,,,", "result"),
        ("2026-11-23T12:00:00Z,educonnect,main,down,smtp,,", "stage"),
        ("2026-11-23T12:00:00Z,educonnect,main,down,tls,broken,", "cause"),
        ("2026-11-23T12:00:00Z,educonnect,main,up,,,-1", "seconds"),
        ("2026-11-23T12:00:00Z,educonnect,main,up,,,nan", "seconds"),
        ("2026-11-23T12:00:00Z,educonnect,main,up", "columns"),
        ('2026-11-23T12:00:00Z,"educonnect,main,up,,,', "csv"),
    ],
)
def test_a_bad_line_is_named(line, rule):
    with pytest.raises(exchange.BadSamplesError) as caught:
        read(HEAD + GOOD + line)

    assert [(str(each.where), each.rule) for each in caught.value.problems] == [("samples.csv:3", rule)]


def test_all_bad_lines_are_named():
    with pytest.raises(exchange.BadSamplesError) as caught:
        read(HEAD + "x\n" + GOOD + "y\n")

    assert [each.where.line for each in caught.value.problems] == [2, 4]


def test_a_bad_line_is_told_without_what_it_holds():
    with pytest.raises(exchange.BadSamplesError) as caught:
        read(HEAD + "LILLE$1234567,Lucie Dupont,main,up,,,\n")

    assert "Lucie" not in str(caught.value)


def test_other_columns_are_refused():
    with pytest.raises(exchange.BadSamplesError, match=r"samples\.csv:1: must be the line time,service"):
        read("service,time\n")


def test_a_file_that_is_no_text_is_refused(tmp_path):
    (tmp_path / "x.csv").write_bytes(b"\xff\xfe\x00")

    with pytest.raises(exchange.BadSamplesError, match="is not UTF-8"):
        exchange.read(tmp_path / "x.csv")


def test_a_file_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(exchange.BadSamplesError, match="cannot be read"):
        exchange.read(tmp_path / "x.csv")


def test_a_file_written_by_a_spreadsheet_is_read(tmp_path):
    (tmp_path / "x.csv").write_bytes(b"\xef\xbb\xbf" + (HEAD + GOOD).replace("\n", "\r\n").encode())

    assert len(exchange.read(tmp_path / "x.csv")) == 1


# -- what was seen -----------------------------------------------------------------------------------------------------


@pytest.fixture
def look(database):
    minutes = itertools.count()

    def looked(*, alternate=(), **found):
        with database.transaction() as connection:
            given = {what: dict.fromkeys(values) for what, values in found.items()}
            new = seen.look(connection, "educonnect", given, NOON + next(minutes) * MINUTE, alternate=alternate)
        return [(each.what, each.value) for each in new]

    return looked


def test_what_is_seen_for_the_first_time_is_not_new(look):
    assert look(entity=["a"], certificate=["x", "y"]) == []


def test_another_value_is_new(look):
    look(certificate=["x"])

    assert look(certificate=["x", "y"]) == [("certificate", "y")]


def test_the_same_value_again_is_not_new(look):
    look(certificate=["x"])
    look(certificate=["x", "y"])

    assert look(certificate=["x", "y"]) == []


def test_a_value_that_goes_is_not_new(look):
    look(certificate=["x", "y"])

    assert look(certificate=["y"]) == []


def test_a_value_that_comes_back_is_new(look):
    look(certificate=["x"])
    look(certificate=["y"])

    assert look(certificate=["x"]) == [("certificate", "x")]


def test_a_value_that_comes_back_is_known_where_values_alternate(look):
    look(tls=["x"])
    look(tls=["y"])

    assert look(tls=["x"], alternate=["tls"]) == []


def test_what_a_look_did_not_show_is_not_gone(look):
    look(certificate=["x"])
    look(entity=["a"])

    assert look(certificate=["x"]) == []


def test_the_earliest_end_of_what_was_last_seen(database):
    soon, late = NOON + 10 * MINUTE, NOON + 20 * MINUTE
    with database.transaction() as connection:
        seen.look(connection, "educonnect", {"tls": {"old": NOON}}, NOON)
        seen.look(connection, "educonnect", {"tls": {"a": late, "b": soon}}, NOON + MINUTE)

        assert seen.ends(connection) == {("educonnect", "tls"): soon}


def test_an_assertion_is_forgotten_when_nobody_would_take_it(database):
    with database.transaction() as connection:
        seen.keep_assertions(connection, [(b"a", NOON + MINUTE), (b"b", NOON + 5 * MINUTE)])

        assert seen.assertions(connection, NOON + MINUTE) == {b"b"}
