"""The verdict on a staged delivery, and what follows: it becomes part of the snapshot, or nothing of it is used.

One transaction commits the snapshot, the quarantine, the cursor, and the mark on every entry that must be mapped again.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass

from ent_sync.core.completeness import (
    Complete,
    Delivery,
    Incomplete,
    LinkCount,
    missing_parts,
    promised_between,
    prove,
    whole_populations,
)
from ent_sync.core.errors import Problem, Where
from ent_sync.core.guard import Guard, Hold
from ent_sync.core.record import Population
from ent_sync.store import lease, runs, snapshot, staging
from ent_sync.store.entries import mark_touched
from ent_sync.store.lease import Lease
from ent_sync.store.runs import Quarantined, quarantine_id
from ent_sync.sync.parts import Parts
from ent_sync.sync.pull import Reading


@dataclass(frozen=True, slots=True)
class Judgement:
    """What became of a delivery: applied with so many set aside, or held with the reasons."""

    applied: bool
    aside: int = 0
    hold: Hold | None = None
    reasons: tuple[Problem, ...] = ()


def apply_complete(parts: Parts, delivery: Delivery, reading: Reading, held: Lease) -> Judgement:
    """Judge a staged complete delivery and make it part of the snapshot, or leave everything as it was."""
    proof = _prove(parts, delivery, reading)
    if isinstance(proof, Incomplete):
        hold = Hold(Guard.COMPLETENESS, delivery.source, proof.observed, proof.limit, delivery.source)
        return _held(parts, delivery, reading, hold, proof.reasons)
    return _merge(parts, delivery, reading, proof, held)


def _prove(parts: Parts, delivery: Delivery, reading: Reading) -> Complete | Incomplete:
    with parts.database.reading() as connection:
        if delivery.live:
            staging.resolve_references(connection, delivery.source)
        links = staging.count_links(connection, delivery.source)
    if not delivery.complete and not whole_populations(delivery, reading.evidence) >= _LINKED:
        links = LinkCount(0, 0)  # those who were not named may well be there
    return prove(delivery, reading.evidence, reading.unread, links, parts.limits.dangling_links)


_LINKED = {Population.PUPIL, Population.GUARDIAN}


def apply_answer(parts: Parts, delivery: Delivery, reading: Reading, held: Lease) -> Judgement:
    """Judge what a directory answered when it was asked what changed, or for some keys.

    Nothing can lie between it and what is known, so there is no gap to look for; and where it named all that is there,
    it proves absences like a complete delivery.
    """
    if reading.unread:
        hold = Hold(Guard.COMPLETENESS, delivery.source, float(len(reading.unread)), 0.0, delivery.source)
        return _held(parts, delivery, reading, hold, reading.unread)
    proof = _prove(parts, delivery, reading) if whole_populations(delivery, reading.evidence) else None
    if isinstance(proof, Incomplete):
        hold = Hold(Guard.COMPLETENESS, delivery.source, proof.observed, proof.limit, delivery.source)
        return _held(parts, delivery, reading, hold, proof.reasons)
    with parts.database.reading() as connection:
        staging.resolve_references(connection, delivery.source)
        staging.keep_readded(connection)
        staging.keep_last(connection)
    return _merge(parts, delivery, reading, proof, held)


def apply_delta(parts: Parts, delivery: Delivery, reading: Reading, held: Lease) -> Judgement:
    """Judge a staged delta and make it part of the snapshot, or leave everything as it was."""
    if reasons := (*delivery.problems, *reading.unread, *missing_parts(delivery)):
        hold = Hold(Guard.COMPLETENESS, delivery.source, float(len(reasons)), 0.0, delivery.source)
        return _held(parts, delivery, reading, hold, reasons)
    with parts.database.reading() as connection:
        earlier = runs.held_before(connection, delivery)
        applied = runs.source_state(connection, delivery.source).applied_date
    if earlier is not None:
        reason = Problem(
            Where(delivery.id),
            "gap",
            f"comes after {earlier}, which is held and missing between. Ask the academy for {earlier} in good order, "
            "or for a complete delivery",
        )
        return _held(parts, delivery, reading, Hold(Guard.GAP, delivery.source, 1.0, 0.0, delivery.source), (reason,))
    promised = parts.sources[delivery.source].delivers
    if applied is not None and (missed := promised_between(applied, delivery.date, promised)):
        reason = Problem(
            Where(delivery.id),
            "gap",
            f"{delivery.source} is applied up to {applied.isoformat()}, and nothing came for "
            f"{', '.join(day.isoformat() for day in missed[:5])}. Ask the academy for a complete delivery",
        )
        hold = Hold(Guard.GAP, delivery.source, float(len(missed)), 0.0, delivery.source)
        return _held(parts, delivery, reading, hold, (reason,))
    limit = parts.limits.unknown_keys
    if limit.exceeded(reading.unknown, reading.requests):
        share = reading.unknown / reading.requests
        reason = Problem(
            Where(delivery.id),
            "unknown-keys",
            f"{reading.unknown} of {reading.requests} modify and delete requests are about keys never delivered "
            f"({share:.1%}, limit {limit.share:.1%} and {limit.count}): an earlier delta is missing. "
            "Ask the academy for a complete delivery",
        )
        return _held(
            parts, delivery, reading, Hold(Guard.GAP, delivery.source, share, limit.share, delivery.source), (reason,)
        )
    with parts.database.reading() as connection:
        staging.keep_last(connection)
    return _merge(parts, delivery, reading, None, held)


def _held(parts: Parts, delivery: Delivery, reading: Reading, hold: Hold, reasons: Sequence[Problem]) -> Judgement:
    with parts.database.transaction() as connection:
        runs.judged(connection, delivery, "held", reasons, reading.counts, parts.now(), hold.guard.value)
    return Judgement(applied=False, hold=hold, reasons=tuple(reasons))


def _merge(parts: Parts, delivery: Delivery, reading: Reading, proof: Complete | None, held: Lease) -> Judgement:
    """One transaction: the snapshot, the marks, the quarantine and the cursor."""
    files = {ordinal: part.file for ordinal, part in enumerate(delivery.parts)}
    left_on = min(delivery.date, parts.today)
    with parts.database.transaction() as connection:
        lease.renew(connection, held, parts.now())
        unusable = staging.clashes(connection, delivery.source, delta=not delivery.complete)
        staging.set_aside(connection, unusable)
        unclear = snapshot.correlate(connection, delivery.source)
        staging.set_aside(connection, unclear)
        aside = list(reading.aside)
        for clash in (*unusable, *unclear):
            id_ = quarantine_id(delivery.source, clash.population, clash.key, clash.rule)
            aside.append(
                Quarantined(
                    id_,
                    delivery.source,
                    clash.population,
                    clash.key,
                    clash.rule,
                    files[clash.ordinal],
                    clash.line,
                    _CLASHES[clash.rule],
                    None,
                    delivery.id,
                )
            )
        snapshot.merge(connection, delivery.source, delivery=delivery.id, left_on=left_on, proof=proof)
        for pupil, guardian in snapshot.dangling_links(connection, delivery.source, staged_only=not delivery.complete):
            id_ = quarantine_id(delivery.source, Population.GUARDIAN, f"{pupil}|{guardian}", runs.LINK_TO_NOBODY)
            aside.append(
                Quarantined(
                    id_,
                    delivery.source,
                    Population.GUARDIAN,
                    guardian,
                    runs.LINK_TO_NOBODY,
                    delivery.id,
                    None,
                    _LINK_TO_NOBODY,
                    None,
                    delivery.id,
                )
            )
        runs.quarantine(connection, aside, parts.now())
        runs.release_quarantine(connection, delivery.source, delivery=delivery.id, complete=delivery.complete)
        runs.applied(connection, delivery, reading.counts, parts.policy.wanted_digest, parts.now())
        if reading.cursor is not None:
            runs.move_cursor(connection, delivery.source, reading.cursor)
        now = parts.now()
        began = now if delivery.live else dt.datetime.combine(left_on, dt.time(), now.tzinfo)
        changed = reading.changed or began
        for target in parts.target_names:
            mark_touched(connection, target, changed)
    return Judgement(applied=True, aside=len({each.id for each in aside}))


_CLASHES = {
    "duplicate-key": "has the key of an earlier record of the same kind, which counts; ask the academy to correct it",
    "key-in-two-populations": "has the key of a record of another kind: neither is used; ask the academy to correct it",
    "two-candidates": "answers to two persons who are known, and is merged with neither; ask the academy who it is",
}
_LINK_TO_NOBODY = (
    "a pupil names a guardian whom the source does not deliver: the pupil is used, the link is not; "
    "ask the academy for the guardian"
)
