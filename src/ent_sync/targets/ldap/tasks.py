"""Changes on their way: how a batch falls into waves, and what becomes of each change in the end.

Pure but for the state of the batch. Knows no connection.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from ent_sync.core.entry import EntryId, EntryKind
from ent_sync.core.plan import Change, Suspend, rank, subject
from ent_sync.ports import Acknowledged, Held, PushOutcome, Refused, Unanswered
from ent_sync.wire.ldap import result as codes
from ent_sync.wire.ldap.dn import normal
from ent_sync.wire.ldap.result import code_name
from ent_sync.wire.ldap.write import Answer

ROUNDS = 4

# What another look at the entry resolves: it is there or not, or someone else changed it.
LOOK_AGAIN = frozenset(
    {
        codes.NO_SUCH_ATTRIBUTE,
        codes.ATTRIBUTE_OR_VALUE_EXISTS,
        codes.NO_SUCH_OBJECT,
        codes.ENTRY_EXISTS,
        codes.ASSERTION_FAILED,
    }
)
_SENTENCES = {
    "insufficientAccessRights": "the server does not let our account do this: give it the rights",
    "objectClassViolation": "the server's schema does not allow this entry: compare it with the layout",
    "objectClassModsProhibited": "the server does not change the kind of an entry that is there",
    "invalidAttributeSyntax": "a value is not of the form that the server's schema demands",
    "undefinedAttributeType": "the server's schema lacks an attribute that the layout names",
    "namingViolation": "the server does not allow an entry of this name",
    "notAllowedOnNonLeaf": "other entries lie below it",
    "unwillingToPerform": "the server does not take writes now (it may be read-only)",
    "constraintViolation": "a rule of the server does not allow this value",
    "entryAlreadyExists": "another entry has this name",
    "noSuchObject": "the branch for it is missing and cannot be made",
    "referral": "the server is a copy that points to another one for writes: configure that one",
    "busy": "the server stayed busy",
    "unavailable": "the server stayed unavailable",
    "other": "the server reports an error of its own (a full disk, for example): see its log",
}


def sentence(code: str) -> str:
    """What a result code of this name means to whoever runs ent-sync."""
    return _SENTENCES.get(code, "the server refuses this change")


FOREIGN = ("foreign-entry", "there is an entry of this name that ent-sync did not make; `adopt` would take it over")
CLASH = ("name-clash", "to the directory it has the name of another group, since capitals and spaces do not count")
AMBIGUOUS = ("ambiguous-entry", "several entries have this join key: make them one, or name ours")
CHANGED = ("changed-meanwhile", "others keep changing this entry; the next run tries again")


@dataclass(frozen=True, slots=True, kw_only=True)
class Ground:
    """What holds for a whole push: whose entries are ours, what may be taken over, whether nobody is suspended.

    `makers` are the DNs, in their normal form, as which ent-sync is or was bound.
    """

    makers: frozenset[str]
    adopts: frozenset[EntryKind]
    none_suspended: bool

    @property
    def adopts_accounts(self) -> bool:
        """Whether accounts that others made may be taken over."""
        return EntryKind.ACCOUNT in self.adopts

    def is_foreign(self, kind: EntryKind, creator: str | None) -> bool:
        """Whether an entry was made by others, as far as the server tells, and may not be taken over."""
        return creator is not None and kind not in self.adopts and not self.made(creator)

    def made(self, creator: str | None) -> bool:
        """Whether an entry of this maker is ours; where the server does not tell, nobody knows and it is not."""
        try:
            return creator is not None and normal(creator) in self.makers
        except ValueError:
            return False


@dataclass(slots=True, repr=False)
class Task:
    """One change, and how far it is. `before` counts once `seen`: what was there when we first looked.

    `code` is the last answer's; None when there was none. `is_lost` says that a write may have been done unheard.
    """

    index: int
    change: Change
    outcome: PushOutcome | None = None
    seen: bool = False
    before: Held | None = None
    is_lost: bool = False
    code: int | None = None
    keep_classes: bool = False

    @property
    def id(self) -> EntryId:
        """The entry that the change is about."""
        return subject(self.change)

    @property
    def is_suspension(self) -> bool:
        """Whether the branch of the suspended has an entry more after it."""
        return isinstance(self.change, Suspend)

    def first_seen(self, before: Held | None) -> None:
        """What was there before we did anything."""
        if not self.seen:
            self.seen, self.before = True, before

    def acknowledge(self) -> None:
        """The change is made."""
        self.outcome = Acknowledged(self.id, self.before)

    def refuse(self, rule: str, sentence: str) -> None:
        """The change will not be made."""
        self.outcome = Refused(self.id, rule, sentence)

    def refuse_code(self, code: int) -> None:
        """The server will not make the change."""
        name = code_name(code)
        self.refuse(name, sentence(name))

    def answered(self, answer: Answer, *, creating: bool = False) -> bool:
        """Takes an answer; whether the operation was done. A refusal that a look may resolve leaves the task open."""
        ended = answer.result
        self.code = ended.code if ended else None
        if ended is None:
            self.is_lost |= answer.sent
            return False
        if ended.code == codes.SUCCESS:
            return True
        if ended.code == codes.ENTRY_EXISTS and creating and not self.is_lost:
            self.seen = False  # we had not looked yet
        if ended.code not in LOOK_AGAIN:
            self.refuse_code(ended.code)
        return False

    def give_up(self) -> None:
        """Ends a task that stayed open through all rounds."""
        if self.code is None:
            self.outcome = Unanswered(self.id)
        elif self.code == codes.NO_SUCH_OBJECT:
            self.refuse_code(self.code)
        elif self.code == codes.ENTRY_EXISTS:
            self.refuse(*FOREIGN)
        else:
            self.refuse(*CHANGED)


@dataclass(slots=True)
class Wave:
    """Changes that depend on none of each other, of one rank."""

    rank: int
    tasks: list[Task] = field(default_factory=list)

    def open(self) -> list[Task]:
        """The tasks that have no outcome yet."""
        return [task for task in self.tasks if task.outcome is None]


def waves(changes: Sequence[Change]) -> Iterator[Wave]:
    """The changes in their order, cut where the rank changes or an entry comes again."""
    wave, ids = Wave(-1), set[EntryId]()
    for index, change in enumerate(changes):
        task, place = Task(index, change), rank(change)
        if place != wave.rank or task.id in ids:
            if wave.tasks:
                yield wave
            wave, ids = Wave(place), set()
        wave.tasks.append(task)
        ids.add(task.id)
    if wave.tasks:
        yield wave
