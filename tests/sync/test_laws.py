"""The laws of architecture §1, as a state machine over a small region.

Two installations with the same keys follow the same region, night by night. One is given deltas where it pleases, and
its runs die now and then; the other is given complete deliveries and is left in peace. Each morning both hold the same.
"""

import tempfile
from collections.abc import Sequence
from pathlib import Path

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from delivering import CONTACT, IN_CHARGE, LEGAL, FileKind, Told, between, guardian, pupil, school, staff
from sync.dying import Moment, dies
from sync.installed import Installation, changes

SOURCES = ("lille-2d", "lille-1d", "amiens-2d")
UAIS = dict(zip(SOURCES, ("0590001A", "0590002B", "0800003C"), strict=True))
PUPILS, GUARDIANS, STAFF = ["10", "11", "12"], ["20", "21", "22"], ["30", "31"]
LEAVE_NOTHING_TO_APPROVE = "guards: {shrinkage: 0 %, dangling_links: 100 %, source_departures: {share: 100 %}}"
INE = "12345678"

picks = st.sampled_from
several = {"max_size": 2, "unique": True}
codes = picks(["6A", "6B", "6C"])


def a_pupil(id_: str, classes: Sequence[str], family: str, guardians: dict[str, str], known: bool) -> Told:
    """The number goes with the id, so that who moves between the academies is recognised."""
    return pupil(id_, classes=classes, family=family, guardians=guardians, ine=f"{INE}{id_[1]}AB" if known else None)


def academy(source: str) -> str:
    return source.partition("-")[0].upper()


pupils = st.builds(
    a_pupil,
    picks(PUPILS),
    st.lists(codes, **several),
    picks(["UN", "DEUX"]),
    st.dictionaries(picks(GUARDIANS), picks([LEGAL, IN_CHARGE, CONTACT]), max_size=2),
    st.booleans(),
)
guardians = st.builds(guardian, picks(GUARDIANS), mail=st.none() | picks(["a@example.org", "b@example.org"]))
functions = st.lists(picks([("1", code) for code in ("ENS", "DIR", "DOC", "-")]), **several)
taught = st.lists(codes.map("1${}".format), **several)
colleagues = st.builds(staff, picks(STAFF), functions=functions, classes=taught)
named = st.lists(picks(["6A$Sixième", "6A$", "6Z$Vide"]), max_size=2, unique_by=lambda each: each[:2])
leavers = picks([*((FileKind.PUPILS, each) for each in PUPILS), *((FileKind.GUARDIANS, each) for each in GUARDIANS)])
happenings = st.lists(
    st.tuples(picks(SOURCES), pupils | guardians | colleagues | named | leavers | leavers), min_size=1, max_size=6
)


class TwoInstallations(RuleBasedStateMachine):
    """Nights in which people come, change and go, and runs that die."""

    @initialize()
    def begin(self) -> None:
        self.scratch = tempfile.TemporaryDirectory()
        root = Path(self.scratch.name)
        self.number = 0
        self.people: dict[str, dict[tuple[FileKind, str], Told]] = {source: {} for source in SOURCES}
        self.deltas, self.completes = (Installation(root / name, *SOURCES) for name in ("deltas", "completes"))
        for there in (self.deltas, self.completes):
            there.edit("ent-sync.yaml", "guards: {}", LEAVE_NOTHING_TO_APPROVE)
        for source in SOURCES:
            # Somebody of each kind is always there: a delivery without one is not complete.
            for told in (
                school("1", uai=UAIS[source]),
                pupil("90", guardians={"91": LEGAL}),
                guardian("91"),
                staff("92"),
            ):
                self.people[source][told.kind, told.id] = told
            for there in (self.deltas, self.completes):
                there.complete(0, self.people[source].values(), source)
        for there in (self.deltas, self.completes):
            assert there.sync().outcome == "done"

    def teardown(self) -> None:
        if hasattr(self, "scratch"):
            self.scratch.cleanup()

    @rule(
        happened=happenings,
        as_deltas=st.frozensets(picks(SOURCES)),
        dying=st.none() | st.tuples(st.integers(1, 25), picks(list(Moment))),
    )
    def night(self, happened, as_deltas, dying) -> None:
        self.number += 1
        before = {source: list(self.people[source].values()) for source in SOURCES}
        for source, what in happened:
            self._happens(source, what)
        for source in SOURCES:
            now = list(self.people[source].values())
            if source in as_deltas:
                if requests := between(before[source], now):
                    self.deltas.delta(self.number, source, requests=requests)
            else:
                self.deltas.complete(self.number, now, source)
            self.completes.complete(self.number, now, source)
        if dying is not None:
            dies(self.deltas, lambda there: there.sync(), *dying)
        for there in (self.deltas, self.completes):
            assert there.sync().outcome in {"done", "partial"}

    def _happens(self, source, what) -> None:
        here = self.people[source]
        if isinstance(what, Told):
            here[what.kind, what.id] = what
        elif isinstance(what, list):
            here[FileKind.SCHOOLS, "1"] = school("1", uai=UAIS[source], classes=what)
        else:
            here.pop(what, None)

    @rule(full=st.booleans(), dying=st.none() | st.integers(1, 10))
    def the_same_again(self, full, dying) -> None:
        """Law 4, for whoever is asked to read everything again, too."""
        if dying is not None:
            dies(self.deltas, lambda there: there.sync(full=full), dying, Moment.AFTER)
            self.deltas.sync()
        assert changes(self.deltas.sync(full=full)) == {}

    # -- what is true every morning

    @invariant()
    def both_ways_lead_to_the_same_rows(self) -> None:
        """Laws 5 and 8."""
        if hasattr(self, "people"):
            assert self.deltas.views() == self.completes.views()

    @invariant()
    def who_is_entitled_is_active_and_nobody_else(self) -> None:
        """Law 2, and the other way round; a pupil of both academies has one account, under the key of the first."""
        if hasattr(self, "people"):
            entitled = {key for source in SOURCES for key in self._entitled(source)}
            active = {key for key, status in self.deltas.accounts() if status == "active"}
            assert active <= entitled
            assert {key for key in entitled - active if key not in {f"AMIENS${id_}" for id_ in PUPILS}} == set()

    @invariant()
    def guardianships_are_the_releasing_links_and_no_others(self) -> None:
        if hasattr(self, "people"):
            links = {link for source in SOURCES for link in self._links(source)}
            found = self.deltas.ask("SELECT source_key FROM guardianships JOIN accounts ON account = guardian")
            assert sorted(guardian for guardian, _ in links) == sorted(key for (key,) in found)

    def _entitled(self, source: str) -> set[str]:
        """The keys of those who should have an account."""
        found = {guardian for guardian, _ in self._links(source)}
        for (kind, id_), told in self.people[source].items():
            functions = told.attributes.get("ENTPersonFonctions", ())
            if kind is FileKind.PUPILS or any("$-$" not in each for each in functions):
                found.add(f"{academy(source)}${id_}")
        return found

    def _links(self, source: str) -> set[tuple[str, str]]:
        """The legal guardians of present pupils who are present themselves: keys of guardian and pupil."""
        here = self.people[source]
        return {
            (f"{academy(source)}${value.partition('$')[0]}", f"{academy(source)}${id_}")
            for (kind, id_), told in here.items()
            for value in told.attributes.get("ENTElevePersRelEleve", ())
            if value.partition("$")[2] == LEGAL and (FileKind.GUARDIANS, value.partition("$")[0]) in here
        }

    @invariant()
    def nothing_is_released_that_the_register_does_not_name(self) -> None:
        """Law 3: of these people, only guardians have a mail; no number, no kind of link and no contact is known."""
        if hasattr(self, "people"):
            assert self.deltas.ask("SELECT * FROM accounts WHERE mail IS NOT NULL AND population <> 'guardian'") == []
            assert self.deltas.ask("SELECT * FROM guardianships WHERE legal <> 1") == []
            assert INE not in repr(self.deltas.views())

    @invariant()
    def who_is_not_active_is_nowhere_else(self) -> None:
        if hasattr(self, "people"):
            active = "(SELECT account FROM accounts WHERE status = 'active')"
            for view, who in (("members", "account"), ("affiliations", "account"), ("guardianships", "guardian")):
                assert self.deltas.ask(f"SELECT * FROM {view} WHERE {who} NOT IN {active}") == []
            assert self.deltas.ask(f"SELECT * FROM guardianships WHERE pupil NOT IN {active}") == []


TwoInstallations.TestCase.settings = settings(
    max_examples=10, stateful_step_count=8, deadline=None, suppress_health_check=list(HealthCheck)
)
test_laws = TwoInstallations.TestCase
