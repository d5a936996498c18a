"""An installation that the command line works on, and deliveries to spoil by hand."""

from __future__ import annotations

import contextlib
import io
import json
import re
import shutil
import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ent_sync.cli.app import run

KINDS = {"pupil": "Eleve", "guardian": "PersRelEleve", "staff": "PersEducNat", "school": "EtabEducNat"}
_CATEGORIES = {
    "Eleve": "categoriePersonne",
    "PersRelEleve": "categoriePersonne",
    "PersEducNat": "categoriePersonne",
    "EtabEducNat": "categorieStructure",
}
HEAD = "ENT2DVA_LILLE_Complet_20261121"
"""How the names of the delivery that comes next begin."""

_RECORD = re.compile(rb"<addRequest>\n.*?</addRequest>\n", re.DOTALL)


@dataclass(frozen=True)
class Answer:
    code: int
    out: str
    err: str

    @property
    def run(self) -> dict[str, Any]:
        return json.loads(self.out)

    @property
    def guards(self) -> set[tuple[str, str]]:
        return {(each["guard"], each["scope"]) for each in self.run["held"]}

    @property
    def reason(self) -> str:
        [reason] = self.run["reasons"]
        return str(reason)


def called(*arguments: object) -> Answer:
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = run([str(each) for each in arguments])
    return Answer(code, out.getvalue(), err.getvalue())


@dataclass(frozen=True)
class Delivered:
    """A delivery that lies in the source's folder."""

    path: Path

    def file(self, kind: str, part: int = 0) -> Path:
        return self.path / f"{self.path.name}_{KINDS.get(kind, kind)}_{part:04d}.xml"

    def edit(self, kind: str, old: str | bytes, new: str | bytes, count: int = 1) -> None:
        path = self.file(kind)
        before = old.encode() if isinstance(old, str) else old
        content = path.read_bytes()
        assert before in content
        path.write_bytes(content.replace(before, new.encode() if isinstance(new, str) else new, count))

    def records(self, kind: str) -> list[bytes]:
        return _RECORD.findall(self.file(kind).read_bytes())

    def keep(self, kind: str, records: Sequence[bytes]) -> None:
        """The file of that kind with these records and no others."""
        path = self.file(kind)
        first, *rest = _RECORD.split(path.read_bytes())
        path.write_bytes(first + b"".join(records) + rest[-1])

    def add(self, kind: str, record: bytes) -> int:
        """One more record, the last of its file; gives its line."""
        content = self.file(kind).read_bytes()
        self.edit(kind, "</ficAlimMENESR>", record + b"</ficAlimMENESR>")
        return content[: content.index(b"</ficAlimMENESR>")].count(b"\n") + 1

    def line(self, kind: str, text: str) -> int:
        content = self.file(kind).read_bytes()
        return content[: content.index(text.encode())].count(b"\n") + 1


@dataclass(frozen=True)
class Installation:
    dir: Path
    original: Path

    @property
    def config(self) -> Path:
        return self.dir / "ent-sync.yaml"

    @property
    def deliveries(self) -> Path:
        return self.dir / "deliveries" / "lille-2d"

    def __call__(self, *arguments: object) -> Answer:
        return called("--config", self.config, *arguments)

    def sync(self, *arguments: object) -> Answer:
        return self("sync", "--json", *arguments)

    def deliver(self, day: str = "20261121") -> Delivered:
        """The complete delivery that is applied already, once more under another date."""
        name = f"ENT2DVA_LILLE_Complet_{day}"
        shutil.copytree(self.original, self.deliveries / name)
        for path in (self.deliveries / name).glob("*.xml"):
            path.rename(path.with_name(path.name.replace("20261120", day)))
        return Delivered(self.deliveries / name)

    def delta(self, requests: Mapping[str, Sequence[str]], day: str = "20261121") -> Delivered:
        """A delta of these requests, by population."""
        name = f"ENT2DVA_LILLE_Delta_{day}"
        folder = self.deliveries / name
        folder.mkdir()
        delivered = Delivered(folder)
        for kind, texts in requests.items():
            delivered.file(kind).write_text(f"<ficAlimMENESR>\n{''.join(texts)}</ficAlimMENESR>\n", encoding="utf-8")
        return delivered

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        with contextlib.closing(sqlite3.connect(self.dir / "ent.sqlite")) as connection:
            return connection.execute(query).fetchall()

    @property
    def directory(self) -> list[tuple[Any, ...]]:
        """Everything that the ENT's directory shows."""
        views = ("accounts", "structures", "groups", "members", "affiliations", "guardianships")
        return [row for view in views for row in sorted(self.rows(f"SELECT * FROM {view}"), key=repr)]

    @property
    def active(self) -> dict[str, int]:
        query = "SELECT population, count(*) FROM accounts WHERE status = 'active' GROUP BY population"
        return dict(self.rows(query))

    @property
    def suspended(self) -> int:
        [(count,)] = self.rows("SELECT count(*) FROM accounts WHERE status = 'suspended'")
        return int(count)

    @property
    def quarantine(self) -> list[dict[str, Any]]:
        return json.loads(self("quarantine", "list", "--json").out)


def request(verb: str, kind: str, key: str, attributes: Mapping[str, Sequence[str]] | None = None) -> str:
    """One request as the format has it."""
    category = KINDS.get(kind, kind)
    head = (
        f'<{verb}Request>\n<operationalAttributes><attr name="{_CATEGORIES[category]}"><value>{category}</value></attr>'
        f"</operationalAttributes>\n<identifier><id>{key}</id></identifier>\n"
    )
    if attributes is None:
        return f"{head}</{verb}Request>\n"
    outer, inner, operation = ("modifications", "modification", ' operation="replace"')
    if verb == "add":
        outer, inner, operation = ("attributes", "attr", "")
    body = "".join(
        f'<{inner} name="{name}"{operation}>{"".join(f"<value>{value}</value>" for value in values)}</{inner}>\n'
        for name, values in attributes.items()
    )
    return f"{head}<{outer}>\n{body}</{outer}>\n</{verb}Request>\n"


PUPIL = {
    "ENTPersonJointure": ["555"],
    "sn": ["ESSAI"],
    "givenName": ["Camille"],
    "ENTPersonDateNaissance": ["01/02/2012"],
    "ENTPersonStructRattach": ["1004"],
}


def pupil(key: str = "555", **changed: Sequence[str]) -> bytes:
    """A pupil whom nobody knows yet; a `changed` attribute without values is left out."""
    attributes = {**PUPIL, "ENTPersonJointure": [key], **changed}
    return request("add", "pupil", key, {name: values for name, values in attributes.items() if values}).encode()
