"""What an identity provider says of itself, checked strictly before a word of it is believed (federation-slo.md §1).

`validate_metadata_sign` alone can be deceived by a genuine signature under a forged root, and the toolkit's parser
checks neither signature nor validity: so the checks are ours, and the arithmetic of signatures is the toolkit's.
"""

from __future__ import annotations

import base64
import binascii
import datetime as dt
from collections.abc import Iterator
from dataclasses import dataclass

from lxml.etree import _Element
from onelogin.saml2.utils import OneLogin_Saml2_Utils

from ent_sync.core.levels.samples import Cause, Stage
from ent_sync.federation.certificates import Certificate, Use, certificate, pinned
from ent_sync.federation.service import Published, Service
from ent_sync.federation.signatures import DS, NotXmlError, algorithms, sound, tree
from ent_sync.federation.stopwatch import StageError

MD = "{urn:oasis:names:tc:SAML:2.0:metadata}"
REDIRECT = "urn:oasis:names:tc:SAML:2.0:bindings:HTTP-Redirect"
POST = "urn:oasis:names:tc:SAML:2.0:bindings:HTTP-POST"
_MOST_SIGNATURES = 10_000  # of an aggregate, one for each entity; the body's limit holds before


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What metadata say, for the probe and for whoever looks for changes. `signing` are certificates in base64."""

    entity: str
    valid_until: dt.datetime | None
    endpoints: tuple[tuple[str, str, str], ...]
    signing: tuple[str, ...]
    certificates: tuple[Certificate, ...]
    algorithms: tuple[str, ...]

    def login_address(self, binding: str) -> str | None:
        """Where a login begins, by a binding."""
        return next((each[2] for each in self.endpoints if each[:2] == ("SingleSignOnService", binding)), None)


def facts(document: bytes, service: Service, published: Published, now: dt.datetime) -> Facts:
    """What metadata say, once they have been found genuine and in force.

    Raises `StageError` of the stage `metadata`.
    """
    try:
        root = tree(document)
    except NotXmlError:
        raise StageError(Stage.METADATA, Cause.MD_XML) from None
    entity = _entity(root, published.entity)
    _check_signature(root, published)
    until = _valid_until(root, entity)
    if (until is None and published.promises_validity) or (until is not None and until <= now):
        raise StageError(Stage.METADATA, Cause.MD_EXPIRED)
    found = _facts(root, entity, until, published)
    where = [found.login_address(REDIRECT), found.login_address(POST)]
    if not any(where) or not all(service.admits(each) for each in where if each):
        raise StageError(Stage.METADATA, Cause.MD_ENDPOINT)
    return found


def in_force(found: Facts, now: dt.datetime) -> bool:
    """Whether metadata read earlier still hold."""
    return found.valid_until is None or now < found.valid_until


def _entity(root: _Element, name: str | None) -> _Element:
    if root.tag not in {f"{MD}EntityDescriptor", f"{MD}EntitiesDescriptor"}:
        raise StageError(Stage.METADATA, Cause.MD_XML)
    # An entity counts as a child of the root or of groups below it, never from inside extensions.
    found = [each for each in _listed(root) if name is None or each.get("entityID") == name]
    if len(found) != 1 or not found[0].get("entityID"):
        raise StageError(Stage.METADATA, Cause.MD_ENTITY)
    return found[0]


def _listed(root: _Element) -> Iterator[_Element]:
    if root.tag == f"{MD}EntityDescriptor":
        yield root
    elif root.tag == f"{MD}EntitiesDescriptor":
        for each in root:
            yield from _listed(each)


def _check_signature(root: _Element, published: Published) -> None:
    if not published.pins:
        return
    own = root.findall(f"{DS}Signature")
    single = root.tag == f"{MD}EntityDescriptor"
    genuine = (
        len(own) == 1  # and `sound` sees to it that it is of the root, which holds it
        and sound(root, 1 if single else _MOST_SIGNATURES)
        and any(OneLogin_Saml2_Utils.validate_metadata_sign(root, cert=pin) for pin in published.pins)
    )
    if not genuine:
        raise StageError(Stage.METADATA, Cause.MD_SIGNATURE)


def _valid_until(root: _Element, entity: _Element) -> dt.datetime | None:
    """The earliest end that is written on the way from the root to the entity."""
    written = [each.get("validUntil") for each in (root, *entity.iterancestors(), entity)]
    return min((moment(str(each)) for each in written if each), default=None)


def moment(written: str) -> dt.datetime:
    """A time of SAML; without a zone, UTC. One that cannot be read is long ago, so that nothing is valid by it."""
    try:
        found = dt.datetime.fromisoformat(written.strip())
    except ValueError:
        return dt.datetime.min.replace(tzinfo=dt.UTC)
    return found.replace(tzinfo=found.tzinfo or dt.UTC)


def _facts(root: _Element, entity: _Element, until: dt.datetime | None, published: Published) -> Facts:
    endpoints: list[tuple[str, str, str]] = []
    signing: list[str] = []
    certificates = [each for each in map(pinned, published.pins) if each is not None]
    for role in entity.findall(f"{MD}IDPSSODescriptor"):
        for each in role.iterfind("*"):
            binding, location = each.get("Binding"), each.get("Location")
            if binding and location:
                endpoints.append((str(each.tag).rpartition("}")[2], str(binding), str(location)))
        for descriptor in role.iterfind(f"{MD}KeyDescriptor"):
            uses = {"signing": (Use.SIGNING,), "encryption": (Use.ENCRYPTION,)}.get(
                str(descriptor.get("use")), (Use.SIGNING, Use.ENCRYPTION)
            )
            for text, der in _certificates(descriptor):
                certificates += [found for use in uses if (found := certificate(use, der)) is not None]
                signing += [text] if Use.SIGNING in uses else []
    if not signing:
        raise StageError(Stage.METADATA, Cause.MD_XML)
    own = root.find(f"{DS}Signature")
    return Facts(
        entity=str(entity.get("entityID")),
        valid_until=until,
        endpoints=tuple(endpoints),
        signing=tuple(dict.fromkeys(signing)),
        certificates=tuple(dict.fromkeys(certificates)),
        algorithms=() if own is None else algorithms(own),
    )


def _certificates(descriptor: _Element) -> Iterator[tuple[str, bytes]]:
    for each in descriptor.iter(f"{DS}X509Certificate"):
        text = "".join(str(each.text or "").split())
        try:
            yield text, base64.b64decode(text, validate=True)
        except (binascii.Error, ValueError):
            continue
