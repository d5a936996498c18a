"""What would keep pushes from working, told by name: the layout against what is released, the directory against both.

Rights are tried: in a directory in use by edits that cannot change anything, in an empty one by entries that are added
and removed again at once.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from ent_sync.core.entry import EntryId, Group, Structure, group_id
from ent_sync.core.errors import Problem, UnavailableError, Where
from ent_sync.core.record import Key
from ent_sync.core.relations import GroupKind
from ent_sync.targets.ldap.branches import Branches, attributes_of
from ent_sync.targets.ldap.directory import CREATOR, Directory
from ent_sync.targets.ldap.layout import AttributePlaces, Layout, neutral_of
from ent_sync.targets.ldap.names import Names
from ent_sync.targets.ldap.render import OBJECT_CLASS, Renderer, Written, raw
from ent_sync.targets.ldap.tasks import Ground, sentence
from ent_sync.wire.ldap import result as codes
from ent_sync.wire.ldap.result import LdapError, LostConnectionError
from ent_sync.wire.ldap.schema import Schema, read_schema
from ent_sync.wire.ldap.write import Add, Answer, Edit, EditKind, Modify, Remove

_TRIED = EntryId("ent-sync-check")
_LOOKED_AT = 50
_GOOD = frozenset({codes.SUCCESS, codes.ATTRIBUTE_OR_VALUE_EXISTS, codes.ENTRY_EXISTS})

# What passes by itself (a server in maintenance, a full disk) is no fault of the configuration.
_FOR_NOW = codes.TRY_AGAIN | {codes.UNWILLING, codes.OTHER}

_Needs: TypeAlias = tuple[Sequence[str], Sequence[str]]
"""Object classes and the attributes that entries of these classes may hold."""


def unplaced(layout: Layout, path: Path, released: Sequence[str]) -> list[Problem]:
    """The released attributes that the layout has no place for: they could never be written, nor read back."""
    missing = [name for name in released if name not in layout.accounts.attributes]
    where = Where(str(path), path="accounts.attributes")
    return [
        Problem(where, "no-place", f"has no place for `{name}`, which the register releases to this target")
        for name in missing
    ]


def schema_problems(layout: Layout, directory: Directory, name: str, multiple: Sequence[str]) -> list[Problem]:
    """What the directory's schema lacks for the layout.

    Raises:
        UnavailableError: the schema cannot be read.
    """
    try:
        schema = read_schema(directory.link())
    except LdapError as error:
        return [Problem(Where(name), "schema-hidden", f"the server does not show its schema ({error})")]
    except LostConnectionError as error:
        directory.let_go()
        raise UnavailableError(f"target {name} cannot be asked for its schema: {error}") from None
    if schema is None:
        # Not every server shows it to everyone; what does not fit is refused when it is written.
        return []
    classes, attributes = _named(layout)
    where = Where(name)
    known = {each.lower() for each in classes}
    found = []
    for missing in schema.missing(classes, attributes):
        if missing.lower() in known and missing.lower() not in schema.classes:
            found.append(Problem(where, "no-class", f"the server's schema lacks the object class {missing}"))
            known.discard(missing.lower())
        else:
            found.append(Problem(where, "no-attribute", f"the server's schema lacks the attribute {missing}"))
    found += _single(layout, schema, where, multiple)
    if not found:
        found += _unmet(layout, schema, where)
    return found


def _named(layout: Layout) -> _Needs:
    """All classes and attributes that a layout names, each once."""
    accounts, structures, groups = layout.accounts, layout.structures, layout.groups
    classes = accounts.classes
    named = [*classes.every, *classes.pupil, *classes.guardian, *classes.teacher, *classes.staff, *structures.classes]
    attributes = [accounts.rdn, accounts.source_key, *([accounts.profile] if accounts.profile else [])]
    attributes += [*_places(accounts.attributes), *accounts.composed, *accounts.relations.names()]
    attributes += [*layout.suspension.values, *_neutral(accounts.neutral)]
    attributes += [
        structures.rdn,
        structures.source_key,
        structures.name,
        *([structures.uai] if structures.uai else []),
    ]
    attributes += [*_places(structures.attributes), *_neutral(structures.neutral)]
    attributes += [groups.rdn, groups.name, groups.member]
    for kind in GroupKind:
        named += groups.of(kind).classes
    return list(dict.fromkeys(named)), list(dict.fromkeys(attributes))


def _single(layout: Layout, schema: Schema, where: Where, multiple: Sequence[str]) -> Iterator[Problem]:
    """Attributes that would have to hold several values and cannot."""
    relations = layout.accounts.relations
    several = [name for name in relations.names() if name != relations.school]
    several += [layout.groups.member]
    several += [place.attribute for name, place in layout.accounts.attributes.items() if name in multiple]
    for name in several:
        if schema.single_valued.get(name.lower(), False):
            yield Problem(where, "one-value", f"the server's schema allows {name} one value only, and several may come")


def _unmet(layout: Layout, schema: Schema, where: Where) -> Iterator[Problem]:
    """Attributes that a class demands and that neither the layout always writes nor a neutral value stands in for."""
    accounts, structures = layout.accounts, layout.structures
    always = {accounts.rdn, accounts.source_key, OBJECT_CLASS}
    kinds = accounts.classes
    for classes in (kinds.pupil, kinds.guardian, kinds.teacher, kinds.staff):
        chain = (*kinds.every, *classes)
        yield from _demanded(schema, where, chain, always, neutral_of(accounts.neutral, chain))
    always = {structures.rdn, structures.source_key, structures.name, OBJECT_CLASS, structures.uai or structures.rdn}
    yield from _demanded(schema, where, structures.classes, always, neutral_of(structures.neutral, structures.classes))


def _demanded(
    schema: Schema, where: Where, classes: Sequence[str], always: Collection[str], neutral: Mapping[str, str]
) -> Iterator[Problem]:
    met = {name.lower() for name in (*always, *neutral)}
    for name in sorted(schema.must(classes) - met):
        sentence_ = f"an object class of the layout demands {name}: give it a neutral value in the layout"
        yield Problem(where, "no-neutral", sentence_)


@dataclass(frozen=True, slots=True)
class Trial:
    """Tries whether we may write what we will have to."""

    layout: Layout
    names: Names
    renderer: Renderer
    directory: Directory
    branches: Branches

    def problems(self, name: str, ground: Ground) -> list[Problem]:
        """The branches below which we may not write, and why.

        Raises:
            UnavailableError: nobody answers.
        """
        made = self.branches.missing()
        found: list[Problem] = []
        kept: list[str] = []
        for dn in made:
            # Of a base that it does not hold, a server says that it is unwilling: that does not pass.
            answer = self._perform(Add(dn, attributes_of(dn)), passing=dn != self.names.base)
            if not _is_good(answer):
                self._undo(kept)
                rule = "no-base" if dn == self.names.base else "no-branch"
                path = dn.removesuffix(f",{self.names.base}")
                return [self._problem(name, rule, f"{path} is missing and cannot be made", answer)]
            kept.append(dn)
        try:
            samples = list(self._samples())
            ours = {branch: held for _, branch, _ in samples if (held := self._one_of_ours(branch, ground))}
            for dn, branch, sample in samples:
                # in a directory in use, an empty branch is left alone: whoever reads the directory would see the sample
                refused = self._edited(*ours[branch]) if branch in ours else None if ours else self._added(dn, sample)
                if refused is not None:
                    path = branch.removesuffix(f",{self.names.base}")
                    found.append(self._problem(name, "no-right", f"nothing can be written below {path}", refused))
        finally:
            self._undo(kept)
        return found

    def _samples(self) -> Iterator[tuple[str, str, Written]]:
        """An entry of each kind: its DN, its branch, and what it is made of."""
        names, renderer = self.names, self.renderer
        key = Key(_TRIED)
        yield names.people.entry(_TRIED), names.people.dn, renderer.nobody(_TRIED)
        structure = Structure(id=_TRIED, source_key=key, name=_TRIED, attributes={})
        yield names.structures.entry(_TRIED), names.structures.dn, renderer.structure(structure)
        group = Group(
            id=group_id(_TRIED, GroupKind.CLASS, _TRIED),
            uai=_TRIED,
            group_kind=GroupKind.CLASS,
            code=_TRIED,
            name=_TRIED,
        )
        member = {self.layout.groups.member: [names.structures.entry(_TRIED)]}
        rdn = f"{_TRIED}${_TRIED}"
        written = {**renderer.group(group, rdn), **member}
        yield names.groups.entry(rdn), names.groups.dn, written
        if self.layout.suspension.move:
            yield names.suspended.entry(_TRIED), names.suspended.dn, renderer.nobody(_TRIED)

    def _edited(self, dn: str, raw_class: bytes) -> Answer | None:
        """The no of a server that is asked to add what is there: who may do it is told that, and nothing changes."""
        answer = self._perform(Modify(dn, [Edit(EditKind.ADD, OBJECT_CLASS, [raw_class])]))
        return None if _is_good(answer) else answer

    def _added(self, dn: str, sample: Written) -> Answer | None:
        """The no of a server that is asked to take a sample, and to let it go again."""
        for operation in (Add(dn, raw(sample)), Remove(dn)):
            if not _is_good(answer := self._perform(operation)):
                return answer
        return None

    def _one_of_ours(self, branch: str, ground: Ground) -> tuple[str, bytes] | None:
        for entry in self.directory.first_page(branch, (OBJECT_CLASS, CREATOR), _LOOKED_AT):
            if ground.made(entry.creator) and (classes := entry.attributes.get("objectclass")):
                return entry.dn, classes[0]
        return None

    def _perform(self, operation: Add | Remove | Modify, *, passing: bool = True) -> Answer:
        answer = self.directory.perform([operation])[0]
        if answer.result is None:
            raise UnavailableError(f"{self.directory.who} does not answer")
        if passing and answer.result.code in _FOR_NOW:
            raise UnavailableError(f"{self.directory.who}: {sentence(answer.result.name)} ({answer.result.name})")
        return answer

    def _undo(self, made: Sequence[str]) -> None:
        for dn in reversed(made):
            self._perform(Remove(dn))

    def _problem(self, name: str, rule: str, what: str, answer: Answer) -> Problem:
        why = answer.result.name if answer.result else "unanswered"
        return Problem(Where(name), rule, f"{what}: {sentence(why)} ({why})")


def _is_good(answer: Answer) -> bool:
    return answer.result is not None and answer.result.code in _GOOD


def _places(places: AttributePlaces) -> list[str]:
    return [place.attribute for place in places.values()]


def _neutral(neutral: Mapping[str, Mapping[str, str]]) -> list[str]:
    return [name for values in neutral.values() for name in values]
