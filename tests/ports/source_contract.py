"""The behaviour that every source shows; each adapter's tests inherit `SourceContract` and bring a `giving`.

`giving` lays deliveries where the source looks for them. A delivery of these tests is told as pairs of population and
id; `MemorySource` obeys the contract too, so that what is tested with it is true of real ones.
"""

import datetime as dt
from abc import ABC, abstractmethod
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass, field, replace

import pytest

from ent_sync.core.completeness import Delivery, Evidence, Part
from ent_sync.core.errors import Problem, UnavailableError, Where
from ent_sync.core.record import Key, Origin, Population, Record
from ent_sync.ports import Modification, Opened, Shard, Sighting, Source, UnreadableError, Verb

FIRST = dt.date(2026, 9, 1)
PEOPLE = (
    (Population.SCHOOL, "1"),
    (Population.PUPIL, "100"),
    (Population.PUPIL, "101"),
    (Population.GUARDIAN, "200"),
    (Population.STAFF, "300"),
)
MANY = (*PEOPLE, *((Population.PUPIL, str(1000 + n)) for n in range(1500)))


class Giving(ABC):
    """A source, and the hand that lays deliveries where it looks."""

    source: Source

    @abstractmethod
    def complete(self, day: dt.date, people: Sequence[tuple[Population, str]]) -> None:
        """A complete delivery."""

    @abstractmethod
    def delta(self, day: dt.date, requests: Sequence[tuple[Verb, Population, str]]) -> None:
        """A delta; a modify request sets the family name."""

    @abstractmethod
    def spoil(self, day: dt.date) -> None:
        """Cut the pupils of a delivery short."""

    @abstractmethod
    def vanish(self) -> None:
        """The place where deliveries appear is gone."""


def drained(source, shard):
    """All sightings of a shard, its batches, and the evidence that came in the end."""
    batches = []
    reading = source.read(shard)
    while True:
        try:
            batches.append(next(reading))
        except StopIteration as end:
            return [each for batch in batches for each in batch.sightings], batches, end.value


def opened(batches):
    return [content for batch in batches for _, content in batch.open(range(len(batch.sightings)))]


class ReadingContract:
    """What a run relies on when it reads, whatever the source; of a live one, what was laid last is all there is."""

    def one(self, giving, day=FIRST, people=PEOPLE):
        giving.complete(day, people)
        (delivery,) = giving.source.deliveries(0.0)
        return delivery

    def pupils(self, giving, delivery):
        return next(each for each in giving.source.shards(delivery) if each.population is Population.PUPIL)

    def test_a_delivery_names_its_source(self, giving):
        assert self.one(giving).source == giving.source.name

    def test_a_source_that_cannot_be_reached_says_so(self, giving):
        giving.vanish()

        with pytest.raises(UnavailableError):
            giving.source.deliveries(0.0)

    def test_schools_come_first(self, giving):
        assert giving.source.shards(self.one(giving))[0].population is Population.SCHOOL

    def test_shards_are_numbered_as_they_come(self, giving):
        shards = giving.source.shards(self.one(giving))

        assert [each.ordinal for each in shards] == list(range(len(shards)))

    def test_all_shards_together_hold_everybody_once(self, giving):
        shards = giving.source.shards(self.one(giving))

        seen = [(each.population, each.key) for shard in shards for each in drained(giving.source, shard)[0]]

        assert sorted(seen) == sorted((population, f"LILLE${id_}") for population, id_ in PEOPLE)

    def test_the_evidence_comes_in_the_end_and_counts_what_was_seen(self, giving):
        delivery = self.one(giving)
        shard = self.pupils(giving, delivery)

        evidence = drained(giving.source, shard)[2]

        assert (evidence.file, evidence.records) == (shard.file, {Population.PUPIL: 2})
        assert shard.file in {part.file for part in delivery.parts}

    def test_whoever_stops_early_has_no_evidence(self, giving):
        reading = giving.source.read(self.pupils(giving, self.one(giving, people=MANY)))
        next(reading)

        assert reading.close() is None

    def test_a_shard_is_read_in_batches(self, giving):
        _, batches, _ = drained(giving.source, self.pupils(giving, self.one(giving, people=MANY)))

        assert max(len(batch.sightings) for batch in batches) <= 1000

    def test_a_shard_that_cannot_be_read_to_its_end_has_no_evidence(self, giving):
        giving.complete(FIRST, PEOPLE)
        giving.spoil(FIRST)
        (delivery,) = giving.source.deliveries(0.0)

        with pytest.raises(UnreadableError) as raised:
            drained(giving.source, self.pupils(giving, delivery))

        assert raised.value.problem.where.file

    def test_an_opened_sighting_is_a_record_with_key_and_origin(self, giving):
        sightings, batches, _ = drained(giving.source, self.pupils(giving, self.one(giving)))

        records = opened(batches)

        assert [type(each) for each in records] == [Record, Record]
        assert [(each.key, each.origin) for each in records] == [(each.key, each.origin) for each in sightings]

    def test_a_batch_can_be_opened_in_part(self, giving):
        _, (batch,), _ = drained(giving.source, self.pupils(giving, self.one(giving)))

        ((place, record),) = batch.open([1])

        assert (place, record.key) == (1, "LILLE$101")

    def test_sightings_that_were_set_aside_open_to_the_same(self, giving):
        sightings, batches, _ = drained(giving.source, self.pupils(giving, self.one(giving)))
        apart = [replace(each) for each in sightings]

        again = opened([giving.source.again(apart)])

        assert again == opened(batches)

    def test_a_sighting_of_which_nothing_is_left_does_not_shift_the_others(self, giving):
        sightings, _, _ = drained(giving.source, self.pupils(giving, self.one(giving)))
        empty = replace(sightings[0], raw=b"")

        (_, first), (_, second) = giving.source.again([empty, sightings[1]]).open([0, 1])

        assert isinstance(first, Problem)
        assert second.key == sightings[1].key

    def test_a_delivery_that_is_done_can_be_read_again(self, giving):
        delivery = self.one(giving)
        drained(giving.source, self.pupils(giving, delivery))
        giving.source.done(delivery)

        assert drained(giving.source, self.pupils(giving, delivery))[2].records == {Population.PUPIL: 2}

    def test_a_sighting_shows_nobody_in_its_repr(self, giving):
        sightings, batches, _ = drained(giving.source, self.pupils(giving, self.one(giving)))

        assert "FAMILLE" not in repr([sightings, batches, opened(batches)])


class SourceContract(ReadingContract):
    """What a run relies on where deliveries are laid one beside the other."""

    def test_where_nothing_lies_there_is_no_delivery(self, giving):
        assert list(giving.source.deliveries(0.0)) == []

    def test_deliveries_come_oldest_first_and_the_complete_one_of_a_day_before_its_delta(self, giving):
        for after in (3, 1, 2):
            giving.complete(FIRST + dt.timedelta(days=after), PEOPLE)
        giving.delta(FIRST + dt.timedelta(days=2), [(Verb.ADD, Population.PUPIL, "500")])

        found = [((each.date - FIRST).days, each.complete) for each in giving.source.deliveries(0.0)]

        assert found == [(1, True), (2, True), (2, False), (3, True)]

    def test_a_delivery_stays_the_same_while_nothing_is_laid_over_it(self, giving):
        assert self.one(giving) == giving.source.deliveries(0.0)[0]

    def test_a_delivery_that_changed_has_another_signature(self, giving):
        before = self.one(giving)
        giving.complete(FIRST, PEOPLE[:-1])

        assert giving.source.deliveries(0.0)[0].signature != before.signature

    def test_equal_records_are_equal_byte_for_byte(self, giving):
        """What was delivered alike before is told by its bytes, and not opened again."""
        giving.complete(FIRST, PEOPLE)
        giving.complete(FIRST + dt.timedelta(days=1), PEOPLE[:3])
        first, second = (
            [each.raw for each in drained(giving.source, self.pupils(giving, delivery))[0]]
            for delivery in giving.source.deliveries(0.0)
        )

        assert first == second
        assert len(set(first)) == 2

    def test_a_delta_tells_its_verbs(self, giving):
        requests = [
            (Verb.ADD, Population.PUPIL, "1"),
            (Verb.MODIFY, Population.PUPIL, "2"),
            (Verb.DELETE, Population.PUPIL, "3"),
        ]
        giving.delta(FIRST, requests)
        (delivery,) = giving.source.deliveries(0.0)

        sightings, _, _ = drained(giving.source, self.pupils(giving, delivery))

        assert [(each.verb, each.key) for each in sightings] == [
            (Verb.ADD, "LILLE$1"),
            (Verb.MODIFY, "LILLE$2"),
            (Verb.DELETE, "LILLE$3"),
        ]

    def test_a_modify_request_is_a_modification(self, giving):
        giving.delta(FIRST, [(Verb.MODIFY, Population.PUPIL, "2")])
        (delivery,) = giving.source.deliveries(0.0)
        _, batches, _ = drained(giving.source, self.pupils(giving, delivery))

        (found,) = opened(batches)

        assert isinstance(found, Modification)
        assert (found.key, dict(found.values), found.whole) == ("LILLE$2", {"sn": ("NOUVEAU",)}, False)

    def test_forgetting_removes_what_it_names_and_nothing_else(self, giving):
        for after in (1, 2):
            giving.complete(FIRST + dt.timedelta(days=after), PEOPLE)
        first, second = giving.source.deliveries(0.0)

        giving.source.forget(first)

        assert list(giving.source.deliveries(0.0)) == [second]

    def test_forgetting_twice_is_forgetting(self, giving):
        delivery = self.one(giving)
        giving.source.forget(delivery)

        giving.source.forget(delivery)

        assert list(giving.source.deliveries(0.0)) == []


# -- a source in memory ------------------------------------------------------------------------------------------------


@dataclass(repr=False)
class _Batch:
    sightings: Sequence[Sighting]

    def open(self, which: Sequence[int]) -> Iterator[tuple[int, Opened]]:
        for place in which:
            yield place, _content(self.sightings[place])


def _content(sighting: Sighting) -> Opened:
    if not sighting.raw or sighting.key is None:
        return Problem(Where(sighting.origin.file, sighting.origin.line), "record", "nothing is left of it")
    name = sighting.raw.decode()
    if sighting.verb is Verb.MODIFY:
        return Modification(
            population=sighting.population,
            key=sighting.key,
            values={"sn": (name,)},
            cleared=frozenset(),
            whole=False,
            origin=sighting.origin,
            source="memory",
        )
    return Record(sighting.population, sighting.key, {"sn": (name,)}, sighting.origin, "memory")


@dataclass
class MemorySource:
    """A source whose deliveries are values; `broken` are the shards that end too early."""

    name: str = "memory"
    laid: dict[tuple[dt.date, bool], tuple[tuple[Verb, Population, str], ...]] = field(default_factory=dict)
    broken: set[str] = field(default_factory=set)
    there: bool = True

    def lookup(self, keys):
        return None

    def deliveries(self, settled_for: float, cursor: str | None = None) -> Sequence[Delivery]:
        del settled_for  # what lies in memory never changes while somebody writes it
        if not self.there:
            raise UnavailableError("the memory source is gone")
        found = [self._delivery(day, requests, complete=complete) for (day, complete), requests in self.laid.items()]
        return sorted(found, key=lambda each: (each.date, not each.complete))

    def _delivery(self, day: dt.date, requests: Sequence[tuple[Verb, Population, str]], *, complete: bool) -> Delivery:
        kinds = [each for each in (Population.SCHOOL, *Population) if each in {kind for _, kind, _ in requests}]
        place = f"{day}|{complete}"
        return Delivery(
            id=place,
            source=self.name,
            complete=complete,
            date=day,
            signature=f"{hash(tuple(requests)):x}",
            place=place,
            parts=tuple(Part(f"{place}|{kind}", kind, 0, kind) for kind in dict.fromkeys(kinds)),
            size=len(requests),
        )

    def shards(self, delivery: Delivery) -> Sequence[Shard]:
        return [
            Shard(self.name, part.file, delivery.place, part.population, ordinal)
            for ordinal, part in enumerate(delivery.parts)
        ]

    def read(self, shard: Shard) -> Generator[_Batch, None, Evidence]:
        day, _, complete = shard.place.partition("|")
        requests = self.laid[dt.date.fromisoformat(day), complete == "True"]
        mine = [each for each in requests if each[1] is shard.population]
        sightings = [
            Sighting(verb, kind, Key(f"LILLE${id_}"), self._raw(verb, id_), Origin(shard.file, line))
            for line, (verb, kind, id_) in enumerate(mine, start=1)
        ]
        for start in range(0, len(sightings), 500):
            yield _Batch(sightings[start : start + 500])
        if shard.file in self.broken:
            raise UnreadableError(Problem(Where(shard.file), "not-well-formed", "ends before its last tag"))
        return Evidence(shard.file, {shard.population: len(sightings)} if shard.population else {})

    def _raw(self, verb: Verb, id_: str) -> bytes:
        return b"NOUVEAU" if verb is Verb.MODIFY else f"FAMILLE-{id_}".encode()

    def again(self, sightings: Sequence[Sighting]) -> _Batch:
        return _Batch(sightings)

    def done(self, delivery: Delivery) -> None:
        """Nothing was unpacked."""

    def forget(self, delivery: Delivery) -> None:
        self.laid.pop((delivery.date, delivery.complete), None)


class GivingMemory(Giving):
    """Lays deliveries into memory."""

    def __init__(self) -> None:
        self.source = MemorySource()

    def complete(self, day, people):
        self.source.laid[day, True] = tuple((Verb.ADD, population, id_) for population, id_ in people)

    def delta(self, day, requests):
        self.source.laid[day, False] = tuple(requests)

    def spoil(self, day):
        self.source.broken.add(f"{day}|True|{Population.PUPIL}")

    def vanish(self):
        self.source.there = False
