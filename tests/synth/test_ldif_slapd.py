"""A real slapd takes what `synth --format ldif` writes, and its deltas."""

from datetime import date

import pytest
from ldif_reading import below, entries, in_branches, without_top

from ent_sync.core.record import Degree
from ent_sync.synth.delivery import SynthRequest, write_delivery
from ent_sync.synth.formats import Format
from servers.slapd import slapd

FIRST, SECOND = date(2026, 11, 2), date(2026, 11, 3)
BASE = "dc=ac-lille,dc=fr"


def region(directory, day=FIRST, **options):
    return SynthRequest(
        **{"directory": directory, "date": day, "pupils": 300, "seed": 3, "format": Format.LDIF} | options
    )


@pytest.fixture(scope="module")
def server():
    with slapd(base=BASE) as started:
        yield started


@pytest.mark.parametrize("degree", list(Degree))
def test_slapadd_loads_a_region_whole(server, tmp_path, degree):
    written = write_delivery(region(tmp_path, degree=degree))
    server.clear()

    server.slapadd(without_top(written.path))

    assert in_branches(entries(server.slapcat())) == below(written.path)


@pytest.mark.parametrize("degree", list(Degree))
def test_yesterdays_directory_and_a_delta_are_todays(server, tmp_path, degree):
    shares = {"arrivals": 5.0, "leavers": 5.0, "changes": 30.0}
    yesterday = write_delivery(region(tmp_path, degree=degree))
    delta = write_delivery(region(tmp_path, SECOND, degree=degree, delta_of=tmp_path, **shares))
    today = write_delivery(region(tmp_path, SECOND, degree=degree, **shares))
    server.clear()
    server.slapadd(without_top(yesterday.path))

    server.modify_ldif(delta.path.read_text())

    assert in_branches(entries(server.slapcat())) == below(today.path)


def test_spaces_accents_and_quotes_survive(server, tmp_path):
    written = write_delivery(region(tmp_path, pupils=900))
    server.clear()
    server.slapadd(without_top(written.path))

    found = in_branches(entries(server.slapcat()))

    names = {value for each in found.values() for name in ("sn", "givenName") for value in each.get(name, ())}
    classes = {value for each in found.values() for value in each.get("ENTEleveClasses", ())}
    assert all(any(mark in name for name in names) for mark in ("'", " ", "é", "Ë", "-"))
    assert all(any(mark in value.partition("$")[2] for value in classes) for mark in (" ", "É", "-"))


def test_a_region_with_faults_is_loaded_too(server, tmp_path):
    faults = ("oversized-value", "dangling-links", "shrunken")
    written = write_delivery(region(tmp_path, faults=faults))
    server.clear()

    server.slapadd(without_top(written.path))

    assert len(in_branches(entries(server.slapcat()))) == sum(written.counts.values())
