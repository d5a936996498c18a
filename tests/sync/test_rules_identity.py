"""Rules 7 to 9 of the contract: who is whom, and who has an account."""

import pytest

from delivering import (
    CONTACT,
    IN_CHARGE,
    LEGAL,
    SELF,
    changed,
    guardian,
    guardian_1d,
    pupil,
    pupil_1d,
    school,
    staff,
    village,
    without,
)
from sync.installed import Installation, applied, changes

INE = "123456789AB"

# -- rule 7: identity --------------------------------------------------------------------------------------------------


def test_an_account_keeps_its_identifier_through_names_and_schools(here):
    people = [*village(), school("2", uai="0590002B"), pupil("500")]
    here.synced(1, people)
    before = here.account("LILLE$500")

    here.synced(2, changed(people, pupil("500", family="MARIEE", school="2")))

    assert here.account("LILLE$500") == before


def test_an_account_keeps_its_identifier_through_suspension(here):
    here.synced(1, village(40))
    before = here.account("LILLE$100")
    here.synced(2, without(village(40), "100"))

    result = here.synced(3, village(40))

    assert applied(result) == {"restore": 2}  # the pupil, and the guardian who had nobody else
    assert here.account("LILLE$100") == before


def test_two_installations_with_the_same_keys_give_the_same_identifiers(here, tmp_path):
    other = Installation(tmp_path / "other")

    here.synced(1, village())
    other.synced(3, village())

    assert here.views() == other.views()


def test_another_key_gives_other_identifiers(here, tmp_path):
    other = Installation(tmp_path / "other")
    (other.folder / "keys").write_text("a7" * 32)

    here.synced(1, village())
    other.synced(1, village())

    assert not {row[0] for row in here.accounts("account, status")} & {
        row[0] for row in other.accounts("account, status")
    }


def test_a_key_that_names_its_academy_is_written_without_ac(here):
    here.synced(1, [*village(), pupil("AC-LILLE$500", guardians={"AC-LILLE$100100": LEGAL})])

    assert here.status("LILLE$500") == "active"
    assert len(here.ask("SELECT * FROM guardianships WHERE guardian = ?", here.account("LILLE$100100"))) == 2


def test_a_pupil_in_both_academies_is_one_account_under_the_key_of_the_first_source(region):
    region.complete(1, [*village(), pupil("500", ine=INE)], "lille-2d")
    region.complete(1, [*village(), pupil("600", ine=INE, classes=["6B"])], "amiens-2d")

    region.sync()

    assert (region.status("LILLE$500"), region.status("AMIENS$600")) == ("active", None)


@pytest.fixture
def moved(region):
    """A pupil of Lille who is delivered by Amiens too."""
    region.complete(1, [*village(40), pupil("500", ine=INE)], "lille-2d")
    region.complete(1, village(40), "amiens-2d")
    region.sync()
    region.before = region.account("LILLE$500")
    return region


def test_a_pupil_who_moves_in_one_night_keeps_the_account_and_has_the_new_key(moved):
    moved.complete(2, village(40), "lille-2d")
    moved.complete(2, [*village(40), pupil("600", ine=INE)], "amiens-2d")

    moved.sync()

    assert moved.account("AMIENS$600") == moved.before
    assert (moved.status("AMIENS$600"), moved.status("LILLE$500")) == ("active", None)


def test_a_pupil_who_arrives_before_leaving_keeps_the_account(moved):
    moved.complete(2, [*village(40), pupil("600", ine=INE)], "amiens-2d")
    moved.sync()
    moved.complete(3, village(40), "lille-2d")

    result = moved.sync()

    assert applied(result) == {"update": 1}
    assert moved.account("AMIENS$600") == moved.before


def test_a_pupil_who_arrives_long_after_leaving_keeps_the_account(moved):
    moved.complete(2, village(40), "lille-2d")
    moved.sync()
    assert moved.status("LILLE$500") == "suspended"
    moved.complete(5, [*village(40), pupil("600", ine=INE)], "amiens-2d")

    result = moved.sync()

    assert applied(result) == {"restore": 1}
    assert moved.account("AMIENS$600") == moved.before


def test_one_ine_with_another_birth_date_is_another_pupil(moved):
    moved.complete(2, [*village(40), pupil("600", ine=INE, birth="09/09/2012")], "amiens-2d")

    moved.sync()

    assert moved.account("AMIENS$600") != moved.before


def test_a_pupil_whose_number_was_taken_back_is_not_recognised_by_it(moved):
    moved.delta(2, "lille-2d", modify=[pupil("500", ine=INE).but(ENTEleveINE="")])
    moved.sync()
    moved.complete(3, [*village(40), pupil("600", ine=INE)], "amiens-2d")

    moved.sync()

    assert moved.account("AMIENS$600") != moved.before


def test_a_pupil_whose_number_a_partial_modify_does_not_name_is_still_recognised_by_it(moved):
    moved.delta(2, "lille-2d", modify=[pupil("500", family="AUTRE").only("sn")])
    moved.sync()
    moved.complete(3, [*village(40), pupil("600", ine=INE)], "amiens-2d")
    moved.complete(3, village(40), "lille-2d")

    moved.sync()

    assert moved.account("AMIENS$600") == moved.before


def test_a_pupil_who_answers_to_two_persons_is_set_aside(region):
    """One INE with two birth dates makes two persons; a third record without a date answers to both."""
    first, second = pupil("500", ine=INE, birth="01/02/2013"), pupil("501", ine=INE, birth="09/09/2012")
    region.complete(1, [*village(40), first, second], "lille-2d")
    region.sync()
    region.complete(1, [*village(40), pupil("600", ine=INE, birth="")], "amiens-2d")

    result = region.sync()

    assert (result.outcome, region.quarantine()) == ("partial", [("two-candidates", "AMIENS$600")])
    assert region.status("AMIENS$600") is None
    assert (region.status("LILLE$500"), region.status("LILLE$501")) == ("active", "active")


def test_staff_of_both_degrees_with_one_key_are_one_account_with_all_affiliations(region):
    region.complete(1, [*village(), staff("77", functions=[("1", "ENS")])], "lille-2d")
    first_degree = [school("31", uai="0593000C"), pupil_1d("300", school="31"), guardian_1d("400")]
    region.complete(1, [*first_degree, staff("77", functions=[("31", "DIR")])], "lille-1d")

    region.sync()

    assert region.ask(
        "SELECT uai, function FROM affiliations WHERE account = ? ORDER BY 1", region.account("LILLE$77")
    ) == [
        ("0590001A", "ENS"),
        ("0593000C", "DIR"),
    ]


def test_guardians_are_not_merged_by_what_they_are_called(here):
    alike = {"family": "PAREIL", "given": "Anne", "mail": "anne@example.org"}

    here.synced(
        1,
        [
            *village(),
            guardian("55", **alike),
            guardian("56", **alike),
            pupil("500", guardians={"55": LEGAL, "56": LEGAL}),
        ],
    )

    assert here.account("LILLE$55") != here.account("LILLE$56")


def test_a_pupil_and_a_guardian_with_one_key_in_two_feeds_are_two_accounts(region):
    region.complete(1, [*village(), pupil("500")], "lille-2d")
    first_degree = [
        school("31", uai="0593000C"),
        pupil_1d("300", school="31", guardians={"500": "10"}),
        guardian_1d("500"),
    ]
    region.complete(1, [*first_degree, staff("78", functions=[("31", "ENS")])], "lille-1d")

    result = region.sync()

    assert result.outcome == "done"
    assert region.ask("SELECT population FROM accounts WHERE source_key = 'LILLE$500' ORDER BY 1") == [
        ("guardian",),
        ("pupil",),
    ]


def test_a_group_keeps_its_identifier_when_a_1d_label_changes(region):
    def first_degree(label):
        return [
            school("31", uai="0593000C"),
            pupil_1d("300", school="31", classes={"77": label}, guardians={"400": "10"}),
            guardian_1d("400"),
            staff("78", functions=[("31", "ENS")]),
        ]

    region.complete(1, first_degree("CM1 A"), "lille-1d")
    region.sync()
    region.complete(2, first_degree("CM1 B"), "lille-1d")

    region.sync()

    assert region.ask("SELECT group_id, code, name FROM groups WHERE kind = 'class'") == [
        ("0593000C$class$77", "77", "CM1 B")
    ]


# -- rule 9: who has an account ----------------------------------------------------------------------------------------


def test_a_suspended_account_keeps_names_key_and_population_and_nothing_else(here):
    parent = guardian("55", mail="x@example.org", sms="+33 6 12 34 56 78")
    people = [*village(40), pupil("500", guardians={"55": LEGAL}), parent]
    here.synced(1, people)

    here.synced(2, without(people, "500", "55"))

    columns = "source_key, population, family_name, given_name, profile, mail, mobile, title, adult, level, mef"
    assert here.ask(f"SELECT {columns} FROM accounts WHERE status = 'suspended' ORDER BY 1") == [
        ("LILLE$500", "pupil", "FAMILLE-500", "Prénom-500", None, None, None, None, None, None, None),
        ("LILLE$55", "guardian", "FAMILLE-55", "Prénom-55", None, None, None, None, None, None, None),
    ]
    gone = (here.account("LILLE$500"), here.account("LILLE$55"))
    for view, column in (
        ("members", "account"),
        ("affiliations", "account"),
        ("guardianships", "guardian"),
        ("guardianships", "pupil"),
    ):
        assert here.ask(f"SELECT * FROM {view} WHERE {column} IN (?, ?)", *gone) == []


def test_a_guardian_whose_last_pupil_left_is_suspended(here):
    here.synced(1, village(40))

    here.synced(2, without(village(40), "100"))

    assert (here.status("LILLE$100"), here.status("LILLE$100100")) == ("suspended", "suspended")


@pytest.mark.parametrize(
    ("link", "accounts"),
    [(LEGAL, 1), (IN_CHARGE, 0), (CONTACT, 0), ("1$1$1$1$1", 1), ("2$1$2$1$1", 1), ("4$0$0$1$0", 0), ("20$0$1$0$0", 1)],
    ids=["legal", "in-charge", "contact", "old-legal-1", "old-legal-2", "old-contact", "father"],
)
def test_who_is_linked_to_a_pupil_has_an_account_only_by_a_releasing_link(here, link, accounts):
    here.synced(1, [*village(), pupil("500", guardians={"55": link}), guardian("55")])

    assert len(here.ask("SELECT * FROM accounts WHERE source_key = 'LILLE$55'")) == accounts
    assert len(here.ask("SELECT * FROM guardianships")) == 3 + accounts


def test_a_person_in_charge_is_admitted_where_the_register_says_so_and_is_not_legal(here):
    here.synced(1, [*village(), pupil("500", guardians={"55": IN_CHARGE}), guardian("55")])
    here.edit("register.yaml", "in_charge: false", "in_charge: true")

    here.sync()

    assert here.ask("SELECT legal FROM guardianships WHERE guardian = ?", here.account("LILLE$55")) == [(0,)]


def test_a_person_in_charge_goes_when_the_register_does_not_say_so_any_more(here):
    here.edit("register.yaml", "in_charge: false", "in_charge: true")
    here.synced(1, [*village(), pupil("500", guardians={"55": IN_CHARGE}), guardian("55")])
    here.edit("register.yaml", "in_charge: true", "in_charge: false")

    here.sync()

    assert here.status("LILLE$55") == "suspended"


@pytest.mark.parametrize(
    ("link", "accounts"), [("10", 1), ("20", 1), ("50", 1), ("90", 0), ("39", 0), ("37", 0), ("42", 0)]
)
def test_links_of_the_first_degree_release_by_their_type(region, link, accounts):
    people = [
        school("31", uai="0593000C"),
        pupil_1d("300", school="31", guardians={"400": link}),
        guardian_1d("400"),
        staff("78", functions=[("31", "ENS")]),
    ]
    region.complete(1, people, "lille-1d")

    region.sync()

    assert len(region.ask("SELECT * FROM accounts WHERE source_key = 'LILLE$400'")) == accounts


@pytest.mark.parametrize("link", [SELF, "7$0$0$0$0"], ids=["new", "old"])
def test_a_pupils_link_to_himself_makes_no_guardian(here, link):
    result = here.synced(1, [*village(), pupil("500", guardians={"500": link})])

    assert (result.outcome, here.quarantine()) == ("done", [])
    assert here.ask("SELECT population FROM accounts WHERE source_key = 'LILLE$500'") == [("pupil",)]


def test_staff_without_a_function_have_no_account(here):
    here.synced(1, [*village(), staff("77", functions=[("1", "-")])])

    assert here.status("LILLE$77") is None


def test_staff_whose_last_function_ends_are_suspended(here):
    people = [*village(), *(staff(str(700 + n)) for n in range(40))]
    here.synced(1, people)

    here.synced(2, changed(people, staff("700", functions=[("1", "-")])))

    assert here.status("LILLE$700") == "suspended"


def test_one_function_beside_none_is_enough(here):
    here.synced(1, [*village(), staff("77", functions=[("1", "-"), ("1", "DOC")])])

    assert here.status("LILLE$77") == "active"


def test_a_head_teacher_who_teaches_the_class_is_its_head_teacher_once(here):
    here.synced(1, [*village(), staff("77", classes=["1$6A"], heads=["1$6A"])])

    assert here.ask(
        "SELECT role FROM members WHERE account = ? AND group_id LIKE '%class%'", here.account("LILLE$77")
    ) == [("head_teacher",)]


# -- rule 8, by example ------------------------------------------------------------------------------------------------


def test_an_unchanged_person_is_not_touched_when_others_change(here):
    here.synced(1, village())

    result = here.synced(2, [*village(), pupil("500")])

    assert (changes(result), result.unchanged) == ({"create": 1}, 7)
