"""`ent-sync.yaml`: its model, read with the sections that adapters bring; its JSON Schema; and how it is shown.

Opens nothing that the file names; who may read which file is asked at start (`compose.py`).
"""

from __future__ import annotations

import io
import re
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any, Literal, Self, TypeAlias

from pydantic import (
    AfterValidator,
    ConfigDict,
    Field,
    PrivateAttr,
    SerializeAsAny,
    ValidationInfo,
    ValidatorFunctionWrapHandler,
    WrapValidator,
    field_validator,
    model_validator,
)
from pydantic.json_schema import GenerateJsonSchema, models_json_schema
from ruamel.yaml import YAML

from ent_sync.config.document import Document, Section, in_order, read, refusal, refused_at, validate
from ent_sync.config.federation import FederationSection
from ent_sync.config.fields import Duration, Listen, Moment, OnDelivery, Schedule, SecretRef, Share, written_duration
from ent_sync.core import guard
from ent_sync.core.errors import BadConfigurationError, Problem
from ent_sync.core.record import Degree

_SQLITE = "sqlite:///"


# --------------------------------------------------------------------------------------------------------------------
# Sources and targets


_ACADEMY = r"[A-Z0-9][A-Z0-9_\-]{0,63}"
_NAME = r"[a-z0-9][a-z0-9\-]{0,62}"


def _academy(value: str) -> str:
    if value.startswith("AC-"):
        raise refusal("academy", "must be without AC-, as in the join keys: LILLE$1234")
    if not re.fullmatch(_ACADEMY, value):
        raise refusal("academy", "must be in upper case, as in the join keys: LILLE, ORLEANS-TOURS")
    return value


def _name(value: str) -> str:
    if not re.fullmatch(_NAME, value):
        raise refusal("name", "must be of a to z, 0 to 9 and -, and begin with a letter or digit: lille-2d")
    return value


Name: TypeAlias = Annotated[str, AfterValidator(_name), Field(json_schema_extra={"pattern": f"^{_NAME}$"})]
"""How commands, logs and metrics call a source or a target."""


Weekday: TypeAlias = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]


class SourceSection(Section):
    """What every source is told; an adapter's subclass adds where and how it reads."""

    name: Name = Field(description="How commands, logs and metrics call this source; unique. Never rename one in use.")
    format: str = Field(description="The kind of source: the name of an adapter.")
    academy: Annotated[str, AfterValidator(_academy)] = Field(
        description="The academy of its join keys in upper case: LILLE in LILLE$1234.",
        json_schema_extra={"pattern": f"^{_ACADEMY}$"},
    )
    degree: Degree | None = Field(default=None, description="1d or 2d, for a source that delivers one degree only.")
    settle: Duration = Field(
        default=timedelta(seconds=60),
        description="The daemon reads files that have lain unchanged for this time; a typed sync does not wait.",
    )
    schedule: Schedule | None = Field(default=None, description="When the daemon reads it; without one, only by hand.")
    complete: Schedule | None = Field(
        default=None,
        description="When the daemon reads all of it again from its first byte, beside `schedule`: {every: 7d}.",
    )
    delivers: tuple[Weekday, ...] = Field(
        default=(),
        description="The days on which it promises a delivery: [mon, tue, wed, thu, fri, sat]. A delta after a "
        "promised day without one is held until the next complete delivery. Empty: nothing is promised.",
    )
    keep: Duration = Field(
        default=timedelta(days=7),
        description="Delivered files are deleted this long after they were applied, once superseded.",
    )

    @field_validator("complete")
    @classmethod
    def _by_the_clock(cls, value: Schedule | None) -> Schedule | None:
        if isinstance(value, OnDelivery):
            raise refusal("schedule", "must be {cron: 0 3 * * sun} or {every: 7d}")
        return value


class TargetSection(Section):
    """What every target is told; an adapter's subclass adds where and how it writes."""

    name: Name = Field(description="How commands, logs and metrics call this target; unique. Never rename one in use.")
    format: str = Field(description="The kind of target: the name of an adapter.")
    profile: str = Field(default="ent", description="Which mappings make its entries: a folder in `mappings`.")


SourceFormats: TypeAlias = Mapping[str, type[SourceSection]]
TargetFormats: TypeAlias = Mapping[str, type[TargetSection]]


def _by_format(value: object, handler: ValidatorFunctionWrapHandler, info: ValidationInfo) -> Any:
    """The section as the adapter of its format describes it."""
    formats: Mapping[str, type[Section]] = (info.context or {}).get(info.field_name, {})
    known = ", ".join(sorted(formats))
    if not isinstance(value, Mapping):
        return handler(value)
    if "format" not in value:
        raise refused_at(("format",), "missing", f"is required; known: {known}")
    chosen = value["format"]
    if not isinstance(chosen, str) or chosen not in formats:
        raise refused_at(("format",), "format", f"is not a format here; known: {known}")
    return formats[chosen].model_validate(value, context=info.context)


# --------------------------------------------------------------------------------------------------------------------
# The other sections


class StoreSection(Section):
    """Where ent-sync remembers."""

    url: str = Field(default="sqlite:///state.sqlite", description="`sqlite:///` and the path of a file.")

    @field_validator("url")
    @classmethod
    def _names_a_file(cls, value: str) -> str:
        path = value.removeprefix(_SQLITE)
        if path == value or not path or path.startswith(":") or "?" in path:
            raise refusal("store", "must be sqlite:/// and the path of a file: sqlite:///state.sqlite")
        return value

    @property
    def file(self) -> Path:
        """The file of the store, as written."""
        return Path(self.url.removeprefix(_SQLITE))


class LogSection(Section):
    """What is logged, and where."""

    path: Path = Field(
        default=Path("ent-sync.log"), description="The log file: one JSON document a line, never a person."
    )
    level: Literal["debug", "info", "warning", "error"] = Field(default="info", description="The least that is logged.")


class ServedTls(Section):
    """What is shown to whoever asks, and who may ask."""

    certificate: Path = Field(description="The certificate (PEM) that is shown, with those that vouch for it.")
    key: Path | None = Field(
        default=None, description="Its private key (PEM), where `certificate` does not hold it already."
    )
    client_ca: Path | None = Field(
        default=None, description="Only who shows a certificate that these (PEM) vouch for is answered."
    )


class MetricsSection(Section):
    """Where Prometheus asks."""

    listen: Listen = Field(
        default="127.0.0.1:9464", validate_default=True, description="Serves /metrics, /healthz and /readyz."
    )
    tls: ServedTls | None = Field(default=None, description="Answers over TLS only.")


class WebSection(Section):
    """Where people look."""

    listen: Listen = Field(default="127.0.0.1:9465", validate_default=True, description="Serves the pages.")


class Limit(Section):
    """Holds when both are exceeded: a share alone would stop small schools, a count alone large academies."""

    model_config = ConfigDict(json_schema_extra=lambda schema: schema.pop("required", None))

    share: Share = Field(description="The share that is still let through.")
    count: int = Field(ge=0, description="The number that is always let through.")

    def limit(self) -> guard.Limit:
        """The same as a guard takes it."""
        return guard.Limit(self.share, self.count)


_DEFAULTS = guard.Limits()


def _limit(default: guard.Limit, description: str) -> Any:
    return Field(default=Limit(share=default.share, count=default.count), description=description)


class Guards(Section):
    """What a run may do without asking. Of a limit, the half that is not given keeps its default."""

    dangling_links: Share = Field(
        default=_DEFAULTS.dangling_links,
        description="Guardian links that lead nowhere; a complete delivery with more of them is incomplete.",
    )
    shrinkage: Share = Field(
        default=_DEFAULTS.shrinkage,
        description="What must still be there of a population, against the delivery before; less holds.",
    )
    unknown_keys: Limit = _limit(
        _DEFAULTS.unknown_keys, "Requests of a delta to modify or delete keys that nobody knows."
    )
    source_departures: Limit = _limit(_DEFAULTS.source_departures, "Suspensions among a source's population.")
    school_departures: Limit = _limit(_DEFAULTS.school_departures, "Suspensions among a school's people.")
    deletions: Limit = _limit(_DEFAULTS.deletions, "Deletions among a source's population.")
    join_keys: Limit = _limit(_DEFAULTS.join_keys, "Changed join keys among a source's population.")
    updates: Limit = _limit(_DEFAULTS.updates, "Updates among a source's population.")

    @field_validator(
        "unknown_keys", "source_departures", "school_departures", "deletions", "join_keys", "updates", mode="before"
    )
    @classmethod
    def _fill(cls, value: object, info: ValidationInfo) -> object:
        if not isinstance(value, Mapping) or info.field_name is None:
            return value
        default = cls.model_fields[info.field_name].default
        return {"share": default.share, "count": default.count, **value}

    def limits(self) -> guard.Limits:
        """The same as the guards take it."""
        return guard.Limits(
            dangling_links=self.dangling_links,
            shrinkage=self.shrinkage,
            unknown_keys=self.unknown_keys.limit(),
            source_departures=self.source_departures.limit(),
            school_departures=self.school_departures.limit(),
            deletions=self.deletions.limit(),
            join_keys=self.join_keys.limit(),
            updates=self.updates.limit(),
        )


class FreezeWindow(Section):
    """A calendar time in which changes wait; what waits goes with the first run after it."""

    start: Moment = Field(alias="from", description="The first moment that is frozen.")
    end: Moment = Field(alias="to", description="The first moment that is free again.")
    hold: Literal["departures", "all"] = Field(
        default="departures", description="`departures`: suspensions and deletions wait; `all`: every change does."
    )
    title: str = Field(default="", description="Why, for those who will ask.")

    @model_validator(mode="after")
    def _ends_after_it_begins(self) -> Self:
        if self.end <= self.start:
            raise refused_at(("to",), "freeze", "must be later than from")
        return self

    def window(self) -> guard.Freeze:
        """The same as the guards take it."""
        return guard.Freeze(begins=self.start, ends=self.end, everything=self.hold == "all", title=self.title)


# --------------------------------------------------------------------------------------------------------------------
# The file


class Settings(Section):
    """The configuration of ent-sync. Paths are relative to the folder of its file; secrets are kept elsewhere."""

    store: StoreSection = Field(default=StoreSection(), description="Where ent-sync remembers.")
    keys: SecretRef = Field(
        default=SecretRef(file=Path("keys")),
        description="The keys of this installation, for fingerprints and sealing. A `file` that lacks is made on the "
        "first start. Losing it makes the store unreadable; replacing it makes every account a new one.",
    )
    register_path: Path = Field(  # `register` is a method of every model (ABCMeta)
        default=Path("register.yaml"),
        alias="register",
        description="The record of processing: what may go where, and for which purpose.",
    )
    mappings: Path = Field(default=Path("mappings"), description="The folder of the mapping files.")
    log: LogSection = Field(default=LogSection(), description="What is logged, and where.")
    metrics: MetricsSection = Field(default=MetricsSection(), description="Where Prometheus asks.")
    web: WebSection = Field(default=WebSection(), description="Where people look.")
    sources: tuple[SerializeAsAny[Annotated[SourceSection, WrapValidator(_by_format)]], ...] = Field(
        default=(),
        description="The federating directories. Where two describe one person differently, the earlier one wins.",
    )
    targets: tuple[SerializeAsAny[Annotated[TargetSection, WrapValidator(_by_format)]], ...] = Field(
        default=(), description="The directories that are kept true."
    )
    guards: Guards = Field(default=Guards(), description="What a run may do without asking.")
    freeze: tuple[FreezeWindow, ...] = Field(default=(), description="Calendar times in which changes wait.")
    journal: Duration = Field(
        default=timedelta(days=30),
        validate_default=True,
        description="How long what an entry was before a change is kept, sealed, so that `undo` can bring it back.",
    )
    federation: FederationSection | None = Field(
        default=None, description="Article 3.1: what is probed, what is promised, and who is told."
    )

    _base: Path = PrivateAttr(default=Path())

    def model_post_init(self, context: Any, /) -> None:
        """Takes the folder of the file from the context of `load`."""
        self._base = (context or {}).get("base", Path())

    @property
    def base(self) -> Path:
        """The folder of the file."""
        return self._base

    def resolve(self, path: Path) -> Path:
        """A path of the configuration, from the folder of the file."""
        return self._base / path

    @property
    def store_url(self) -> str:
        """The address of the store, with its path resolved."""
        return f"{_SQLITE}{self.resolve(self.store.file)}"


def load(path: Path, source_formats: SourceFormats, target_formats: TargetFormats) -> Settings:
    """The settings in the file at `path`, each source and target as its adapter describes it.

    Raises `BadConfigurationError` with every problem, in the order of the file.
    """
    document = read(path)
    context = {"base": path.absolute().parent, "sources": source_formats, "targets": target_formats}
    settings = validate(document, Settings, context=context)
    repeated = [*_repeated_names(document, "sources"), *_repeated_names(document, "targets")]
    if not isinstance(settings, Settings):
        raise BadConfigurationError(in_order([*settings, *repeated]))
    if repeated:
        raise BadConfigurationError(repeated)
    return settings


def _repeated_names(document: Document, section: str) -> list[Problem]:
    entries = document.get((section,))
    seen: set[str] = set()
    problems = []
    for index in range(len(entries) if isinstance(entries, list) else 0):
        name = document.get((section, index, "name"))
        if isinstance(name, str) and name in seen:
            sentence = "is the name of an entry above; names are unique"
            problems.append(Problem(document.where((section, index, "name")), "repeated-name", sentence))
        elif isinstance(name, str):
            seen.add(name)
    return problems


class _FileSchema(GenerateJsonSchema):
    def encode_default(self, dft: Any) -> Any:
        return written_duration(dft) if isinstance(dft, timedelta) else super().encode_default(dft)


def schema(source_formats: SourceFormats, target_formats: TargetFormats) -> dict[str, object]:
    """The JSON Schema (2020-12) of the file, for editors, with the sections of these adapters."""
    sections: list[type[Section]] = [Settings, *source_formats.values(), *target_formats.values()]
    refs, shared = models_json_schema([(model, "validation") for model in sections], schema_generator=_FileSchema)
    definitions: dict[str, Any] = shared["$defs"]
    root = definitions.pop(refs[Settings, "validation"]["$ref"].rsplit("/", 1)[1])
    for key, formats in (("sources", source_formats), ("targets", target_formats)):
        root["properties"][key]["items"] = {
            "type": "object",
            "required": ["format"],
            "oneOf": [
                {"$ref": refs[model, "validation"]["$ref"], "properties": {"format": {"const": name}}}
                for name, model in formats.items()
            ],
        }
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **root,
        "title": "ent-sync.yaml",
        "$defs": definitions,
    }


def show(settings: Settings) -> str:
    """The effective configuration as YAML, defaults included; references to secrets are shown, secrets are not read."""
    text = io.StringIO()
    yaml = YAML()
    yaml.default_flow_style = False
    yaml.indent(mapping=2, sequence=4, offset=2)
    yaml.dump(_masked(settings.model_dump(mode="json", by_alias=True, exclude_none=True)), text)
    return text.getvalue()


def _masked(value: Any) -> Any:
    """`value` without the passwords of addresses: an adapter's section might have let one in."""
    if isinstance(value, dict):
        return {key: _masked(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_masked(inner) for inner in value]
    return re.sub(r"(?<=://)([^/@:]*):[^/@]*@", r"\1:***@", value) if isinstance(value, str) else value
