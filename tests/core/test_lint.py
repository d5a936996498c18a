"""What may never leave cannot be configured, whatever chain of transforms is tried (gdpr.md R3, R4)."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ent_sync.config.policy import load
from ent_sync.core.errors import Where
from ent_sync.core.lint import lint
from ent_sync.core.mapping import AttributeRule
from ent_sync.core.record import Population
from ent_sync.core.transforms import NAMES, Step, make

ROOT = Path(__file__).resolve().parents[2]
TODAY = dt.date(2026, 11, 24)
POLICY = load(ROOT / "config" / "register.yaml", ROOT / "mappings", [("ent", "ent"), ("ent-ldap", "ent")], TODAY)
MAPPINGS = tuple(POLICY._decisions._mappings.values())
TARGETS = [("ent", "ent"), ("ent-ldap", "ent")]
HERE = Where("mappings/ent/pupil.yaml", 8, 3, "attributes.level")

FORBIDDEN = (
    "ENTEleveINE",
    "ENTPersonNomPatro",
    "ENTPersonAutresPrenoms",
    "ENTElevePersRelEleve",
    "ENTEleveAutoriteParentale",
    "ENTPersonAdresse",
    "ENTPersonVille",
    "ENTEleveAdresseRel",
    "ENTEleveBoursier",
    "ENTPersonSexe",
    "ENTPersonLieuNaissance",
    "ENTEleveTypeClasse",
    "ENTPersonNationalite",
    "ENTPersonNIR",
    "ENTEleveSante",
)
PARAMETERS: dict[str, object] = {
    "sub-field": 2,
    "table": {"10": "A"},
    "split": "$",
    "join": " ",
    "template": "x{0}",
}
STEPS = tuple(make(name, PARAMETERS.get(name)) for name in NAMES)
OUTSIDE = make("blur", None, {"blur": lambda values: values})
CHAINS = st.lists(st.sampled_from((*STEPS, OUTSIDE)), max_size=4).map(tuple)


def rules_broken(sources: tuple[str, ...], steps: tuple[Step, ...]) -> list[tuple[str, Where]]:
    """The problems of the shipped files when `level` of pupils is made of something else."""
    rule = AttributeRule(name="level", sources=sources, steps=steps, purpose="peda", where=HERE)
    mappings = [
        replace(each, attributes={**each.attributes, "level": rule}) if each.population is Population.PUPIL else each
        for each in MAPPINGS
    ]
    return [(each.rule, each.where) for each in lint(POLICY.register, mappings, TARGETS, TODAY)]


@pytest.mark.parametrize("source", FORBIDDEN)
@given(chain=CHAINS)
@settings(max_examples=30)
def test_no_chain_of_transforms_releases_what_may_never_leave(source: str, chain: tuple[Step, ...]) -> None:
    broken = rules_broken(("ENTEleveNivFormation", source), chain)

    assert broken
    assert {where for _, where in broken} == {HERE}


@given(chain=CHAINS)
def test_a_birth_date_leaves_through_a_generaliser_only(chain: tuple[Step, ...]) -> None:
    generalised = not {"is-adult", "year"}.isdisjoint(step.name for step in chain)

    broken = {rule for rule, _ in rules_broken(("ENTPersonDateNaissance",), chain)}

    assert broken == (set() if generalised else {"restricted"})


@given(chain=CHAINS)
def test_an_ordinary_source_stays_ordinary(chain: tuple[Step, ...]) -> None:
    assert rules_broken(("ENTEleveNivFormation", "ENTEleveNiveau"), chain) == []


def test_a_target_that_is_not_in_the_register_is_a_problem() -> None:
    problems = lint(POLICY.register, MAPPINGS, [*TARGETS, ("gar", "ent")], TODAY)

    assert [each.rule for each in problems] == ["unregistered-target"]


@pytest.mark.parametrize("name", ["nir", "numen", "health_plan", "religion", "scholarship", "password"])
def test_a_name_that_says_never_is_refused_whatever_it_is_made_of(name: str) -> None:
    grants = tuple(
        replace(grant, attribute=name) if grant.attribute == "level" else grant for grant in POLICY.register.grants
    )
    mappings = [
        replace(
            each,
            attributes={
                (name if old == "level" else old): replace(rule, name=name if old == "level" else old)
                for old, rule in each.attributes.items()
            },
        )
        for each in MAPPINGS
    ]

    problems = lint(replace(POLICY.register, grants=grants), mappings, TARGETS, TODAY)

    assert [each.rule for each in problems] == ["never", "never"]
