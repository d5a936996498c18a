"""Invented people and structures as entries of the national schema, and a source that asks a server for them.

Whoever a test does not describe further has the names that follow from their id. Built on nothing of `synth`.
"""

import base64
import datetime as dt
import hashlib
import json
import pickle
from pathlib import Path

from ent_sync.core.record import Population, reference
from ent_sync.ports import SourceContext
from ent_sync.sources.ldap import LdapSource
from ent_sync.wire.ldap import dn

NOW = dt.datetime(2026, 11, 24, 23, 15, tzinfo=dt.UTC)
# The servers' clock is the real one: a source that looks at it from so far behind asks for everything since then.
LATER = NOW + dt.timedelta(days=3650)
WANTED = {
    Population.SCHOOL: frozenset({"ENTStructureUAI", "ENTStructureNomCourant", "ENTStructureClasses"}),
    Population.PUPIL: frozenset(
        {"sn", "givenName", "ENTPersonStructRattach", "ENTEleveClasses", "ENTElevePersRelEleve", "audio"}
    ),
    Population.GUARDIAN: frozenset({"sn", "givenName"}),
    Population.STAFF: frozenset({"sn", "ENTPersonFonctions"}),
}


def line(name, value):
    """One line of LDIF, whatever the value holds."""
    raw = value if isinstance(value, bytes) else value.encode()
    return f"{name}:: {base64.b64encode(raw).decode()}"


def entry(name, **attributes):
    """An entry as LDIF; several values in a list, none in an empty one."""
    lines = [line("dn", name)]
    for attribute, values in attributes.items():
        lines += [line(attribute, value) for value in (values if isinstance(values, list) else [values])]
    return "\n".join(lines) + "\n\n"


class People:
    """Entries of one academy below one base, each by the id of its join key."""

    def __init__(self, base, academy="LILLE"):
        self.base = base
        self.academy = academy

    def key(self, id_):
        return f"AC-{self.academy}${id_}"

    def dn(self, id_):
        return f"uid=u{id_},ou=people,{self.base}"

    def structure(self, id_="1"):
        return f"ENTStructureSIREN=1900000000000{id_},ou=structures,{self.base}"

    def school(self, id_="1", **but):
        told = {
            "objectClass": ["organizationalUnit", "ENTStructure", "ENTEtablissement"],
            "ou": f"S{id_}",
            "ENTStructureSIREN": f"1900000000000{id_}",
            "ENTStructureJointure": self.key(id_),
            "ENTStructureNomCourant": f"ECOLE-{id_}",
            "ENTStructureUAI": f"059000{id_}A",
            "ENTEtablissementMinistereTutelle": "EDUCATION",
            "ENTEtablissementContrat": "PU",
        }
        return entry(self.structure(id_), **{**told, **but})

    def _person(self, id_, but, classes, **own):
        told = {
            "objectClass": ["inetOrgPerson", "ENTPerson", *classes],
            "uid": f"u{id_}",
            "cn": f"FAMILLE-{id_}",
            "sn": f"FAMILLE-{id_}",
            "givenName": f"Prénom-{id_}",
            "ENTPersonLogin": f"login.{id_}",
            "ENTPersonJointure": self.key(id_),
            **own,
        }
        name = but.pop("dn", self.dn(id_))
        return entry(name, **{**told, **but})

    def pupil(self, id_, **but):
        return self._person(
            id_,
            but,
            ["ENTEleve"],
            ENTEleveStatutEleve="SCOLAIRE",
            ENTEleveMEF="10310019110",
            ENTEleveLibelleMEF="3EME",
            ENTEleveNivFormation="3EME",
            ENTEleveFiliere="3EME",
            ENTEleveMajeur="N",
            ENTPersonStructRattach=self.structure(),
            ENTEleveClasses=f"{self.structure()}$3A",
        )

    def guardian(self, id_, **but):
        return self._person(id_, but, ["ENTAuxPersRelEleve"], ENTAuxPersRelEleveEleve=self.dn("100"))

    def staff(self, id_, **but):
        return self._person(
            id_, but, ["ENTAuxEnseignant"], ENTPersonFonctions=f"{self.structure()}$ENS$ENSEIGNEMENT$L1300$MATHS"
        )

    def a_few(self):
        """One of each, and a second pupil."""
        return "".join([self.school(), self.pupil("100"), self.pupil("101"), self.guardian("200"), self.staff("300")])

    def one(self, population, id_):
        return {
            Population.SCHOOL: self.school,
            Population.PUPIL: self.pupil,
            Population.GUARDIAN: self.guardian,
            Population.STAFF: self.staff,
        }[population](id_)


def digest(name):
    return hashlib.blake2b(name, digest_size=16, key=b"of this test").digest()


def referring(named, academy="LILLE"):
    """What stands in a value for the entry of that DN."""
    return f"AC-{reference(academy, digest(dn.normal(named).encode()))}"


def directory_source(server, folder, *, now=NOW, wanted=WANTED, **settings):
    """A source that asks `server` as its reader, to whom limits apply."""
    (folder / "password").write_text(server.password)
    (folder / "password").chmod(0o600)
    told = {
        "name": "lille-ldap",
        "format": "ldap",
        "academy": "LILLE",
        "servers": (server.url,),
        "bind": {"dn": server.reader, "password": {"file": Path("password")}},
        "base": server.base,
        **settings,
    }
    context = SourceContext(
        base=folder, spool=folder / "spool", now=lambda: now, wanted=wanted, whole=lambda *_: True, digest=digest
    )
    return LdapSource(LdapSource.Settings.model_validate(told), context)


class Read:
    """All shards of a delivery, read as a run reads them."""

    def __init__(self, source, delivery):
        self.source, self.delivery = source, delivery
        self.sightings, self.batches, self.evidence = [], [], []
        for shard in pickle.loads(pickle.dumps(source.shards(delivery))):  # noqa: S301 - our own
            reading = source.read(shard)
            while True:
                try:
                    batch = next(reading)
                except StopIteration as end:
                    self.evidence.append(end.value)
                    break
                self.batches.append(batch)
                self.sightings += batch.sightings

    def of(self, population):
        """What was seen of a population: verb and key."""
        return sorted((str(each.verb), each.key) for each in self.sightings if each.population is population)

    def told(self, population):
        """What was said of a population, apart from who stays as he was."""
        return [each for each in self.of(population) if each[0] != "present"]

    def handles(self, verb, population):
        return {each.handle for each in self.sightings if each.verb == verb and each.population is population}

    def whole(self, population):
        """Whether the shards of a population named all that is there."""
        return [each.whole for each in self.evidence if population in each.records]

    def opened(self, population):
        return [
            content
            for batch in self.batches
            for _, content in batch.open([i for i, each in enumerate(batch.sightings) if each.verb == "add"])
            if batch.sightings[0].population is population
        ]

    @property
    def cursor(self):
        """As `sync.pull` puts it together."""
        cursors = {each.file: each.cursor for each in self.evidence if each.cursor is not None}
        return json.dumps(cursors, sort_keys=True) if cursors else None


def read(source, cursor=None):
    """What the source has to give now."""
    (delivery,) = source.deliveries(0.0, cursor)
    return Read(source, delivery)


class Directory:
    """A server with a few people, and a source that has read them; it goes on from where it stood."""

    def __init__(self, server, folder, **settings):
        self.server, self.folder, self.settings = server, folder, settings
        self.people = People(server.base)
        self.server.add_ldif(self.people.a_few())
        self.source = directory_source(server, folder, **settings)
        self.first = read(self.source)
        self.cursor = self.first.cursor

    def modify(self, id_, *lines):
        self.server.modify_ldif("\n".join([f"dn: {self.people.dn(id_)}", *lines, "", ""]))

    def change(self, id_, name="AUTRE"):
        self.modify(id_, "changetype: modify", "replace: sn", f"sn: {name}")

    def remove(self, id_):
        self.modify(id_, "changetype: delete")

    def read(self):
        """What changed since the last read."""
        found = read(self.source, self.cursor)
        assert not found.delivery.complete
        self.cursor = found.cursor
        return found

    def handle(self, id_):
        (found,) = {each.handle for each in self.first.sightings if each.key == f"LILLE${id_}"}
        return found

    def left(self, found, population):
        """Who of those first read is there no more, by what was told: by name, or by silence."""
        before = self.first.handles("add", population)
        if all(found.whole(population)):
            return before - found.handles("add", population) - found.handles("present", population)
        return before & found.handles("delete", population) - found.handles("add", population)
