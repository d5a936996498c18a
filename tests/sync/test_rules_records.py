"""Rules 5 and 6 of the contract: records that cannot be used, and what a run counts."""

import pytest

from delivering import CONTACT, LEGAL, FileKind, changed, guardian, pupil, school, staff, village, without
from sync.installed import applied, changes

# -- rule 5 ------------------------------------------------------------------------------------------------------------


def spoil(folder, kind, old, new):
    """Change some bytes of the one file of a kind."""
    (path,) = folder.glob(f"*_{kind}_0000.xml")
    content = path.read_bytes()
    assert content.count(old) >= 1
    path.write_bytes(content.replace(old, new, 1))


def test_a_record_without_a_family_name_is_set_aside_and_the_rest_goes_on(here):
    result = here.synced(1, [*village(), pupil("500").but(sn="")])

    assert (result.outcome, result.outcome.exit_code, result.quarantined) == ("partial", 3, 1)
    assert here.quarantine() == [("required", "LILLE$500")]
    assert len(here.accounts()) == 7


def test_a_bad_record_of_a_known_person_makes_nobody_absent(here):
    here.synced(1, village())

    result = here.synced(2, changed(village(), pupil("100").but(sn="")))

    assert (changes(result), here.status("LILLE$100")) == ({}, "active")


def test_a_record_without_a_key_holds_the_absences_of_its_population_and_of_no_other(here):
    here.synced(1, village(40))
    folder = here.complete(2, [*without(village(40), "101", "9"), staff("10")])
    spoil(folder, FileKind.PUPILS, b"<id>100</id>", b"<id></id>")

    result = here.sync()

    assert result.outcome == "partial"
    assert [rule for rule, _ in here.quarantine()] == ["no-key"]
    assert (here.status("LILLE$100"), here.status("LILLE$101"), here.status("LILLE$9")) == (
        "active",
        "active",
        "suspended",
    )


def test_of_two_records_with_one_key_the_first_counts(here):
    twice = [
        pupil("500", family="UN", guardians={"100100": LEGAL}),
        pupil("500", family="DEUX", guardians={"100100": LEGAL}),
    ]

    result = here.synced(1, [*village(), *twice])

    assert (result.outcome, here.quarantine()) == ("partial", [("duplicate-key", "LILLE$500")])
    assert here.ask("SELECT family_name FROM accounts WHERE source_key = 'LILLE$500'") == [("UN",)]


def test_of_two_records_with_one_key_the_first_counts_when_only_the_second_is_new(here):
    here.synced(1, village())

    here.synced(2, [*village(), pupil("100", family="DEUX", guardians={"100100": CONTACT})])

    assert here.ask("SELECT family_name FROM accounts WHERE source_key = 'LILLE$100'") == [("FAMILLE-100",)]
    assert here.status("LILLE$100100") == "active"


def test_one_key_in_two_populations_is_used_in_neither(here):
    result = here.synced(1, [*village(), pupil("500"), staff("500")])

    assert (result.outcome, result.quarantined) == ("partial", 2)
    assert here.quarantine() == [("key-in-two-populations", "LILLE$500")] * 2
    assert here.status("LILLE$500") is None


def test_a_known_person_whose_key_comes_in_a_second_population_stays(here):
    here.synced(1, village())

    here.synced(2, [*village(), staff("100")])

    assert here.accounts("source_key, population, status")[0] == ("LILLE$100", "pupil", "active")
    assert len(here.accounts()) == 7


def test_a_key_of_a_school_may_be_the_key_of_a_person(here):
    assert here.synced(1, [*village(), pupil("1")]).outcome == "done"


def test_a_link_to_nobody_is_set_aside_and_the_pupil_is_not(here):
    people = village(60)

    result = here.synced(1, [*people, pupil("500", guardians={"777": LEGAL})])

    assert (result.outcome, here.quarantine()) == ("partial", [("link-to-nobody", "LILLE$777")])
    assert here.status("LILLE$500") == "active"


def test_the_guardian_who_comes_later_heals_the_link(here):
    here.synced(1, [*village(60), pupil("500", guardians={"777": LEGAL})])
    here.delta(2, add=[guardian("777")])

    result = here.sync()

    assert (result.outcome, here.quarantine()) == ("done", [])
    assert here.ask("SELECT pupil, legal FROM guardianships WHERE guardian = ?", here.account("LILLE$777")) == [
        (here.account("LILLE$500"), 1)
    ]


def test_a_pupil_who_does_not_name_the_guardian_any_more_heals_the_link(here):
    here.synced(1, [*village(60), pupil("500", guardians={"777": LEGAL})])
    here.delta(2, modify=[pupil("500").but(ENTElevePersRelEleve="")])

    here.sync()

    assert here.quarantine() == []


def test_a_pupil_who_leaves_takes_the_link_to_nobody_along(here):
    here.synced(1, [*village(60), pupil("500", guardians={"777": LEGAL})])
    here.delta(2, delete=[pupil("500")])

    here.sync()

    assert here.quarantine() == []


@pytest.mark.parametrize("complete", [True, False], ids=["complete", "delta"])
def test_a_record_in_order_leaves_the_quarantine(here, complete):
    here.synced(1, [*village(), pupil("500").but(sn="")])
    if complete:
        here.complete(2, [*village(), pupil("500")])
    else:
        here.delta(2, modify=[pupil("500")])

    result = here.sync()

    assert (result.outcome, here.quarantine()) == ("done", [])
    assert here.status("LILLE$500") == "active"


def test_the_same_bad_record_again_is_one_row_in_the_quarantine(here):
    here.synced(1, [*village(), pupil("500").but(sn="")])

    result = here.synced(2, [*village(), pupil("500").but(sn="")])

    assert (result.quarantined, len(here.quarantine())) == (1, 1)


def test_a_record_of_another_kind_than_its_file_is_set_aside(here):
    folder = here.complete(1, village())
    spoil(folder, FileKind.PUPILS, b"<value>Eleve</value>", b"<value>PersEducNat</value>")

    here.sync()

    assert here.quarantine() == [("category", "LILLE$100")]


def test_a_record_whose_jointure_is_not_its_id_is_set_aside(here):
    here.synced(1, [*village(), pupil("500").but(ENTPersonJointure="501")])

    assert here.quarantine() == [("key-mismatch", "LILLE$500")]


def test_a_structure_without_uai_is_set_aside_and_its_people_stay(here):
    result = here.synced(1, [*village(), school("2", uai="")])

    assert (result.outcome, here.quarantine()) == ("partial", [("required", "LILLE$2")])
    assert len(here.accounts()) == 7


def test_someone_set_aside_by_the_mapping_keeps_account_and_groups(here):
    """A name that looks like a national number is refused when it is mapped, not when it is read."""
    alone = pupil("500", classes=["6Z"])
    here.synced(1, [*village(), alone])
    before = here.views()

    here.synced(2, [*village(), alone.but(sn="123456789AB", ENTEleveINE="")])

    assert here.quarantine() == [("required", "LILLE$500")]
    assert here.views() == before


# -- rule 6 ------------------------------------------------------------------------------------------------------------


def test_a_change_of_class_is_an_update_of_that_account(here):
    here.synced(1, village())

    result = here.synced(2, changed(village(), pupil("100", classes=["6B"], guardians={"100100": LEGAL})))

    assert applied(result) == {"update": 1}


def test_a_change_of_functions_is_an_update_of_that_account(here):
    here.synced(1, village())

    result = here.synced(2, changed(village(), staff("9", functions=[("1", "ENS"), ("1", "DOC")], classes=["1$6A"])))

    assert applied(result) == {"update": 1}
    assert here.ask("SELECT function FROM affiliations WHERE function IS NOT NULL ORDER BY 1") == [("DOC",), ("ENS",)]


def test_a_new_guardianship_is_an_update_of_the_guardian(here):
    here.synced(1, village())

    result = here.synced(2, changed(village(), pupil("100", guardians={"100100": LEGAL, "100101": LEGAL})))

    assert applied(result) == {"update": 1}
    assert len(here.ask("SELECT * FROM guardianships WHERE guardian = ?", here.account("LILLE$100101"))) == 2


def test_structures_and_groups_are_not_counted(here):
    here.synced(1, village())

    result = here.synced(2, [*changed(village(), school(classes=["6A$Sixième A"])), school("2", uai="0590002B")])

    assert (changes(result), len(here.ask("SELECT * FROM structures"))) == ({}, 2)
    assert here.ask("SELECT name FROM groups WHERE code = '6A'") == [("Sixième A",)]


def test_what_was_read_is_counted_by_population(here):
    result = here.synced(1, village())

    assert {str(each): count for each, count in result.sources[0].read.items()} == {
        "pupil": 3,
        "guardian": 3,
        "staff": 1,
        "school": 1,
    }


def test_a_group_whose_last_member_left_is_gone(here):
    here.synced(1, [*village(), pupil("500", classes=["6Z"])])

    here.synced(2, changed([*village(), pupil("500")]))

    assert here.ask("SELECT code FROM groups WHERE kind = 'class'") == [("6A",)]


def test_a_structure_that_nobody_delivers_any_more_is_gone(here):
    schools = [school(str(n), uai=f"05900{n:02}A", name=f"CLG${n}$LILLE") for n in range(2, 14)]
    here.synced(1, [*village(), *schools])

    here.synced(2, [*village(), *schools[1:]])

    assert len(here.ask("SELECT * FROM structures")) == 12
