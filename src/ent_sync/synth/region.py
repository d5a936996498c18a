"""The households of a region as a stream, with those pupils whom another academy knows too."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import chain, repeat

from ent_sync.synth.households import Household, households
from ent_sync.synth.schools import Layout, lay_out


@dataclass(frozen=True, slots=True)
class Movers:
    """A share of households (percent) whose first child is, by INE, names and birth, one of `academy`'s region.

    That region is the one of the same seed, degree and number of pupils; there the child keeps his own join key.
    """

    share: float = 0.0
    academy: str = "AMIENS"


def region(layout: Layout, movers: Movers) -> Iterator[Household]:
    """All households before anything changes."""
    if movers.share <= 0:
        yield from households(layout)
        return
    chance = layout.plan.chance("movers")
    others: Iterator[Household | None] = chain(
        households(lay_out(replace(layout.plan, academy=movers.academy))), repeat(None)
    )
    for own, other in zip(households(layout), others, strict=False):
        moves = chance.often(movers.share / 100)
        yield _moved(own, other) if moves and other is not None and other.pupils[0].ine else own


def _moved(own: Household, other: Household) -> Household:
    first, twin = own.pupils[0], other.pupils[0]
    moved = replace(first, ine=twin.ine, name=twin.name, birth=twin.birth)
    return replace(own, pupils=(moved, *own.pupils[1:]))
