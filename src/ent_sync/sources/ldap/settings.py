"""What a configuration says of an LDAP source: where its people are, by which filters, and how changes are found.

The defaults are those of the national schema of ENTs (ent-ldap.md §2, §3).
"""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Literal, TypeAlias

from pydantic import AfterValidator, Field

from ent_sync.config.directory import DirectorySection
from ent_sync.config.document import Section, refusal
from ent_sync.config.fields import Duration
from ent_sync.config.settings import SourceSection
from ent_sync.core.record import Population
from ent_sync.wire.ldap import ber_write

_ATTRIBUTE = r"^[A-Za-z][A-Za-z0-9\-]{0,63}$"
_STRUCTURES_ARE_NO_PEOPLE = "Which entries below `structures` are structures: a filter of RFC 4515."


def _filter(value: str) -> str:
    try:
        ber_write.compiled(value)
    except ber_write.BadFilterError:
        raise refusal("filter", "must be one filter of RFC 4515, in parentheses: (objectClass=ENTEleve)") from None
    return value.strip()


Filter: TypeAlias = Annotated[str, AfterValidator(_filter)]
"""An LDAP filter (RFC 4515)."""
AttributeName: TypeAlias = Annotated[str, Field(pattern=_ATTRIBUTE)]
"""The name of an LDAP attribute, without options."""


class Filters(Section):
    """Which entries are of which population. An entry that two of them find is of both (and so set aside)."""

    pupil: Filter = Field(default="(objectClass=ENTEleve)", description="Pupils: a filter of RFC 4515.")
    guardian: Filter = Field(
        default="(objectClass=ENTAuxPersRelEleve)", description="Guardians and contacts: a filter of RFC 4515."
    )
    staff: Filter = Field(
        default="(|(objectClass=ENTAuxEnseignant)(objectClass=ENTAuxNonEnsEtab)"
        "(objectClass=ENTAuxNonEnsServAc)(objectClass=ENTAuxNonEnsCollLoc))",
        description="Teachers and other staff of schools: a filter of RFC 4515.",
    )
    school: Filter = Field(default="(objectClass=ENTStructure)", description=_STRUCTURES_ARE_NO_PEOPLE)

    def of(self, population: Population) -> str:
        """The filter of a population."""
        match population:
            case Population.PUPIL:
                return self.pupil
            case Population.GUARDIAN:
                return self.guardian
            case Population.STAFF:
                return self.staff
            case Population.SCHOOL:
                return self.school


class LdapSection(DirectorySection, SourceSection):
    """An LDAP source: a directory that is asked for all that it holds, and then for what changed."""

    people: str = Field(default="ou=people", description="The branch of people, below `base`; empty for `base` itself.")
    structures: str = Field(
        default="ou=structures", description="The branch of structures, below `base`; empty for `base` itself."
    )
    filters: Filters = Field(default=Filters(), description="Which entries are of which population.")
    person_key: AttributeName = Field(
        default="ENTPersonJointure", description="The attribute that holds the join key of people."
    )
    structure_key: AttributeName = Field(
        default="ENTStructureJointure", description="The attribute that holds the join key of structures."
    )
    changes: Literal["syncrepl", "timestamp", "none"] = Field(
        default="syncrepl",
        description="`syncrepl`: the server tells what changed (RFC 4533); one that cannot is asked by `timestamp`: "
        "for what was modified since the last read, and then for the names of all entries, so that those that left are "
        "found. `none`: everything is read each time.",
    )
    overlap: Duration = Field(
        default=timedelta(minutes=5),
        description="How far `timestamp` looks back behind the last read: more than the clocks of the servers and ours "
        "differ, and than changes need from one server to another.",
    )
    page: int = Field(default=1000, ge=1, le=10000, description="How many entries are asked for at a time.")
    split: int = Field(
        default=1,
        ge=1,
        le=16,
        description="In how many parts each population of people is read, side by side, when everything is read. The "
        "four populations are read side by side anyway.",
    )
    split_by: AttributeName = Field(
        default="uid",
        description="The attribute whose last character tells the part; one that does not change while an entry lives.",
    )
