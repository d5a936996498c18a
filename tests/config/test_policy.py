"""The register and the mappings as files: what is shipped is valid, and every error has its place and its sentence."""

from __future__ import annotations

import datetime as dt
import shutil
from pathlib import Path

import pytest

from ent_sync.config.policy import load
from ent_sync.core.errors import BadConfigurationError, Problem
from ent_sync.core.record import Population

HERE = Path(__file__).resolve().parents[1]
ROOT = HERE.parent
DATA = HERE / "data" / "policy"
INVALID = sorted((DATA / "invalid").glob("*.yaml"))
TODAY = dt.date(2026, 11, 24)
SHIPPED = (ROOT / "config" / "register.yaml", ROOT / "mappings")


def problems_of(folder: Path) -> list[Problem]:
    with pytest.raises(BadConfigurationError) as refused:
        load(folder / "register.yaml", folder, [("ent", "ent")], TODAY)
    return list(refused.value.problems)


def copy(tmp_path: Path) -> Path:
    return shutil.copytree(DATA / "valid", tmp_path / "policy")


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


def test_the_shipped_register_and_mappings_have_no_problem() -> None:
    policy = load(*SHIPPED, [("ent", "ent"), ("ent-ldap", "ent")], TODAY)

    assert policy.released("ent") == policy.released("ent-ldap")


def test_the_shipped_register_releases_these_attributes_and_no_others() -> None:
    policy = load(*SHIPPED, [("ent", "ent")], TODAY)

    single, multiple = policy.released("ent")

    assert single == ("adult", "family_name", "given_name", "level", "mail", "mef", "mobile", "title")
    assert multiple == ()


def test_readers_let_through_only_what_some_purpose_needs() -> None:
    policy = load(*SHIPPED, [("ent", "ent")], TODAY)

    assert policy.wanted[Population.GUARDIAN] == {
        "sn",
        "ENTPersonNom",
        "givenName",
        "ENTPersonPrenom",
        "personalTitle",
        "ENTPersonCivilite",
        "mail",
        "ENTPersonMail",
        "ENTPersonMobileSMS",
    }


def test_correlation_reads_the_ine_and_the_birth_date_inside() -> None:
    policy = load(*SHIPPED, [("ent", "ent")], TODAY)

    assert policy.inside == {
        Population.PUPIL: {"ine": ("ENTEleveINE",), "birth_date": ("ENTPersonDateNaissance",)},
    }


@pytest.mark.parametrize("path", INVALID, ids=lambda path: path.stem)
def test_each_invalid_file_is_refused_with_its_place_and_sentence(path: Path, tmp_path: Path) -> None:
    """The first line of each file says what is expected, `LINE:COLUMN rule: sentence`, several parted by ` | `."""
    folder = copy(tmp_path)
    replaced = folder / ("register.yaml" if path.stem.startswith("register-") else "ent/pupil.yaml")
    shutil.copy(path, replaced)
    expected = path.read_text().splitlines()[0].removeprefix("# expect ").split(" | ")

    problems = problems_of(folder)

    assert [
        ("" if each.where.file == str(replaced) else f"{Path(each.where.file).name}:")
        + f"{each.where.line}:{each.where.column} {each.rule}: {each.message}".replace(f"{folder}/", "")
        for each in problems
    ] == expected


def test_there_is_a_file_for_each_of_the_many_ways_to_be_wrong() -> None:
    assert len(INVALID) >= 50


def test_all_files_are_judged_at_once(tmp_path: Path) -> None:
    folder = copy(tmp_path)
    edit(folder / "register.yaml", "clock: k-acc", "clock: k-ever")
    edit(folder / "ent" / "pupil.yaml", "required: true", "required: maybe")

    problems = problems_of(folder)

    assert [Path(each.where.file).name for each in problems] == ["register.yaml", "pupil.yaml"]


def test_a_lacking_register_is_an_error(tmp_path: Path) -> None:
    folder = copy(tmp_path)
    (folder / "register.yaml").unlink()

    problems = problems_of(folder)

    assert [each.rule for each in problems] == ["unreadable"]


def test_a_profile_without_mapping_files_is_an_error(tmp_path: Path) -> None:
    folder = copy(tmp_path)
    shutil.rmtree(folder / "ent")

    problems = problems_of(folder)

    assert [each.rule for each in problems] == ["no-mapping"]


def test_a_problem_never_quotes_what_was_written(tmp_path: Path) -> None:
    folder = copy(tmp_path)
    edit(folder / "register.yaml", "clock: k-acc", "clock: hunter2")
    edit(folder / "ent" / "pupil.yaml", "[trim]", "[{table: {hunter2: [hunter2]}}, hunter2]")

    problems = problems_of(folder)

    assert len(problems) == 3
    assert not any("hunter2" in str(each) for each in problems)


def test_an_outside_transform_is_used_by_its_name(tmp_path: Path) -> None:
    folder = copy(tmp_path)
    edit(folder / "ent" / "pupil.yaml", "[trim]", "[shout]")

    policy = load(
        folder / "register.yaml",
        folder,
        [("ent", "ent")],
        TODAY,
        transforms={"shout": lambda values: tuple(value.upper() for value in values)},
    )

    assert policy.released("ent") == (("adult", "family_name"), ())


def test_a_signed_restriction_is_valid(tmp_path: Path) -> None:
    folder = copy(tmp_path)
    edit(folder / "ent" / "pupil.yaml", "transforms: [is-adult]", "transforms: [date]")
    signature = "why_not_less: homonyms, signed_by: DPO, signed_on: 2026-09-01, expires: 2027-09-30"
    register = (folder / "register.yaml").read_text()
    line = next(each for each in register.splitlines() if each.startswith("  adult:"))
    edit(folder / "register.yaml", line, line.replace("clock:", f"class: restricted, {signature}, clock:"))

    policy = load(folder / "register.yaml", folder, [("ent", "ent")], TODAY)

    assert policy.released("ent") == (("adult", "family_name"), ())


def digest(folder: Path) -> str:
    return load(folder / "register.yaml", folder, [("ent", "ent")], TODAY).digest


def test_a_comment_does_not_change_the_digest(tmp_path: Path) -> None:
    folder = copy(tmp_path)
    before = digest(folder)
    edit(folder / "register.yaml", "# The smallest", "# Another\n\n# The smallest")
    edit(folder / "register.yaml", "fr: Comptes", "fr: Les comptes")

    assert digest(folder) == before


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [
        ("ent/pupil.yaml", "[trim]", "[trim, upper]"),
        ("ent/pupil.yaml", "[sn, ENTPersonNom]", "[ENTPersonNom, sn]"),
        ("ent/pupil.yaml", ", required: true", ""),
        ("ent/pupil.yaml", "required: true", "required: true, multiple: true"),
        ("register.yaml", "k-acc}\n  adult", "k-acc, code: true}\n  adult"),
        ("register.yaml", "retention:", "guardians: {in_charge: true}\nretention:"),
    ],
)
def test_whatever_may_change_a_release_changes_the_digest(file: str, old: str, new: str, tmp_path: Path) -> None:
    folder = copy(tmp_path)
    before = digest(folder)
    edit(folder / file, old, new)

    assert digest(folder) != before
