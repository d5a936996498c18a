"""A wave of accounts: where each lies now, what must be changed, and the groups on the other side.

The order of writes is such that whoever dies between them, and pushes again, comes to the same end: contact data go
before an account is moved, groups let go of an account before it moves or ends.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

from ent_sync.core.entry import Account, EntryId
from ent_sync.core.plan import Create, Delete, Restore, Suspend, Update
from ent_sync.ports import Held
from ent_sync.targets.ldap.directory import CREATOR, CSN, Directory, There, there
from ent_sync.targets.ldap.edits import edits, owned_of_accounts
from ent_sync.targets.ldap.layout import Layout
from ent_sync.targets.ldap.members import Delta, Members
from ent_sync.targets.ldap.names import Names, to_jointure
from ent_sync.targets.ldap.parse import Parser, Told, with_memberships
from ent_sync.targets.ldap.render import OBJECT_CLASS, Renderer, UnfitError, raw
from ent_sync.targets.ldap.tasks import AMBIGUOUS, CHANGED, FOREIGN, LOOK_AGAIN, ROUNDS, Ground, Task, Wave
from ent_sync.wire.ldap import result as codes
from ent_sync.wire.ldap.dn import equality, escaped, normal
from ent_sync.wire.ldap.search import Scope, Search
from ent_sync.wire.ldap.write import Add, Find, Modify, Move, Operation, Read, Remove

_SCHEMA_VIOLATION = 65

_Listing: TypeAlias = Mapping[str, Collection[EntryId]]
"""By each DN that an account has or had: the groups that list it."""


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class _Now:
    """What lies where an account is: its entry, whether among the suspended, and what it says, if it is an account."""

    entry: There
    moved: bool = False
    held: Held | None
    told: Told

    @property
    def account(self) -> Account | None:
        """The account that it is, without memberships."""
        return self.held.entry if self.held is not None and isinstance(self.held.entry, Account) else None


@dataclass(slots=True, kw_only=True, repr=False)
class _Step:
    """What one task does in one round, in this order. Each delta is a group, a DN, and whether it joins."""

    task: Task
    move_in: Operation | None = None
    write: Operation | None = None
    deltas: Sequence[tuple[EntryId, str, bool]] = ()
    leave: Operation | None = None


class Accounts:
    """Makes changes of accounts."""

    def __init__(
        self, layout: Layout, names: Names, renderer: Renderer, parser: Parser, directory: Directory, members: Members
    ) -> None:
        self._layout = layout
        self._names = names
        self._renderer = renderer
        self._parser = parser
        self._directory = directory
        self._members = members
        self._owned = owned_of_accounts(layout, names)
        self.attributes = (OBJECT_CLASS, layout.accounts.rdn, *self._owned.attributes, CSN, CREATOR)

    def make(self, wave: Wave, ground: Ground) -> None:
        """Give each task of the wave its outcome.

        Raises:
            UnavailableError: there is no connection any more; tasks may be open still.
        """
        for attempt in range(ROUNDS):
            if not (tasks := wave.open()):
                return
            # the server's answer to a creation tells whether it is there
            fresh = {
                task.id
                for task in tasks
                if isinstance(task.change, Create) and attempt == 0 and not ground.adopts_accounts
            }
            found = self._look(tasks, fresh, none_suspended=ground.none_suspended)
            if ground.adopts_accounts:
                self._find_by_key([task for task in tasks if task.id not in found], found)
            listings = self._listings(tasks, found, fresh)
            self._perform(list(self._decided(tasks, found, listings, ground)), ground)
        for task in wave.open():
            task.give_up()

    # -- what is there -------------------------------------------------------------------------------------------------

    def _look(self, tasks: Sequence[Task], fresh: Collection[EntryId], *, none_suspended: bool) -> dict[EntryId, _Now]:
        found = self._read([task.id for task in tasks if task.id not in fresh], moved=False)
        unseen = [task.id for task in tasks if task.id not in found and not (none_suspended and task.id in fresh)]
        return found | self._read(unseen, moved=True)

    def _read(self, ids: Sequence[EntryId], *, moved: bool) -> dict[EntryId, _Now]:
        branch = self._names.suspended if moved else self._names.people
        entries = self._directory.entries([Read(branch.entry(id_), self.attributes) for id_ in ids]) if ids else []
        return {
            id_: self._now(entry, moved=moved) for id_, entry in zip(ids, entries, strict=True) if entry is not None
        }

    def _now(self, entry: There, *, moved: bool) -> _Now:
        held, told = self._parser.account(entry.attributes, moved=moved) or (None, {})
        return _Now(entry=entry, moved=moved, held=held, told=told)

    def _find_by_key(self, tasks: Sequence[Task], found: dict[EntryId, _Now]) -> None:
        """Entries under other names that have the join key of an account that is to be made."""
        asked = [(task, account) for task in tasks if (account := _brought(task)) is not None]
        for (task, account), entries in zip(
            asked,
            self._find([(self._layout.accounts.source_key, to_jointure(each.source_key)) for _, each in asked]),
            strict=True,
        ):
            same = [now for now in entries if now.account and now.account.population is account.population]
            if len(same) > 1:
                task.refuse(*AMBIGUOUS)
            elif same:
                found[task.id] = same[0]

    def _find(self, wanted: Sequence[tuple[str, str]]) -> Iterator[list[_Now]]:
        finds = [
            Find(
                Search(
                    base=self._names.people.dn,
                    filter=equality(attribute, value),
                    attributes=self.attributes,
                    scope=Scope.ONE,
                )
            )
            for attribute, value in wanted
        ]
        for answer in self._directory.ask(finds):
            yield [self._now(there(entry), moved=False) for entry in answer.entries]

    def _listings(
        self, tasks: Sequence[Task], found: Mapping[EntryId, _Now], fresh: Collection[EntryId]
    ) -> dict[EntryId, _Listing]:
        """By account, the groups that list it under any of its names; only where its change may concern them."""
        asked: list[tuple[EntryId, str]] = []
        for task in tasks:
            now = found.get(task.id)
            if now is None and task.id in fresh:
                continue
            if now and isinstance(task.change, Update) and "memberships" not in task.change.parts:
                continue
            asked += [(task.id, dn) for dn in {self._names.people.entry(task.id), *([now.entry.dn] if now else [])}]
        listings: dict[EntryId, dict[str, Collection[EntryId]]] = {}
        for (id_, dn), groups in zip(asked, self.listed([dn for _, dn in asked]), strict=True):
            listings.setdefault(id_, {})[dn] = groups
        return dict(listings)

    def listed(self, dns: Sequence[str]) -> list[frozenset[EntryId]]:
        """For each DN of an account, the groups that list it.

        Raises:
            UnavailableError: nobody answers.
        """
        groups = self._layout.groups
        finds = [
            Find(
                Search(
                    base=self._names.groups.dn,
                    filter=equality(groups.member, dn),
                    attributes=(OBJECT_CLASS, groups.rdn),
                    scope=Scope.ONE,
                )
            )
            for dn in dns
        ]
        return [
            frozenset(group for entry in answer.entries if (group := self._names.group_named(there(entry).attributes)))
            for answer in (self._directory.ask(finds) if finds else ())
        ]

    # -- what is to be done --------------------------------------------------------------------------------------------

    def _decided(
        self,
        tasks: Sequence[Task],
        found: Mapping[EntryId, _Now],
        listings: Mapping[EntryId, _Listing],
        ground: Ground,
    ) -> Iterator[_Step]:
        for task in tasks:
            now, listing = found.get(task.id), listings.get(task.id)
            if task.outcome is not None:
                continue
            try:
                if isinstance(task.change, Suspend):
                    step = self._suspend(task, now, listing or {}, task.change.keep)
                elif isinstance(task.change, Delete):
                    step = self._delete(task, now, listing or {}, ground)
                else:
                    step = self._bring(task, now, listing, ground)
            except UnfitError as error:
                task.refuse(error.rule, str(error))
                continue
            if step is not None:
                yield step

    def _bring(self, task: Task, now: _Now | None, listing: _Listing | None, ground: Ground) -> _Step | None:
        """What makes an account active and all that it should be; None where it is refused."""
        account = _brought(task)
        if account is None:
            raise TypeError("not an account")
        wanted = self._renderer.account(account)
        dn = self._names.people.entry(account.id)
        needed = {membership.group for membership in account.memberships}
        step = _Step(task=task)
        if listing is not None or now is None:
            step.deltas = _deltas(needed, dn, listing or {})
        if now is None:
            task.first_seen(None)
            step.write = Add(dn, raw(wanted))
            return step
        in_place = self._names.person(now.entry.dn) == account.id
        if isinstance(task.change, Create) and not task.seen and in_place and not self._is_ours(now, account, ground):
            task.refuse(*FOREIGN)
            return None
        task.first_seen(_with_groups(now, listing, account) if in_place else None)
        found = edits(self._owned, now.entry.attributes, wanted, keep_classes=task.keep_classes)
        if normal(now.entry.dn) != normal(dn):
            step.move_in = Move(
                now.entry.dn, self._rdn(account.id), self._names.people.dn, assertion=now.entry.assertion
            )
            step.write = Modify(dn, found) if found else None
        elif found:
            step.write = Modify(dn, found, assertion=now.entry.assertion)
        return step

    def _is_ours(self, now: _Now, account: Account, ground: Ground) -> bool:
        """Whether an entry of our name may be taken for ours: by its join key, by who made it, or by rule."""
        if ground.adopts_accounts or ground.made(now.entry.creator):
            return True
        return now.account is not None and now.account.source_key == account.source_key

    def _suspend(self, task: Task, now: _Now | None, listing: _Listing, keep: Collection[str]) -> _Step | None:
        if now is None:
            task.refuse("unknown-entry", "the directory holds no such account to suspend")
            return None
        if (account := now.account) is None:
            task.refuse(*FOREIGN)
            return None
        task.first_seen(_with_groups(now, listing, account))
        kept = {name: values for name, values in account.attributes.items() if name in keep}
        left = replace(account, profile=None, attributes=kept, affiliations=(), memberships=(), guardianships=())
        step = _Step(task=task, deltas=_deltas((), "", listing))
        wanted = self._renderer.account(left, suspended=True)
        if found := edits(self._owned, now.entry.attributes, wanted, keep_classes=task.keep_classes):
            step.write = Modify(now.entry.dn, found, assertion=now.entry.assertion)
        if self._layout.suspension.move and not now.moved:
            step.leave = Move(now.entry.dn, self._rdn(task.id), self._names.suspended.dn)
        return step

    def _delete(self, task: Task, now: _Now | None, listing: _Listing, ground: Ground) -> _Step | None:
        step = _Step(task=task, deltas=_deltas((), "", listing))
        if now is None:
            task.first_seen(None)
            return step
        if now.entry.creator is not None and not ground.made(now.entry.creator):
            task.refuse(*FOREIGN)
            return None
        task.first_seen(_with_groups(now, listing, now.account) if now.account else None)
        step.leave = Remove(now.entry.dn, assertion=now.entry.assertion)
        return step

    def _rdn(self, id_: EntryId) -> str:
        return f"{self._layout.accounts.rdn}={escaped(id_)}"

    # -- doing it ------------------------------------------------------------------------------------------------------

    def _perform(self, steps: Sequence[_Step], ground: Ground) -> None:
        going = self._send([(step, step.move_in) for step in steps])
        going = self._send([(step, step.write) for step in going])
        going = self._change_groups(going, ground)
        for step in self._send([(step, step.leave) for step in going]):
            step.task.acknowledge()

    def _send(self, steps: Sequence[tuple[_Step, Operation | None]]) -> list[_Step]:
        """Send one operation for each step that has one; gives the steps that can go on."""
        operations = [operation for _, operation in steps if operation is not None]
        answers = iter(self._directory.perform(operations) if operations else ())
        going = []
        for step, operation in steps:
            if operation is None:
                going.append(step)
                continue
            answer = next(answers)
            if answer.result and answer.result.code == _SCHEMA_VIOLATION and not step.task.keep_classes:
                # a class of ours may be what allows an attribute of somebody else's: then it stays
                step.task.keep_classes = True
            elif step.task.answered(answer, creating=isinstance(operation, Add)):
                going.append(step)
        return going

    def _change_groups(self, steps: Sequence[_Step], ground: Ground) -> list[_Step]:
        deltas: dict[EntryId, Delta] = {}
        for step in steps:
            for group, dn, joins in step.deltas:
                delta = deltas.setdefault(group, Delta())
                (delta.added if joins else delta.removed).add(dn)
        failed = self._members.apply(deltas, ground) if deltas else {}
        going = []
        for step in steps:
            failures = [failed[group] for group, _, _ in step.deltas if group in failed]
            if not failures:
                going.append(step)
            elif failures[0] is None:
                step.task.code = None
            elif failures[0] == codes.ENTRY_EXISTS:
                step.task.refuse(*FOREIGN)
            elif failures[0] in LOOK_AGAIN:
                step.task.refuse(*CHANGED)
            else:
                step.task.refuse_code(failures[0])
        return going


def _brought(task: Task) -> Account | None:
    """The account that a change makes active."""
    change = task.change
    if isinstance(change, Create | Update | Restore) and isinstance(change.entry, Account):
        return change.entry
    return None


def _deltas(needed: Collection[EntryId], dn: str, listing: _Listing) -> list[tuple[EntryId, str, bool]]:
    """What the groups must be told, so that those needed list the account under that DN, and none under another."""
    listed = {(group, normal(each)) for each, groups in listing.items() for group in groups}
    own = normal(dn)
    joins = [(group, dn, True) for group in sorted(needed) if (group, own) not in listed]
    leaves = [
        (group, each, False)
        for each, groups in listing.items()
        for group in sorted(groups)
        if group not in needed or normal(each) != own
    ]
    return joins + leaves


def _with_groups(now: _Now, listing: _Listing | None, account: Account) -> Held | None:
    """What is held, with its memberships: of the groups that list it, or those of `account`, which do not change."""
    held = now.account
    if held is None or now.held is None:
        return None
    if listing is None:
        memberships = account.memberships
    else:
        memberships = with_memberships(held, now.told, {group for groups in listing.values() for group in groups})
    return Held(replace(held, memberships=memberships), now.held.lifecycle)
