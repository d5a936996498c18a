"""What tests of the LDAP target share: targets on a real slapd, each below a base of its own, and what lies there."""

import base64
import itertools
import os
import subprocess
from pathlib import Path

from ent_sync.ports import TargetContext
from ent_sync.targets.ldap import LdapTarget
from ports.target_contract import MULTIPLE, SINGLE

ROOT = Path(__file__).parents[2]
SHIPPED = ROOT / "mappings" / "ent" / "ldap.yaml"
LAYOUT = SHIPPED.read_text()
_numbers = itertools.count(1)


def new_base(server):
    """A base that no other test has; the first push makes it."""
    return f"ou=t{os.getpid()}-{next(_numbers)},{server.base}"


def mappings_folder(folder, layout=LAYOUT):
    folder.mkdir(exist_ok=True)
    (folder / "ldap.yaml").write_text(layout)
    return folder


def ldap_target(server, folder, base, *, layout=LAYOUT, bind_as="writer", single=SINGLE, multiple=MULTIPLE, **more):
    section = LdapTarget.Settings.model_validate(
        {**server.section(bind_as), "name": "ent-ldap", "format": "ldap", "base": base, **more}
    )
    mappings = mappings_folder(folder / "mappings", layout)
    return LdapTarget(section, TargetContext(base=folder, single=single, multiple=multiple, mappings=mappings))


def attributes_of(server, dn, *names):
    """What an entry holds, as ldapsearch tells it, by name; None where there is none."""
    done = subprocess.run(
        ["ldapsearch", "-x", "-LLL", "-o", "ldif-wrap=no", "-H", server.url, "-D", server.admin, "-w", server.password,
         "-b", dn, "-s", "base", "(objectClass=*)", *names],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode == 32:
        return None
    assert done.returncode == 0, done.stderr
    found = {}
    for line in done.stdout.splitlines()[1:]:
        name, separator, value = line.partition(":")
        if separator:
            text = base64.b64decode(value[2:]).decode() if value.startswith(": ") else value.strip()
            found.setdefault(name, []).append(text)
    return found
