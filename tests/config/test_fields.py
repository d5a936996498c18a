from __future__ import annotations

import re
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from ent_sync.config.cron import fault_of
from ent_sync.config.fields import (
    Address,
    Cron,
    Duration,
    Every,
    Listen,
    Moment,
    OnDelivery,
    Schedule,
    SecretRef,
    Share,
    Size,
)
from ent_sync.core.errors import BadConfigurationError

DURATION: TypeAdapter[timedelta] = TypeAdapter(Duration)
SIZE: TypeAdapter[int] = TypeAdapter(Size)
SHARE: TypeAdapter[float] = TypeAdapter(Share)
LISTEN: TypeAdapter[Address] = TypeAdapter(Listen)
MOMENT: TypeAdapter[datetime] = TypeAdapter(Moment)
SCHEDULE: TypeAdapter[Any] = TypeAdapter(Schedule)


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("60s", timedelta(seconds=60)),
        ("15m", timedelta(minutes=15)),
        ("2h", timedelta(hours=2)),
        ("7d", timedelta(days=7)),
        ("60 d", timedelta(days=60)),
        ("4w", timedelta(days=28)),
        ("0", timedelta()),
        (0, timedelta()),
        ("0s", timedelta()),
    ],
)
def test_a_duration_is_a_number_and_a_unit(written, meant):
    assert DURATION.validate_python(written) == meant


@pytest.mark.parametrize(
    "written",
    ["", "60", 60, "s", "-5s", "1.5h", "5 years", "5S", "1h30m", True, False, None, [], {}, "99999999999d", "٣s"],
)
def test_what_is_no_duration_is_refused(written):
    with pytest.raises(ValidationError, match="must be a number and one unit"):
        DURATION.validate_python(written)


def test_a_duration_of_more_than_a_century_is_refused():
    with pytest.raises(ValidationError, match="must not be longer than 100 years"):
        DURATION.validate_python("9999999999w")


@given(st.integers(0, 10**9).map(lambda seconds: timedelta(seconds=seconds)))
def test_a_duration_is_written_as_it_is_read(duration):
    assert DURATION.validate_python(DURATION.dump_python(duration)) == duration


@pytest.mark.parametrize(
    ("written", "bytes_"),
    [("512 MiB", 536870912), ("1.5 GiB", 1610612736), ("200kB", 200000), ("7 B", 7), ("1 TiB", 1099511627776)],
)
def test_a_size_is_a_number_and_a_unit(written, bytes_):
    assert SIZE.validate_python(written) == bytes_


@pytest.mark.parametrize("written", [512, "512", "512 mb", "-1 MiB", "1,5 GiB", "MiB", None, True, []])
def test_what_is_no_size_is_refused(written):
    with pytest.raises(ValidationError, match="must be a number and a unit"):
        SIZE.validate_python(written)


@given(st.integers(0, 2**40))
def test_a_size_is_written_as_it_is_read(size):
    assert SIZE.validate_python(SIZE.dump_python(size)) == size


@pytest.mark.parametrize(
    ("written", "meant"), [("3 %", 0.03), ("3%", 0.03), ("2.5 %", 0.025), ("100 %", 1), (0.03, 0.03), (0, 0), (1, 1)]
)
def test_a_share_is_a_percentage_or_a_part_of_one(written, meant):
    assert SHARE.validate_python(written) == pytest.approx(meant)


@pytest.mark.parametrize(
    "written", ["3", 3, "101 %", "-1 %", -0.1, float("nan"), float("inf"), True, "2,5 %", None, []]
)
def test_what_is_no_share_is_refused(written):
    with pytest.raises(ValidationError, match="must be a share"):
        SHARE.validate_python(written)


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("127.0.0.1:9464", Address("127.0.0.1", 9464)),
        ("localhost:0", Address("localhost", 0)),
        ("[::1]:9464", Address("::1", 9464)),
    ],
)
def test_an_address_to_listen_on_is_host_and_port(written, meant):
    assert LISTEN.validate_python(written) == meant


@pytest.mark.parametrize("written", ["9464", 9464, ":9464", "::1:9464", "localhost:65536", "http://localhost:1", None])
def test_what_is_no_address_is_refused(written):
    with pytest.raises(ValidationError, match="must be HOST:PORT"):
        LISTEN.validate_python(written)


@pytest.mark.parametrize("written", ["127.0.0.1:9464", "[::1]:9464"])
def test_an_address_is_written_as_it_is_read(written):
    assert LISTEN.dump_python(LISTEN.validate_python(written)) == written


@pytest.mark.parametrize("written", ["2026-12-19T00:00:00+01:00", "2026-12-18T23:00:00Z", "2026-12-18t23:00:00.0z"])
def test_a_moment_has_its_offset(written):
    assert MOMENT.validate_python(written) == datetime.fromisoformat("2026-12-18T23:00:00+00:00")


@pytest.mark.parametrize(
    "written", ["2026-12-19", "2026-12-19T00:00:00", "2026-02-30T00:00:00Z", "2026-12-19T00:00:00+99:00", 0, None]
)
def test_what_is_no_moment_is_refused(written):
    with pytest.raises(ValidationError, match="must be a date and time that exists"):
        MOMENT.validate_python(written)


@pytest.mark.parametrize(
    ("adapter", "accepted", "refused"),
    [
        (DURATION, ["60s", "60 d", "0"], ["60", "1h30m"]),
        (SIZE, ["512 MiB", "1.5 GiB"], ["512"]),
        (SHARE, ["3 %", "2.5%"], ["3"]),
        (LISTEN, ["127.0.0.1:9464", "[::1]:1"], ["9464"]),
    ],
)
def test_the_pattern_of_the_schema_accepts_what_the_type_accepts(adapter, accepted, refused):
    schema = adapter.json_schema()
    pattern = next(shape["pattern"] for shape in [schema, *schema.get("anyOf", [])] if "pattern" in shape)

    assert [bool(re.match(pattern, text)) for text in [*accepted, *refused]] == [
        *(True for _ in accepted),
        *(False for _ in refused),
    ]


# ---------------------------------------------------------------------------------------------------------------------
# Schedules


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ({"cron": "30 5 * * mon-sat"}, Cron(cron="30 5 * * mon-sat", zone="Europe/Paris")),
        ({"cron": "0 */2 * * *", "zone": "UTC"}, Cron(cron="0 */2 * * *", zone="UTC")),
        ({"every": "15m"}, Every(every=timedelta(minutes=15))),
        ({"on": "delivery"}, OnDelivery(on="delivery")),
    ],
)
def test_a_schedule_is_a_calendar_an_interval_or_a_delivery(written, meant):
    assert SCHEDULE.validate_python(written) == meant


@pytest.mark.parametrize("written", ["15m", {}, None, [], {"every": "15m", "on": "delivery"}, {"at": "noon"}])
def test_what_is_not_one_schedule_is_refused(written):
    with pytest.raises(ValidationError, match="must be one of"):
        SCHEDULE.validate_python(written)


@pytest.mark.parametrize(
    "expression",
    [
        "* * * * *",
        "0 0 1 1 sun",
        "59 23 31 12 mon,wed",
        "*/5 8-18 * * mon-fri",
        "0-30/10 5 * jan-mar,sep *",
        "30  5 * * MON-SAT",
        "0 0 * * */2",
        "5,10,15 * * * *",
    ],
)
def test_a_sound_cron_expression_has_no_fault(expression):
    assert fault_of(expression) is None


@pytest.mark.parametrize(
    ("expression", "fault"),
    [
        ("0 5 * *", "must have five fields: minute, hour, day of the month, month, day of the week"),
        ("0 0 5 * * mon", "must have five fields: minute, hour, day of the month, month, day of the week"),
        ("@daily", "must have five fields: minute, hour, day of the month, month, day of the week"),
        ("60 5 * * *", "the minute (first field) takes 0 to 59"),
        ("0 5 0 * *", "the day of the month (third field) takes 1 to 31"),
        ("0 5 * 13 *", "the month (fourth field) takes 1 to 12 or jan to dec"),
        ("0 5 * mai *", "the month (fourth field) takes 1 to 12 or jan to dec"),
        ("0 5 * * lun", "the day of the week (fifth field) takes mon to sun"),
        ("0 5 ? * *", "the day of the month (third field) takes 1 to 31, ranges (a-b), lists (a,b), * and steps (*/5)"),
        ("5/10 5 * * *", "the minute (first field) takes a step after * or a range of numbers only"),
        ("0 5 * * mon-fri/2", "the day of the week (fifth field) takes a step after * or a range of numbers only"),
        ("0 */24 * * *", "the hour (second field) has a step outside 1 to 23"),
    ],
)
def test_a_fault_names_the_field_and_what_it_takes(expression, fault):
    assert fault_of(expression) == fault


@pytest.mark.parametrize("days", ["0", "1-5", "7", "mon,3", "*,0"])
def test_days_of_the_week_by_number_are_refused_with_the_reason(days):
    assert fault_of(f"0 5 * * {days}") == (
        "the day of the week (fifth field) takes names, as mon-sat: schedulers disagree on what day 0 is"
    )


@pytest.mark.parametrize("zone", ["Europe/Lille", "../etc/passwd", "", "Europe", "/etc/localtime", "a\0b"])
def test_a_zone_that_this_machine_does_not_have_is_refused(zone):
    with pytest.raises(ValidationError, match="must be a time zone"):
        Cron(cron="0 5 * * *", zone=zone)


# ---------------------------------------------------------------------------------------------------------------------
# Secrets


def secret(folder: Path, content: bytes, mode: int = 0o600) -> SecretRef:
    (folder / "secret").write_bytes(content)
    (folder / "secret").chmod(mode)
    return SecretRef(file=Path("secret"))


@pytest.mark.parametrize(
    "written",
    [
        "hunter2",
        None,
        {},
        [],
        {"hunter2": None},
        {"file": None},
        {"file": "a", "env": "B"},
        {"file": "a", "hunter2": 1},
    ],
)
def test_what_is_no_reference_is_refused_without_showing_it(written):
    with pytest.raises(ValidationError, match="a secret is never a value") as caught:
        SecretRef.model_validate(written)

    assert "hunter2" not in f"{caught.value} {caught.value.errors()}"


@pytest.mark.parametrize(
    "written", [{"env": "hunter2 !"}, {"credential": "hunter2/.."}, {"credential": ".."}, {"file": ["hunter2"]}]
)
def test_a_reference_that_cannot_be_one_is_refused_without_showing_it(written):
    with pytest.raises(ValidationError) as caught:
        SecretRef.model_validate(written)

    assert "hunter2" not in f"{caught.value} {caught.value.errors()}"


@pytest.mark.parametrize(
    ("content", "meant"),
    [(b"s3cret\n", b"s3cret"), (b"s3cret", b"s3cret"), (b"s3cret\n\n", b"s3cret\n"), (b"s3cret\r\n", b"s3cret")],
)
def test_a_file_is_read_without_its_last_newline(tmp_path, content, meant):
    reference = secret(tmp_path, content)

    assert reference.read(tmp_path, {}) == meant


@pytest.mark.parametrize("mode", [0o604, 0o602, 0o620, 0o644])
def test_a_file_that_is_open_to_others_is_refused(tmp_path, mode):
    reference = secret(tmp_path, b"hunter2", mode)

    with pytest.raises(BadConfigurationError, match=r"secret: is open to others: chmod 0600"):
        reference.read(tmp_path, {})


def test_a_group_may_read_a_file(tmp_path):
    reference = secret(tmp_path, b"s3cret", 0o640)

    assert reference.read(tmp_path, {}) == b"s3cret"


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(BadConfigurationError, match="absent: cannot be read: No such file or directory"):
        SecretRef(file=Path("absent")).read(tmp_path, {})


def test_an_empty_secret_is_refused(tmp_path):
    reference = secret(tmp_path, b"\n")

    with pytest.raises(BadConfigurationError, match="is empty"):
        reference.read(tmp_path, {})


def test_a_file_that_is_too_large_for_a_secret_is_refused(tmp_path):
    reference = secret(tmp_path, b"x" * 70_000)

    with pytest.raises(BadConfigurationError, match="is it the right file"):
        reference.read(tmp_path, {})


def test_a_secret_of_the_environment_is_read_as_it_is():
    assert SecretRef(env="PASSWORD").read(Path(), {"PASSWORD": "s3cret "}) == b"s3cret "


def test_a_secret_that_the_environment_lacks_is_named():
    with pytest.raises(BadConfigurationError, match=r"\$PASSWORD: is not set in the environment"):
        SecretRef(env="PASSWORD").read(Path(), {})


def test_a_credential_lies_in_the_folder_that_systemd_names(tmp_path):
    secret(tmp_path, b"s3cret\n", 0o400)

    found = SecretRef(credential="secret").read(Path("elsewhere"), {"CREDENTIALS_DIRECTORY": str(tmp_path)})

    assert found == b"s3cret"


def test_a_credential_without_systemd_says_what_the_unit_needs():
    with pytest.raises(BadConfigurationError, match="credential keys: needs LoadCredential="):
        SecretRef(credential="keys").read(Path(), {})
