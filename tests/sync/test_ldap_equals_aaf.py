"""One person from LDAP and the same person from AAF give the same account: whole regions, through the whole pipeline."""

import re
from datetime import date

import pytest

from ent_sync.core.record import Degree
from ent_sync.synth.delivery import SynthRequest, write_delivery
from ent_sync.synth.formats import Format
from servers.slapd import slapd
from sync.installed import VIEWS, Installation

FIRST, SECOND = date(2026, 9, 1), date(2026, 9, 2)
SHARES = {"arrivals": 1.0, "leavers": 1.0, "changes": 10.0}
# The staff of services too, as AAF has them.
STAFF = "(|(objectClass=ENTAuxEnseignant)(objectClass=ENTAuxNonEnsEtab)(objectClass=ENTAuxNonEnsServAc))"


def region(directory, day, **options):
    return write_delivery(SynthRequest(**{"directory": directory, "date": day, "pupils": 300, "seed": 11} | options))


def reads_from(installation, server):
    """Let the source of an installation ask a directory, as its reader."""
    (installation.folder / "reader-password").write_text(server.password)
    (installation.folder / "reader-password").chmod(0o600)
    path = installation.config
    text = re.sub(r"(?m)^( *)format: aaf.*$", rf"\1format: ldap\n\1servers: [{server.url}]", path.read_text(), count=1)
    reached = rf"bind: {{dn: '{server.reader}', password: {{file: reader-password}}}}"
    text = re.sub(
        r"(?m)^( *)path: deliveries/.*$",
        rf"\1{reached}\n\1base: '{server.base}'\n\1filters: {{staff: '{STAFF}'}}",
        text,
        count=1,
    )
    path.write_text(re.sub(r"(?m)^ *(settle|schedule): .*\n", "", text))


@pytest.fixture(scope="module", params=list(Degree))
def both(request, tmp_path_factory):
    """Two installations of the same keys after two days: one was delivered AAF, the other asked a directory."""
    place, degree = tmp_path_factory.mktemp("both"), request.param
    delivered = Installation(place / "aaf", f"lille-{degree}")
    asking = Installation(place / "ldap", f"lille-{degree}")
    with slapd(base="dc=ac-lille,dc=fr") as server:
        reads_from(asking, server)
        inbox = delivered.deliveries()
        region(inbox, FIRST, degree=degree)
        ldif = region(place, FIRST, degree=degree, format=Format.LDIF).path.read_text()
        server.slapadd(ldif[ldif.index("dn: ENTStructureSIREN=") :])
        first_day = (delivered.sync(), delivered.views()), (asking.sync(), asking.views())

        region(inbox, SECOND, degree=degree, delta_of=inbox, **SHARES)
        delta = region(place, SECOND, degree=degree, format=Format.LDIF, delta_of=place, **SHARES)
        server.modify_ldif(delta.path.read_text())
        second_day = (delivered.sync(), delivered.views()), (asking.sync(), asking.views())
    return first_day, second_day


@pytest.mark.parametrize("view", VIEWS)
def test_a_region_from_ldap_is_the_region_from_aaf(both, view):
    ((_, delivered), (_, asked)), _ = both

    assert asked[view] == delivered[view]


@pytest.mark.parametrize("view", VIEWS)
def test_what_changed_in_ldap_is_what_a_delta_says(both, view):
    _, ((_, delivered), (_, asked)) = both

    assert asked[view] == delivered[view]


def test_both_regions_have_accounts_of_everyone(both):
    ((_, delivered), _), _ = both

    assert len(delivered["accounts"]) > 600


def test_both_runs_of_a_day_apply_the_same_changes(both):
    for (delivered, _), (asked, _) in both:
        assert (asked.changes, asked.applied) == (delivered.changes, delivered.applied)


def test_something_changed_on_the_second_day(both):
    (_, (_, before)), (_, (_, after)) = both

    assert {view: before[view] == after[view] for view in ("accounts", "members")} == {
        "accounts": False,
        "members": False,
    }
