"""Law 9 and gdpr.md R25 to R28: nobody is readable in what is left on the disk, nor in what is raised.

Every value of a person in these deliveries is a mark that occurs nowhere by chance; all bytes are searched for it.
"""

import sqlite3
import traceback
from contextlib import closing

import pytest

from delivering import LEGAL, changed, guardian, pupil, pupil_1d, staff, tarred, village, without, zipped
from ent_sync.core.errors import EntSyncError, StoreError
from ent_sync.observe import log
from ent_sync.store import entries
from ent_sync.sync.map import MapTask, map_entries
from ent_sync.sync.pull import open_record
from sync.installed import Installation

MARKS = {
    "family name": "QXFAMILLEZK",
    "birth name": "QXNAISSANCEZK",
    "given name": "Qxprenomzk",
    "other given name": "Qxautrezk",
    "mail": "qxcourrielzk",
    "text message phone": "612890417",
    "text message phone, written": "6 12 89 04 17",
    "home phone": "300000529",
    "INE": "739518246QX",
    "birth date": "29/02/2008",
    "birth date, ISO": "2008-02-29",
    "address": "QXADRESSEZK",
}


def marked(number):
    """A pupil, a guardian and a teacher who are nothing but marks."""
    names = {"family": f"{MARKS['family name']}{number}", "given": f"{MARKS['given name']}{number}"}
    child = pupil(f"50{number}", guardians={f"60{number}": LEGAL}, ine=MARKS["INE"], birth=MARKS["birth date"], **names)
    parent = guardian(
        f"60{number}", mail=f"{MARKS['mail']}@example.org", sms=f"+33{MARKS['text message phone']}", **names
    )
    teacher = staff(f"70{number}", mail=f"{MARKS['mail']}@example.org", **names)
    more = {
        "ENTPersonNomPatro": MARKS["birth name"],
        "ENTPersonAutresPrenoms": MARKS["other given name"],
        "ENTPersonAdresse": MARKS["address"],
        "homePhone": MARKS["home phone"],
    }
    return [each.but(**more) for each in (child, parent, teacher)]


BAD = [
    pupil("801").but(sn="", givenName=MARKS["given name"], ENTPersonNomPatro=MARKS["birth name"]),
    pupil("802", family=MARKS["family name"]).but(ENTPersonJointure=MARKS["INE"]),
    staff("803", family=MARKS["family name"]),
    staff("803", family=MARKS["family name"], given=MARKS["given name"]),
]
EVERYBODY = [*village(60), *marked(1), *BAD]


@pytest.fixture
def busy(here):
    """An installation that created, updated, set aside, suspended, restored, held and refused people of marks."""

    def sync():
        with here.opened(listeners=[log.listener]) as parts:
            here.sync(parts)

    log.configure(here.folder / "ent-sync.log", "debug")
    tarred(here.complete(1, EVERYBODY))
    sync()
    changed_one = staff("701", family=MARKS["family name"], mail=f"{MARKS['mail']}@example.net")
    here.delta(2, modify=[changed_one], delete=[marked(1)[0]])
    sync()
    zipped(here.complete(3, [*EVERYBODY, *marked(2)[1:]]))
    sync()
    here.complete(4, without(EVERYBODY, *(str(100 + n) for n in range(21))))
    sync()
    cut = here.complete(5, EVERYBODY)
    path = next(cut.glob("*_Eleve_0000.xml"))
    path.write_bytes(path.read_bytes()[:-200])
    sync()
    here.complete(3, EVERYBODY, project="TNE")
    sync()
    yield here
    log.configure(None, "info")


def found_in(data: bytes) -> list[str]:
    return [name for name, mark in MARKS.items() if any(mark.encode(code) in data for code in ("utf-8", "utf-16-le"))]


def left_behind(there):
    """Every file but those that are somebody else's: the deliveries, and the directory for the ENT."""
    spared = {there.deliveries(), there.folder / "ent.sqlite", there.folder / "ent.sqlite-wal"}
    return [
        path
        for path in there.folder.rglob("*")
        if path.is_file() and not any(each == path or each in path.parents for each in spared)
    ]


def test_the_marks_are_found_where_they_are_allowed_to_be(busy):
    """So that a search that finds nothing means something."""
    directory = b"".join(path.read_bytes() for path in busy.folder.glob("ent.sqlite*"))

    assert {"family name", "given name", "mail", "text message phone, written"} <= set(found_in(directory))


def test_nobody_is_readable_in_any_file_that_we_keep(busy):
    found = {path.name: found_in(path.read_bytes()) for path in left_behind(busy)}

    assert {"state.sqlite", "ent-sync.log"} <= found.keys()
    assert {name: marks for name, marks in found.items() if marks} == {}


def test_nobody_is_readable_in_the_write_ahead_log_of_a_run_that_is_not_finished(busy):
    busy.complete(6, [*EVERYBODY, *marked(3)])

    with busy.opened() as parts:
        busy.sync(parts)
        wal = (busy.folder / "state.sqlite-wal").read_bytes()

    assert wal
    assert found_in(wal) == []


def test_what_may_not_leave_is_not_even_sealed(busy):
    """R5: attributes that no mapping reads stay behind in the reader; the INE lives on as a keyed digest only."""
    with busy.opened() as parts, parts.database.reading() as connection:
        sealed = entries.records_of(connection, [busy.account("LILLE$501"), busy.account("LILLE$601")])
        opened = [
            repr(open_record(parts, row.source, row.population, row.key, row.sealed).values)
            for rows in sealed.values()
            for row in rows
            if row.sealed
        ]

    told = found_in("".join(opened).encode())
    assert "family name" in told
    assert {"INE", "birth name", "other given name", "home phone", "address"}.isdisjoint(told)


# -- exceptions --------------------------------------------------------------------------------------------------------


def graph(error: BaseException) -> bytes:
    """All that can be read off an exception: its text, its arguments, notes, attributes, causes, and its traceback."""
    seen, waiting, told = set(), [error], []
    while waiting:
        one = waiting.pop()
        if one is None or id(one) in seen:
            continue
        seen.add(id(one))
        told += [
            repr(one),
            str(one),
            repr(one.args),
            repr(getattr(one, "__notes__", "")),
            repr(getattr(one, "__dict__", "")),
        ]
        told += ["".join(traceback.format_exception(one))]
        waiting += [one.__cause__, one.__context__]
    return "\n".join(told).encode()


def _refuse_rows(there, database, table):
    """The database refuses every row of a table from now on, and says so with whatever it likes."""
    with closing(sqlite3.connect(there.folder / database)) as connection:
        connection.execute(f"CREATE TRIGGER no BEFORE INSERT ON {table} BEGIN SELECT raise(ABORT, 'no'); END")
        connection.commit()


FAULTS = {
    "records of the store": ("state.sqlite", "records"),
    "changes of the store": ("state.sqlite", "changes"),
    "quarantine of the store": ("state.sqlite", "quarantine"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_store_that_refuses_tells_nobody(here, name):
    here.synced(1, village())
    _refuse_rows(here, *FAULTS[name])
    here.complete(2, [*village(), *marked(1), *BAD])

    with pytest.raises(EntSyncError) as raised:
        here.sync()

    assert found_in(graph(raised.value)) == []


def test_a_directory_that_refuses_tells_nobody(here, monkeypatch):
    monkeypatch.setattr("ent_sync.sync.push._pause", lambda seconds: None)
    here.synced(1, village())
    _refuse_rows(here, "ent.sqlite", "stored_account")
    here.complete(2, [*village(), *marked(1)])

    with pytest.raises(EntSyncError) as raised:
        here.sync()

    assert found_in(graph(raised.value)) == []


def test_a_snapshot_that_was_tampered_with_tells_nobody(here):
    here.synced(1, [*village(), *marked(1)])
    with closing(sqlite3.connect(here.folder / "state.sqlite")) as connection:
        connection.execute("UPDATE records SET sealed = substr(sealed, 1, length(sealed) - 1) || x'00'")
        connection.commit()
    here.edit("register.yaml", "in_charge: false", "in_charge: true")

    with pytest.raises(StoreError) as raised:
        here.sync()

    assert found_in(graph(raised.value)) == []


# -- sealed rows cannot be swapped -------------------------------------------------------------------------------------


def swap(there, table, column, where):
    """Two sealed values change places."""
    with closing(sqlite3.connect(there.folder / "state.sqlite")) as connection:
        rows = connection.execute(f"SELECT * FROM {table} WHERE {where} ORDER BY 1, 2, 3").fetchall()
        names = [each[1] for each in connection.execute(f"PRAGMA table_info({table})")]
        keys = [each[1] for each in connection.execute(f"PRAGMA table_info({table})") if each[5]]
        one, two = (dict(zip(names, row, strict=True)) for row in (rows[0], rows[-1]))
        for row, value in ((one, two[column]), (two, one[column])):
            chosen = " AND ".join(f"{key} = ?" for key in keys)
            connection.execute(f"UPDATE {table} SET {column} = ? WHERE {chosen}", [value, *(row[key] for key in keys)])
        connection.commit()


def test_two_swapped_records_of_the_snapshot_are_refused(here):
    here.synced(1, village())
    swap(here, "records", "sealed", "population = 'pupil'")
    here.edit("register.yaml", "in_charge: false", "in_charge: true")

    with pytest.raises(StoreError, match="does not open"):
        here.sync()


def test_two_swapped_changes_of_a_held_plan_are_refused(here):
    here.synced(1, village(60))
    result = here.synced(2, without(village(60), *(str(100 + n) for n in range(21))))
    swap(here, "changes", "sealed", "status = 'held' AND kind = 'account'")

    with pytest.raises(StoreError, match="does not open"):
        here.approve(result.plan)

    assert {status for _, status in here.accounts()} == {"active"}


def test_mapping_tells_nobody_by_its_repr(here):
    """What crosses from a worker to the run, and might end in a debugger or a log."""
    here.synced(1, [*village(), *marked(1)])
    here.edit(
        "mappings/ent/pupil.yaml",
        "{from: [sn, ENTPersonNom], transforms: [trim]",
        "{from: [sn, ENTPersonNom], transforms: [trim, name-case]",
    )
    with here.opened() as parts:
        task = MapTask("ent", (here.account("LILLE$501"), here.account("LILLE$601")), "now")
        told = "".join(repr(batch) for batch in map_entries(parts, task))

    assert told
    assert found_in(told.encode()) == []


def test_a_changed_mark_leaves_no_trace_of_the_old_one(here):
    """R28: what was overwritten or deleted is not in the free pages either."""
    here.synced(1, [*village(), *marked(1)])
    with here.opened() as parts, parts.database.transaction() as connection:
        connection.exec_driver_sql("INSERT INTO facts VALUES ('trace', 'QXTRACEZK')")
    with here.opened() as parts, parts.database.transaction() as connection:
        connection.exec_driver_sql("DELETE FROM facts WHERE name = 'trace'")
    here.synced(2, changed(village(), pupil("100", classes=["6B"], guardians={"100100": LEGAL})))

    assert b"QXTRACEZK" not in b"".join(path.read_bytes() for path in here.folder.glob("state.sqlite*"))


def test_a_class_named_after_its_teacher_is_sealed_and_shown_to_the_directory_alone(tmp_path):
    here = Installation(tmp_path / "region", "lille-1d")
    people = without(village(), "100", "101", "102")
    here.synced(1, [*people, pupil_1d("900", classes={"77": "CM1 DE MME QXMAITREZK"})])

    store = b"".join(path.read_bytes() for path in here.folder.glob("state.sqlite*"))

    assert here.ask("SELECT name FROM groups WHERE code = '77'") == [("CM1 DE MME QXMAITREZK",)]
    assert b"QXMAITREZK" not in store
