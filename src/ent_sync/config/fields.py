"""What configurations are written with: durations, sizes, shares, addresses, schedules, and references to secrets.

Each type refuses with a sentence that says how to write it and never with what was written, and brings its JSON Schema.
Schedules are described here, not started.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Annotated, Any, Literal, Self, TypeAlias
from zoneinfo import ZoneInfo

from pydantic import (
    AfterValidator,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    PlainValidator,
    ValidatorFunctionWrapHandler,
    WithJsonSchema,
    WrapValidator,
    model_serializer,
    model_validator,
)

from ent_sync.config.cron import fault_of
from ent_sync.config.document import Section, refusal, refused_at
from ent_sync.core.errors import BadConfigurationError, Problem, Where

_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
_BYTES = {"B": 1, "kB": 10**3, "MB": 10**6, "GB": 10**9, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30, "TiB": 2**40}
_DURATION = r"(?P<number>[0-9]{1,10}) ?(?P<unit>[smhdw])"
_SIZE = r"(?P<number>[0-9]{1,15}(?:\.[0-9]{1,3})?) ?(?P<unit>B|kB|MB|GB|KiB|MiB|GiB|TiB)"
_SHARE = r"(?P<number>[0-9]{1,3}(?:\.[0-9]{1,6})?) ?%"
_ADDRESS = r"(?P<host>[A-Za-z0-9.\-]+|\[[0-9A-Fa-f:.]+\]):(?P<port>[0-9]{1,5})"
_MOMENT = r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt][0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]+)?(?:[Zz]|[+-][0-9]{2}:[0-9]{2})"
_SECRET_LIMIT = 64 * 1024


def _pattern(expression: str) -> str:
    """An expression as JSON Schema (ECMA 262) writes it."""
    return f"^(?:{re.sub(r'[?]P<[a-z]+>', '?:', expression)})$"


def _duration(value: object) -> timedelta:
    if isinstance(value, timedelta):
        return value
    if (value == 0 and not isinstance(value, bool)) or value == "0":
        return timedelta()
    found = re.fullmatch(_DURATION, value) if isinstance(value, str) else None
    if found is None:
        raise refusal("duration", "must be a number and one unit of s, m, h, d, w: 60s, 15m, 7d")
    seconds = int(found["number"]) * _SECONDS[found["unit"]]
    if seconds > 100 * 366 * _SECONDS["d"]:  # so that a date plus a duration is a date
        raise refusal("duration", "must not be longer than 100 years")
    return timedelta(seconds=seconds)


def written_duration(value: timedelta) -> str:
    """A length of time as configurations write it, in its largest whole unit."""
    seconds = int(value.total_seconds())
    unit = next((unit for unit in "dhm" if seconds and seconds % _SECONDS[unit] == 0), "s")
    return f"{seconds // _SECONDS[unit]}{unit}"


Duration: TypeAlias = Annotated[
    timedelta,
    BeforeValidator(_duration),
    PlainSerializer(written_duration, return_type=str),
    WithJsonSchema(
        {
            "anyOf": [{"type": "string", "pattern": _pattern(f"0|{_DURATION}")}, {"const": 0}],
            "examples": ["60s", "15m", "7d"],
        }
    ),
]
"""A length of time: `60s`, `15m`, `2h`, `7d`, `4w`, `60 d`, or 0."""


def _size(value: object) -> int:
    found = re.fullmatch(_SIZE, value) if isinstance(value, str) else None
    if found is None:
        raise refusal("size", "must be a number and a unit: 512 MiB, 1.5 GiB, 200 kB")
    return round(float(found["number"]) * _BYTES[found["unit"]])


def _written_size(value: int) -> str:
    unit = next((unit for unit in ("TiB", "GiB", "MiB", "KiB") if value and value % _BYTES[unit] == 0), "B")
    return f"{value // _BYTES[unit]} {unit}"


Size: TypeAlias = Annotated[
    int,
    BeforeValidator(_size),
    PlainSerializer(_written_size, return_type=str),
    WithJsonSchema({"type": "string", "pattern": _pattern(_SIZE), "examples": ["512 MiB", "1.5 GiB"]}),
]
"""A number of bytes: `512 MiB`, `1.5 GiB`, `200 kB`."""


def _share(value: object) -> float:
    found = re.fullmatch(_SHARE, value) if isinstance(value, str) else None
    share: float | None = float(found["number"]) / 100 if found else None
    if isinstance(value, int | float) and not isinstance(value, bool):
        share = float(value)
    if share is None or not 0 <= share <= 1:
        raise refusal("share", "must be a share of 0 % to 100 %, written 3 % or 0.03")
    return share


def _written_share(value: float) -> str:
    return f"{value * 100:.6f}".rstrip("0").rstrip(".") + " %"


Share: TypeAlias = Annotated[
    float,
    BeforeValidator(_share),
    PlainSerializer(_written_share, return_type=str),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "string", "pattern": _pattern(_SHARE)},
                {"type": "number", "minimum": 0, "maximum": 1},
            ],
            "examples": ["3 %", 0.03],
        }
    ),
]
"""A part of a whole, from 0 to 1: `3 %` or 0.03."""


@dataclass(frozen=True, slots=True)
class Address:
    """Where to listen; `host` without the brackets of IPv6, port 0 for any free one."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def _address(value: object) -> Address:
    if isinstance(value, Address):
        return value
    found = re.fullmatch(_ADDRESS, value) if isinstance(value, str) else None
    if found is None or int(found["port"]) > 0xFFFF:
        raise refusal("address", "must be HOST:PORT: 127.0.0.1:9464, or [::1]:9464")
    return Address(found["host"].strip("[]"), int(found["port"]))


Listen: TypeAlias = Annotated[
    Address,
    PlainValidator(_address),
    PlainSerializer(str, return_type=str),
    WithJsonSchema({"type": "string", "pattern": _pattern(_ADDRESS), "examples": ["127.0.0.1:9464"]}),
]
"""An address to listen on: `127.0.0.1:9464`, `[::1]:9464`."""


def _moment(value: object) -> datetime:
    if isinstance(value, datetime) and value.tzinfo:
        return value
    if isinstance(value, str) and re.fullmatch(_MOMENT, value):
        try:
            return datetime.fromisoformat(value.upper())
        except ValueError:
            pass  # a 30th of February, say; the text of the exception would quote it
    raise refusal("moment", "must be a date and time that exists, with its offset: 2026-12-19T00:00:00+01:00")


Moment: TypeAlias = Annotated[
    datetime,
    BeforeValidator(_moment),
    PlainSerializer(datetime.isoformat, return_type=str),
    WithJsonSchema({"type": "string", "format": "date-time", "examples": ["2026-12-19T00:00:00+01:00"]}),
]
"""A moment after RFC 3339, with its offset from UTC."""


def _one_key_of(value: object, *names: str) -> str | None:
    """The one key of `names` that `value` has; None where it has none or several, or is no group of keys."""
    present = [name for name in names if name in value] if isinstance(value, Mapping) else []
    return present[0] if len(present) == 1 else None


# --------------------------------------------------------------------------------------------------------------------
# Schedules


def _sound_cron(value: str) -> str:
    if fault := fault_of(value):
        raise refusal("cron", fault)
    return value


def _known_zone(value: str) -> str:
    try:
        ZoneInfo(value)
    except (KeyError, ValueError, OSError):
        raise refusal("zone", "must be a time zone of the IANA database that this machine has: Europe/Paris") from None
    return value


class Cron(Section):
    """Starts at the times of a calendar."""

    cron: Annotated[str, AfterValidator(_sound_cron)] = Field(
        description="Minute, hour, day of the month, month, day of the week. Days of the week are named, since "
        "schedulers disagree on what day 0 is.",
        examples=["30 5 * * mon-sat"],
    )
    zone: Annotated[str, AfterValidator(_known_zone)] = Field(
        default="Europe/Paris",
        description="The time zone in which the calendar is read, daylight saving time included.",
    )


class Every(Section):
    """Starts again and again."""

    every: Duration = Field(description="The time from one start to the next, more than 0.")

    @model_validator(mode="after")
    def _goes_on(self) -> Self:
        if not self.every:
            raise refused_at(("every",), "duration", "must be more than 0")
        return self


class OnDelivery(Section):
    """Starts when a delivery has settled."""

    on: Literal["delivery"] = Field(description="`delivery`: as soon as one has lain unchanged for the settle time.")


_KINDS: Mapping[str, type[Section]] = {"cron": Cron, "every": Every, "on": OnDelivery}


def _schedule(value: object, handler: ValidatorFunctionWrapHandler) -> Any:
    if isinstance(value, Section):
        return handler(value)
    if kind := _one_key_of(value, *_KINDS):
        return _KINDS[kind].model_validate(value)
    raise refusal("schedule", "must be one of {cron: 30 5 * * mon-sat}, {every: 15m}, {on: delivery}")


Schedule: TypeAlias = Annotated[Cron | Every | OnDelivery, WrapValidator(_schedule)]
"""When a source is read: by calendar, by interval, or as soon as something was delivered."""


# --------------------------------------------------------------------------------------------------------------------
# Secrets

_ONE_OF = {"oneOf": [{"required": [name]} for name in ("file", "env", "credential")]}


class SecretRef(Section):
    """Where a secret is kept, in one of three ways; never the secret."""

    model_config = ConfigDict(json_schema_extra=lambda schema: schema.update(_ONE_OF))

    file: Path | None = Field(
        default=None,
        description="A file that others may neither read nor write; one newline at its end is not part of it.",
    )
    env: str | None = Field(
        default=None, pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,63}$", description="The name of an environment variable."
    )
    credential: str | None = Field(
        default=None, pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.\-]{0,63}$", description="The name of a systemd credential."
    )

    @model_validator(mode="before")
    @classmethod
    def _is_a_reference(cls, value: object) -> object:
        # Judged as a whole, so that no problem names a key: `{hunter2}` is a group of keys to YAML.
        if isinstance(value, SecretRef):
            return value
        kind = _one_key_of(value, "file", "env", "credential")
        if not isinstance(value, Mapping) or kind is None or len(value) != 1 or value[kind] is None:
            raise refusal("secret", "a secret is never a value: {file: PATH}, {env: NAME} or {credential: NAME}")
        return value

    @model_serializer
    def _written(self) -> dict[str, str]:
        pairs = (("file", self.file), ("env", self.env), ("credential", self.credential))
        return {name: str(value) for name, value in pairs if value is not None}

    def read(self, base: Path, environ: Mapping[str, str]) -> bytes:
        """The secret; a `file` is relative to `base`, a `credential` lies in `$CREDENTIALS_DIRECTORY`.

        Raises `BadConfigurationError` when it is not there, empty, or open to others.
        """
        if self.env is not None:
            if not (value := environ.get(self.env)):
                raise _unusable(f"${self.env}", "secret-absent", "is not set in the environment")
            return value.encode()
        if self.file is not None:
            return _read_closed(base / self.file)
        folder = environ.get("CREDENTIALS_DIRECTORY")
        if not folder:
            raise _unusable(
                f"credential {self.credential}", "secret-absent", "needs LoadCredential= in the unit of systemd"
            )
        return _read_closed(Path(folder) / str(self.credential))


def _read_closed(path: Path) -> bytes:
    try:
        with path.open("rb") as stream:
            mode = os.fstat(stream.fileno()).st_mode
            secret = stream.read(_SECRET_LIMIT + 1)
    except OSError as error:
        raise _unusable(str(path), "secret-absent", f"cannot be read: {error.strerror}") from None
    if mode & (stat.S_IRWXO | stat.S_IWGRP):
        raise _unusable(str(path), "secret-open", "is open to others: chmod 0600 (0640 for a group that may read it)")
    if len(secret) > _SECRET_LIMIT:
        raise _unusable(str(path), "secret-large", f"has more than {_SECRET_LIMIT} bytes: is it the right file?")
    secret = secret[:-2] if secret.endswith(b"\r\n") else secret.removesuffix(b"\n")
    if not secret:
        raise _unusable(str(path), "secret-absent", "is empty")
    return secret


def _unusable(file: str, rule: str, sentence: str) -> BadConfigurationError:
    return BadConfigurationError([Problem(Where(file), rule, sentence)])
