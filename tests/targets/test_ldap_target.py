"""The contract of targets, kept by the LDAP target on a real slapd."""

from contextlib import closing

import pytest
from ldap_directory import ldap_target, new_base

from ports.target_contract import TargetContract
from servers.slapd import slapd


@pytest.fixture(scope="module")
def server():
    with slapd(durable=False) as running:
        yield running


class TestLdapTarget(TargetContract):
    EXAMPLES = 15

    @pytest.fixture
    def target(self, server, tmp_path):
        with closing(ldap_target(server, tmp_path, new_base(server))) as opened:
            yield opened
