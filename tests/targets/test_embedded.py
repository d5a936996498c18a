import sqlite3
import stat
import traceback
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from ent_sync.core.entry import EntryId, Guardianship, Membership
from ent_sync.core.errors import UnavailableError
from ent_sync.core.plan import Create, Update
from ent_sync.core.relations import Role
from ent_sync.ports import TargetContext
from ent_sync.targets.embedded import EmbeddedTarget
from ports.target_contract import (
    CLASS,
    EVERYBODY,
    GUARDIAN,
    MULTIPLE,
    OTHER_CLASS,
    PUPIL,
    SINGLE,
    TEACHER,
    UAI,
    TargetContract,
    active,
    contents,
    delete,
    fill,
    suspend,
)


def embedded(folder, single=SINGLE, multiple=MULTIPLE):
    section = EmbeddedTarget.Settings(name="ent", format="embedded", path=Path("ent.sqlite"))
    return EmbeddedTarget(section, TargetContext(folder, single, multiple, folder))


@pytest.fixture
def target(tmp_path):
    with closing(embedded(tmp_path)) as opened:
        yield opened


@pytest.fixture
def file(tmp_path):
    return tmp_path / "ent.sqlite"


@pytest.fixture
def rows(file):
    """What an ENT reads: the answer to a query, over a connection of its own."""

    def ask(query):
        with closing(sqlite3.connect(file)) as reader:
            return reader.execute(query).fetchall()

    return ask


class TestEmbeddedTarget(TargetContract):
    @pytest.fixture
    def target(self, tmp_path):
        with closing(embedded(tmp_path)) as opened:
            yield opened


def test_accounts_have_the_columns_of_the_contract_and_one_for_each_single_attribute(target, file):
    fill(target)

    with closing(sqlite3.connect(file)) as reader:
        columns = [column[0] for column in reader.execute("SELECT * FROM accounts").description]

    assert columns == [
        "account",
        "population",
        "profile",
        "status",
        "source_key",
        "family_name",
        "given_name",
        "birth_date",
        "mail",
    ]


def test_the_accounts_view_shows_each_account(target, rows):
    fill(target)
    list(target.push([suspend(TEACHER)]))

    found = rows("SELECT * FROM accounts ORDER BY account")

    assert found == [
        ("guardian-1", "guardian", "National_TUT", "active", "LILLE$200", "D'Essai", "Ève", None, "eve@example.org"),
        ("pupil-1", "pupil", "National_ELV", "active", "LILLE$100", "D'Essai", "Zoé", "2013-02-28", None),
        ("staff-1", "staff", None, "suspended", "LILLE$300", "Preuve", "Max", None, None),
    ]


def test_the_structures_view_shows_each_school(target, rows):
    fill(target)

    assert rows("SELECT uai, name, source_key FROM structures") == [("0590001A", "Collège des Essais", "LILLE$1")]


def test_the_groups_view_shows_each_group(target, rows):
    fill(target)

    assert rows("SELECT group_id, uai, kind, code, name FROM groups ORDER BY group_id") == [
        ("0590001A$class$6A", "0590001A", "class", "6A", "Sixième A"),
        ("0590001A$class$6B", "0590001A", "class", "6B", "Sixième B"),
    ]


def test_the_members_view_shows_each_member_with_the_role(target, rows):
    fill(target)

    assert rows("SELECT group_id, account, role FROM members ORDER BY group_id, account") == [
        ("0590001A$class$6A", "pupil-1", "pupil"),
        ("0590001A$class$6A", "staff-1", "head_teacher"),
        ("0590001A$class$6B", "staff-1", "teacher"),
    ]


def test_a_head_teacher_who_also_teaches_the_class_is_one_member(target, rows):
    both = (Membership(CLASS, Role.HEAD_TEACHER), Membership(CLASS, Role.TEACHER))

    fill(target, [replace(TEACHER, memberships=both)])

    assert rows("SELECT group_id, account, role FROM members") == [("0590001A$class$6A", "staff-1", "head_teacher")]


def test_the_affiliations_view_shows_functions_of_staff_only(target, rows):
    fill(target)

    assert rows("SELECT account, uai, function FROM affiliations ORDER BY account, function") == [
        ("pupil-1", "0590001A", None),
        ("staff-1", "0590001A", "DOC"),
        ("staff-1", "0590001A", "ENS"),
    ]


def test_the_guardianships_view_tells_legal_from_in_charge(target, rows):
    in_charge = replace(GUARDIAN, id=EntryId("guardian-2"), guardianships=(Guardianship(PUPIL.id, legal=False),))

    fill(target, [PUPIL, GUARDIAN, in_charge])

    assert rows("SELECT guardian, pupil, legal FROM guardianships ORDER BY guardian") == [
        ("guardian-1", "pupil-1", 1),
        ("guardian-2", "pupil-1", 0),
    ]


def test_the_values_of_an_attribute_with_several_are_rows(target, rows):
    fill(target)

    assert rows("SELECT account, attribute, value FROM attribute_values ORDER BY value") == [
        ("staff-1", "subjects", "Maths"),
        ("staff-1", "subjects", "Physique"),
    ]


def test_a_deleted_account_is_in_no_view(target, rows):
    fill(target, [TEACHER])

    list(target.push([delete(TEACHER)]))

    views = ("accounts", "members", "affiliations", "guardianships", "attribute_values")
    assert [rows(f"SELECT count(*) FROM {view}") for view in views] == [[(0,)]] * 5


def test_the_relations_of_a_deleted_account_do_not_come_to_the_next_one(target):
    bare = replace(PUPIL, affiliations=(), memberships=())
    fill(target, [TEACHER])
    list(target.push([delete(TEACHER)]))

    fill(target, [bare])

    assert contents(target) == [active(bare)]


def test_a_label_of_a_membership_is_kept(target):
    labelled = replace(PUPIL, memberships=(Membership(OTHER_CLASS, Role.PUPIL, "CE1 de la rue"),))

    fill(target, [labelled])

    assert contents(target) == [active(labelled)]


def test_the_columns_follow_the_released_attributes(target, tmp_path, rows):
    fill(target, [PUPIL])
    target.close()

    with closing(embedded(tmp_path, single=("order", "given_name"), multiple=())) as narrowed:
        narrowed.check()

    (found,) = rows('SELECT *, "order" IS NULL FROM accounts')
    assert found == ("pupil-1", "pupil", "National_ELV", "active", "LILLE$100", "D'Essai", "Zoé", None, 1)


def test_an_attribute_named_like_a_column_of_the_contract_adds_none(tmp_path, rows):
    with closing(embedded(tmp_path, single=("profile", "status", "family_name"))) as opened:
        fill(opened, [PUPIL])

    assert rows("SELECT * FROM accounts") == [
        ("pupil-1", "pupil", "National_ELV", "active", "LILLE$100", "D'Essai", "Zoé")
    ]


@pytest.mark.parametrize("name", ["Mail", "mail'", "", "1st", 'm"ail', "mail\n"])
def test_a_name_that_is_no_attribute_name_never_becomes_sql(tmp_path, name):
    with pytest.raises(ValueError, match="attribute name"):
        embedded(tmp_path, single=(name,))


def test_an_ent_reads_the_state_before_while_a_batch_is_written(target, file, tmp_path):
    fill(target)

    with closing(sqlite3.connect(file, isolation_level=None)) as writer, closing(sqlite3.connect(file)) as reader:
        writer.execute("BEGIN IMMEDIATE")
        writer.execute("DELETE FROM stored_account")
        seen = reader.execute("SELECT count(*) FROM accounts").fetchone()
        writer.execute("ROLLBACK")

    assert seen == (3,)


def test_a_batch_is_written_while_an_ent_reads(target, file, rows):
    fill(target, [PUPIL])

    with closing(sqlite3.connect(file, isolation_level=None)) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM accounts").fetchall()
        fill(target)

    assert rows("SELECT count(*) FROM accounts") == [(3,)]


def test_a_failure_in_the_middle_leaves_nothing_of_the_batch(target, file):
    fill(target, [PUPIL])
    with closing(sqlite3.connect(file)) as breaker:
        breaker.execute(
            "CREATE TRIGGER refuse BEFORE INSERT ON stored_guardianship BEGIN SELECT raise(ABORT, 'no'); END"
        )

    with pytest.raises(UnavailableError):
        target.push([Create(entry) for entry in EVERYBODY])

    assert contents(target) == [active(PUPIL)]


@pytest.mark.parametrize("name", ["Inventé", "\ud800"], ids=["refused by a constraint", "not Unicode"])
def test_a_failure_names_nobody(target, file, name):
    target.check()
    with closing(sqlite3.connect(file)) as breaker:
        breaker.execute("CREATE TRIGGER refuse BEFORE INSERT ON stored_account BEGIN SELECT raise(ABORT, 'no'); END")

    with pytest.raises(UnavailableError) as caught:
        target.push([Create(replace(PUPIL, attributes={"family_name": (name,)}))])

    told = "".join(traceback.format_exception(caught.value)).encode(errors="backslashreplace")
    assert (name.encode(errors="backslashreplace") in told, b"During handling" in told) == (False, False)


def test_a_deleted_name_is_nowhere_in_the_files(target, tmp_path):
    fill(target)

    list(target.push([delete(TEACHER)]))
    target.close()

    kept = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    assert (b"Zo\xc3\xa9" in kept, b"Preuve" in kept) == (True, False)


def test_a_name_that_left_is_nowhere_in_the_files_while_an_ent_has_them_open(target, tmp_path, file):
    fill(target)

    with closing(sqlite3.connect(file)) as reader:
        reader.execute("SELECT count(*) FROM accounts").fetchall()
        list(target.push([Update(replace(TEACHER, attributes={"family_name": ("Autre",)}), ("family_name",))]))
        target.close()
        kept = b"".join(path.read_bytes() for path in tmp_path.iterdir())

    assert (b"Autre" in kept, b"Preuve" in kept) == (True, False)


def test_the_files_are_ours_alone(target, tmp_path):
    fill(target)

    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()}

    assert modes == {"ent.sqlite": 0o600, "ent.sqlite-wal": 0o600, "ent.sqlite-shm": 0o600}


def test_a_mode_that_an_operator_gave_stays(target, file):
    target.check()
    target.close()
    file.chmod(0o640)

    target.check()

    assert stat.S_IMODE(file.stat().st_mode) == 0o640


def test_what_was_acknowledged_is_there_for_the_next_process(target, tmp_path):
    fill(target)

    with closing(embedded(tmp_path)) as other:
        found = list(other.read_back([PUPIL.id]))

    assert found == [active(PUPIL)]


def test_a_file_that_was_taken_away_is_noticed(target, file, rows):
    fill(target)
    for path in file.parent.iterdir():
        path.unlink()

    fill(target, [PUPIL])

    assert rows("SELECT account FROM accounts") == [("pupil-1",)]


def test_reading_back_more_than_a_page_gives_each_entry_once(target):
    many = [replace(PUPIL, id=EntryId(f"pupil-{number:04}")) for number in range(2_500)]
    fill(target, many)

    found = [held.entry.id for held in target.read_back(None)]

    assert found == [entry.id for entry in many]


def test_asking_for_more_than_a_page_gives_each_entry_once(target):
    many = [replace(PUPIL, id=EntryId(f"pupil-{number:04}")) for number in range(2_500)]
    fill(target, many)

    found = [held.entry.id for held in target.read_back([entry.id for entry in reversed(many)])]

    assert found == [entry.id for entry in many]


def test_a_folder_that_does_not_exist_is_unavailable(tmp_path):
    target = embedded(tmp_path / "nowhere")

    with pytest.raises(UnavailableError, match="folder"):
        target.check()


def test_a_path_that_is_a_folder_is_unavailable(tmp_path, file):
    file.mkdir()

    with pytest.raises(UnavailableError, match="opened"):
        embedded(tmp_path).check()


def spoil_with_text(file):
    file.write_bytes(b"surely not a database, " * 100)


def spoil_with_another_program(file):
    with closing(sqlite3.connect(file)) as other:
        other.execute("CREATE TABLE recipes (name TEXT)")


def spoil_with_another_version(file):
    with closing(embedded(file.parent)) as ours:
        ours.check()
    with closing(sqlite3.connect(file)) as other:
        other.execute("PRAGMA user_version = 99")


SPOILED = pytest.mark.parametrize(
    ("spoil", "rule"),
    [
        (spoil_with_text, "damaged"),
        (spoil_with_another_program, "not-a-directory"),
        (spoil_with_another_version, "schema-version"),
    ],
)


@SPOILED
def test_a_file_we_may_not_write_is_a_problem(target, file, spoil, rule):
    spoil(file)

    (problem,) = target.check()

    assert (problem.where.file, problem.rule) == (str(file), rule)


@SPOILED
def test_a_file_we_may_not_write_takes_no_push(target, file, spoil, rule):
    spoil(file)

    with pytest.raises(UnavailableError):
        target.push([Create(PUPIL)])


def test_members_of_a_group_are_found_by_an_index(target, rows):
    target.check()

    plan = rows(f"EXPLAIN QUERY PLAN SELECT account FROM members WHERE group_id = '{CLASS}'")

    assert any("membership_by_group" in step[3] for step in plan)


def test_guardians_of_a_pupil_are_found_by_an_index(target, rows):
    target.check()

    plan = rows("EXPLAIN QUERY PLAN SELECT guardian FROM guardianships WHERE pupil = 'pupil-1'")

    assert any("guardianship_by_pupil" in step[3] for step in plan)


def test_accounts_of_a_school_are_found_by_an_index(target, rows):
    target.check()

    plan = rows(f"EXPLAIN QUERY PLAN SELECT account FROM affiliations WHERE uai = '{UAI}'")

    assert any("affiliation_by_school" in step[3] for step in plan)
