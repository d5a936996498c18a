"""The register and the mapping files read, judged against each other, and made one policy.

The program runs on these files (gdpr.md R1): without them, or with an error in them, nothing runs, and every error is
told at once with file, line and column.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

from ent_sync.config.document import Document, Section, in_order, read, refusal, validate
from ent_sync.config.fields import Duration
from ent_sync.config.yaml import Loc
from ent_sync.core import mapping as core
from ent_sync.core import register as law
from ent_sync.core.errors import BadConfigurationError, Problem, Where
from ent_sync.core.lint import lint
from ent_sync.core.profile import RegisterPopulation
from ent_sync.core.record import Degree, Population
from ent_sync.core.release import Policy
from ent_sync.core.transforms import BadTransformError, Many, Step, make

DEFAULT_PROFILE = "ent"


def _one_or_more(value: object) -> object:
    """A single group of keys, or name, where a list is meant."""
    return [value] if isinstance(value, dict | str) else value


def _one_basis(value: object) -> object:
    if isinstance(value, list):
        raise refusal("one-basis", "one basis per purpose: split the purpose (Art. 6)")
    return value


class Title(Section):
    """A purpose's title for those concerned, in two languages."""

    fr: str = Field(min_length=1, description="In French, shown first.")
    en: str = Field(min_length=1, description="In English.")


class Basis(Section):
    """The legal basis of a purpose."""

    gdpr: Literal["6.1.a", "6.1.b", "6.1.c", "6.1.d", "6.1.e", "6.1.f"] = Field(description="The point of Art. 6(1).")
    text: str = Field(min_length=1, description="The text that founds it.")


class PurposeSection(Section):
    """What data are for."""

    title: Title = Field(description="Its title, in French and English.")
    basis: Annotated[Basis, BeforeValidator(_one_basis)] = Field(description="Its one legal basis.")
    recipients: tuple[str, ...] = Field(default=(), description="The targets that receive data for it.")
    inside: bool = Field(default=False, description="True for what never leaves ent-sync: it has no recipients.")


class GrantSection(Section):
    """What the register says of an attribute of some populations."""

    purpose: str = Field(description="The purpose that needs it.")
    populations: Annotated[tuple[RegisterPopulation, ...], BeforeValidator(_one_or_more)] = Field(
        min_length=1, description="Whose attribute it is."
    )
    clock: law.Clock = Field(description="What ends its stay: k-acc, k-year, k-link, k-live, or k-in for inside use.")
    kind: law.AttributeClass = Field(
        default=law.AttributeClass.ORDINARY,
        alias="class",
        description="ordinary; restricted (needs a signature); inside (never leaves).",
    )
    code: bool = Field(default=False, description="True for codes of a table, which may look like a national number.")
    why: str | None = Field(default=None, description="Why the purpose needs it.")
    why_not_less: str | None = Field(default=None, description="restricted: why nothing less would do.")
    signed_by: str | None = Field(default=None, description="restricted: who answers for it.")
    signed_on: dt.date | None = Field(default=None, description="restricted: since when.")
    expires: dt.date | None = Field(default=None, description="restricted: until when, 13 months at most.")

    def signature(self) -> law.Signature | None:
        """The signature, if it is whole."""
        if self.why_not_less and self.signed_by and self.signed_on and self.expires:
            return law.Signature(
                why_not_less=self.why_not_less,
                signed_by=self.signed_by,
                signed_on=self.signed_on,
                expires=self.expires,
            )
        return None


class TargetSection(Section):
    """A recipient."""

    purposes: tuple[str, ...] = Field(min_length=1, description="The purposes that it serves.")
    controller: str | None = Field(default=None, description="Who answers for it.")
    country: str = Field(default="FR", pattern="^[A-Z]{2}$", description="Where the data are kept.")


class RetentionSection(Section):
    """How long suspended accounts stay."""

    suspended_at_least: Duration = Field(default=dt.timedelta(days=1), description="Suspended this long at least.")
    delete_after: Duration = Field(default=dt.timedelta(days=60), description="Deleted this long after leaving.")
    limit_months: int = Field(default=3, ge=1, le=3, description="What the law allows in all, copies included.")


class GuardiansSection(Section):
    """Which links make a guardian."""

    in_charge: bool = Field(default=False, description="Admit persons in charge beside legal representatives.")


class RegisterFile(Section):
    """The register of processing (Art. 30)."""

    purposes: dict[str, PurposeSection] = Field(min_length=1, description="What data are for.")
    attributes: dict[str, Annotated[tuple[GrantSection, ...], BeforeValidator(_one_or_more)]] = Field(
        min_length=1, description="What may leave: all else stays. One entry, or a list of them, for each name."
    )
    targets: dict[str, TargetSection] = Field(min_length=1, description="The recipients, by the target's name.")
    retention: RetentionSection = Field(default=RetentionSection(), description="How long suspended accounts stay.")
    guardians: GuardiansSection = Field(default=GuardiansSection(), description="Which links make a guardian.")


class AttributeSection(Section):
    """How one attribute is made."""

    sources: Annotated[tuple[str, ...], BeforeValidator(_one_or_more)] = Field(
        alias="from", min_length=1, description="Source attributes; the first with a usable value counts."
    )
    transforms: tuple[object, ...] = Field(default=(), description="Names of transforms, or {name: parameter}.")
    purpose: str = Field(description="The purpose that it serves.")
    required: bool = Field(default=False, description="Without it the record is quarantined.")
    on_refusal: core.OnRefusal = Field(
        default=core.OnRefusal.DROP, description="drop the value, or quarantine the record."
    )
    multiple: bool = Field(default=False, description="Keep all values; else the first.")


class PartSection(Section):
    """A relation, or another part that code makes."""

    purpose: str = Field(description="The purpose that it serves.")


class InsideSection(Section):
    """What is read for use inside only."""

    sources: Annotated[tuple[str, ...], BeforeValidator(_one_or_more)] = Field(
        alias="from", min_length=1, description="Source attributes."
    )
    purpose: str = Field(description="The inside purpose that it serves.")


class MappingFile(Section):
    """How the accounts of one population are made for one kind of target."""

    account: PartSection | None = Field(default=None, description="That there is an account at all.")
    source_key: PartSection | None = Field(default=None, description="The join key.")
    profile: PartSection | None = Field(default=None, description="The national profile.")
    attributes: dict[str, AttributeSection] = Field(default_factory=dict, description="Our attributes by name.")
    relations: dict[str, PartSection] = Field(default_factory=dict, description="Schools, groups, guardians.")
    inside: dict[str, InsideSection] = Field(default_factory=dict, description="Read for use inside only.")


def load(
    register: Path,
    mappings: Path,
    targets: Sequence[tuple[str, str]],
    today: dt.date,
    transforms: Mapping[str, Many] | None = None,
    degrees: Mapping[str, Degree] | None = None,
) -> Policy:
    """The policy that the files make for `targets` (name and profile; mappings lie in the folder of the profile).

    `transforms` are functions that others brought; `degrees` tells of sources whether they are of the first degree.

    Raises:
        BadConfigurationError: with all that is wrong in any of the files.
    """
    reader = _Reader(mappings, dict(transforms or {}))
    law_read = reader.register(register)
    profiles = dict.fromkeys(profile for _, profile in targets)
    read_mappings = [found for profile in profiles for found in reader.profile(profile)]
    problems = list(reader.problems)
    if law_read is not None:
        problems += lint(law_read, read_mappings, targets, today, all_read=not reader.problems)
    if problems or law_read is None:
        raise BadConfigurationError(_by_file(problems))
    return Policy(law_read, read_mappings, targets, degrees)


def _by_file(problems: Sequence[Problem]) -> list[Problem]:
    files = dict.fromkeys(problem.where.file for problem in problems)
    return [each for file in files for each in in_order([one for one in problems if one.where.file == file])]


@dataclass(slots=True)
class _Reader:
    """Reads the files and keeps what is wrong with them."""

    mappings: Path
    outside: Mapping[str, Many]
    problems: list[Problem] = field(default_factory=list)

    def register(self, path: Path) -> law.Register | None:
        document = self._document(path)
        if document is None:
            return None
        found = validate(document, RegisterFile)
        if isinstance(found, RegisterFile):
            return _register(document, found)
        self.problems += found
        return None

    def profile(self, profile: str) -> Iterator[core.Mapping]:
        folder = self.mappings / profile
        files = {population: folder / f"{population}.yaml" for population in Population}
        present = {population: path for population, path in files.items() if path.is_file()}
        if not present:
            sentence = "no mapping files here: pupil.yaml, guardian.yaml, staff.yaml, school.yaml"
            self.problems.append(Problem(Where(str(folder)), "no-mapping", sentence))
        for population, path in present.items():
            document = self._document(path)
            found = validate(document, MappingFile) if document else []
            if document and isinstance(found, MappingFile):
                yield self._mapping(document, found, profile, population)
            elif isinstance(found, list):
                self.problems += found

    def _document(self, path: Path) -> Document | None:
        try:
            return read(path)
        except BadConfigurationError as error:
            self.problems += error.problems
            return None

    def _mapping(self, document: Document, found: MappingFile, profile: str, population: Population) -> core.Mapping:
        parts = {
            name: core.PartRule(name, part.purpose, document.where((name,)))
            for name, part in (("account", found.account), ("source_key", found.source_key), ("profile", found.profile))
            if part is not None
        }
        parts |= {
            name: core.PartRule(name, part.purpose, document.where(("relations", name)))
            for name, part in found.relations.items()
        }
        return core.Mapping(
            profile=profile,
            population=population,
            attributes={name: self._rule(document, name, section) for name, section in found.attributes.items()},
            parts=parts,
            inside={
                name: core.InsideRule(name, section.sources, section.purpose, document.where(("inside", name)))
                for name, section in found.inside.items()
            },
            where=document.where(),
        )

    def _rule(self, document: Document, name: str, section: AttributeSection) -> core.AttributeRule:
        at: Loc = ("attributes", name)
        return core.AttributeRule(
            name=name,
            sources=section.sources,
            steps=tuple(self._steps(document, (*at, "transforms"), section.transforms)),
            purpose=section.purpose,
            required=section.required,
            on_refusal=section.on_refusal,
            multiple=section.multiple,
            where=document.where(at),
        )

    def _steps(self, document: Document, at: Loc, transforms: tuple[object, ...]) -> Iterator[Step]:
        for place, transform in enumerate(transforms):
            try:
                yield make(*_named(transform), self.outside)
            except BadTransformError as error:
                self.problems.append(Problem(document.where((*at, place)), "transform", str(error)))


def _named(transform: object) -> tuple[str, object]:
    """A transform's name and parameter, out of `trim` or `{sub-field: 2}`."""
    match transform:
        case str(name):
            return name, None
        case dict() if len(transform) == 1:
            ((name, parameter),) = transform.items()
            return str(name), parameter
        case _:
            raise BadTransformError("must be a name, or one name with its parameter: {sub-field: 2}")


def _place(document: Document, at: Loc, place: int) -> Where:
    """Where one of several entries stands, or the only one, which needs no list."""
    return document.where((*at, place) if isinstance(document.get(at), list) else at)


def _register(document: Document, found: RegisterFile) -> law.Register:
    return law.Register(
        purposes={
            name: law.Purpose(
                name=name,
                title={"fr": section.title.fr, "en": section.title.en},
                basis=section.basis.gdpr,
                text=section.basis.text,
                recipients=section.recipients,
                inside=section.inside,
                where=document.where(("purposes", name)),
            )
            for name, section in found.purposes.items()
        },
        grants=tuple(
            law.Grant(
                attribute=name,
                purpose=section.purpose,
                populations=frozenset(section.populations),
                clock=section.clock,
                kind=section.kind,
                code=section.code,
                why=section.why,
                signature=section.signature(),
                where=_place(document, ("attributes", name), place),
            )
            for name, sections in found.attributes.items()
            for place, section in enumerate(sections)
        ),
        targets={
            name: law.RegisterTarget(
                name=name,
                purposes=frozenset(section.purposes),
                controller=section.controller,
                country=section.country,
                where=document.where(("targets", name)),
            )
            for name, section in found.targets.items()
        },
        retention=law.Retention(
            suspended_at_least=found.retention.suspended_at_least,
            delete_after=found.retention.delete_after,
            limit_months=found.retention.limit_months,
            where=document.where(("retention",)),
        ),
        in_charge=found.guardians.in_charge,
        where=document.where(("targets",)),
    )
