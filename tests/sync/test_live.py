"""What a directory that can be asked says of one person, beside the snapshot: `resync person` and `explain`."""

import datetime as dt

import pytest

from ent_sync.core.record import Key
from ent_sync.store import entries
from ent_sync.sync.explain import explain
from ent_sync.synth.delivery import SynthRequest, write_delivery
from ent_sync.synth.formats import Format
from servers.slapd import slapd
from sync.installed import Installation


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with slapd(base="dc=ac-lille,dc=fr") as running:
        folder = tmp_path_factory.mktemp("ldif")
        request = SynthRequest(directory=folder, date=dt.date(2026, 9, 1), pupils=12, format=Format.LDIF)
        ldif = write_delivery(request).path.read_text()
        running.slapadd(ldif[ldif.index("dn: ENTStructureSIREN=") :])
        yield running


@pytest.fixture
def there(server, tmp_path):
    """An installation that read the directory once."""
    made = Installation(tmp_path / "there")
    made.edit("ent-sync.yaml", "format: aaf", "format: ldap")
    made.edit(
        "ent-sync.yaml",
        "path: deliveries/lille-2d",
        f'servers: ["{server.url}"]\n    base: "{server.base}"\n    bind: {{dn: "{server.reader}", '
        f'password: {{file: "{server.password_file}"}}}}',
    )
    made.sync()
    return made


def pupils(server):
    """The first pupils' DNs and join keys."""
    found = server.search("(objectClass=ENTEleve)", "ENTPersonJointure").strip().split("\n\n")
    pairs = [block.splitlines() for block in found]
    return [(dn.removeprefix("dn: "), Key(key.removeprefix("ENTPersonJointure: AC-"))) for dn, key in pairs]


def rename(server, dn, name):
    server.modify_ldif(f"dn: {dn}\nchangetype: modify\nreplace: sn\nsn: {name}\n")


def told(there, key):
    with there.opened() as parts:
        return explain(parts, key)["live"]


def test_what_was_read_is_what_the_directory_holds(server, there):
    _, key = pupils(server)[0]

    assert told(there, key) == {"lille-2d": "same"}


def test_explain_says_that_the_directory_holds_something_else_by_now(server, there):
    dn, key = pupils(server)[1]

    rename(server, dn, "AUTREMENT")

    assert told(there, key) == {"lille-2d": "changed"}


def test_explain_says_that_the_directory_holds_somebody_no_more(server, there):
    dn, key = pupils(server)[2]

    server.modify_ldif(f"dn: {dn}\nchangetype: delete\n")

    assert told(there, key) == {"lille-2d": "gone"}


def test_resync_of_one_person_asks_the_directory_first(server, there):
    dn, key = pupils(server)[3]
    rename(server, dn, "SUR-LE-CHAMP")
    with there.opened() as parts, parts.database.reading() as connection:
        ids = tuple(entries.find(connection, key))

    there.sync(ids=ids, keys=(key,))

    assert there.ask("SELECT family_name FROM accounts WHERE source_key = ?", key) == [("SUR-LE-CHAMP",)]


def test_resync_of_somebody_whom_the_directory_lost_suspends_nobody(server, there):
    dn, key = pupils(server)[4]
    server.modify_ldif(f"dn: {dn}\nchangetype: delete\n")
    with there.opened() as parts, parts.database.reading() as connection:
        ids = tuple(entries.find(connection, key))

    there.sync(ids=ids, keys=(key,))

    assert there.ask("SELECT status FROM accounts WHERE source_key = ?", key) == [("active",)]


def test_somebody_new_can_be_asked_for_before_any_read(server, there):
    fresh = server.search("(objectClass=ENTEleve)").split("\n\n")[0]
    old = fresh.splitlines()[0].removeprefix("dn: ")
    new = f"uid=NEU00001,{old.split(',', 1)[1]}"
    lines = [
        line
        for line in fresh.replace(old, new).splitlines()
        if not line.startswith(("uid:", "ENTPersonJointure:", "ENTEleveINE"))
    ]
    server.add_ldif("\n".join([*lines, "uid: NEU00001", "ENTPersonJointure: AC-LILLE$990001", ""]))

    there.sync(ids=(), keys=(Key("LILLE$990001"),))

    assert there.ask("SELECT status FROM accounts WHERE source_key = 'LILLE$990001'") == [("active",)]
