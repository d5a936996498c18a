"""The daemon and a directory that tells what changes: it is heard in seconds, whatever the schedule says."""

import datetime as dt

import pytest

from daemon.started import until
from ent_sync.synth.delivery import SynthRequest, write_delivery
from ent_sync.synth.formats import Format
from servers.slapd import slapd


@pytest.fixture
def directory(tmp_path):
    with slapd(base="dc=ac-lille,dc=fr") as server:
        request = SynthRequest(directory=tmp_path / "ldif", date=dt.date(2026, 9, 1), pupils=20, format=Format.LDIF)
        ldif = write_delivery(request).path.read_text()
        server.slapadd(ldif[ldif.index("dn: ENTStructureSIREN=") :])
        yield server


@pytest.fixture
def listening(site, directory):
    """A site that asks the directory once in an hour, and listens to it."""
    site.edit("ent-sync.yaml", "format: aaf", "format: ldap")
    site.edit("ent-sync.yaml", "schedule: {on: delivery}", "schedule: {every: 1h}")
    site.edit(
        "ent-sync.yaml",
        "path: deliveries/lille-2d",
        f'servers: ["{directory.url}"]\n    base: "{directory.base}"\n    bind: {{dn: "{directory.reader}", '
        f'password: {{file: "{directory.password_file}"}}}}',
    )
    return site


def name_of_a_pupil(directory):
    (line, *_) = [each for each in directory.search("(objectClass=ENTEleve)", "1.1").splitlines() if each]
    return line


def rename(directory, name):
    directory.modify_ldif(f"{name_of_a_pupil(directory)}\nchangetype: modify\nreplace: sn\nsn: {name}\n")


def known(site, name):
    return site.there() and site.ask("SELECT count(*) FROM accounts WHERE family_name = ?", name) == [(1,)]


def test_a_change_in_the_directory_is_pushed_in_seconds(listening, directory):
    listening.start()
    until(lambda: listening.there() > 50, "everybody of the directory", within=30)
    until(lambda: listening.log("run ended"), "the first run has ended")

    rename(directory, "PREUVE-SOUDAINE")

    assert until(lambda: known(listening, "PREUVE-SOUDAINE"), "the new name", within=20)


def test_a_directory_that_comes_back_is_listened_to_again(listening, directory):
    listening.start()
    until(lambda: listening.there() > 50, "everybody of the directory", within=30)
    directory.restart()

    rename(directory, "PREUVE-SOUDAINE")

    assert until(lambda: known(listening, "PREUVE-SOUDAINE"), "the new name", within=60)
