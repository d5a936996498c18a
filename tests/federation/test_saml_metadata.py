"""What metadata are believed: real ones in force, and none that was made from them."""

import datetime as dt
import time
from copy import deepcopy
from dataclasses import replace

import pytest
from lxml import etree
from onelogin.saml2.utils import OneLogin_Saml2_Utils
from probing import QUICK, identity, now
from test_saml import DTD, RSA_SHA1, RSA_SHA256, SHA1, SHA256, bomb
from wrapping import DS, signature_of

from ent_sync.core.levels.samples import Stage
from ent_sync.federation import metadata
from ent_sync.federation.certificates import Use
from ent_sync.federation.fetch import Browser
from ent_sync.federation.service import Published
from ent_sync.federation.stopwatch import StageError, Stopwatch
from servers import idp

MD = metadata.MD


class Known:
    """An identity provider's metadata, and what is made of them."""

    def __init__(self, server):
        self.server = server
        self.service = identity(server)
        self.document = Browser(self.service, Stopwatch(9), QUICK, agent="test").get(server.metadata, Stage.HTTP).body

    @property
    def root(self):
        return etree.fromstring(self.document)

    def judged(self, document, *, published=None, at=None, service=None):
        """The cause for which metadata are refused; None for those that are believed."""
        data = document if isinstance(document, bytes) else etree.tostring(document)
        service = service or self.service
        try:
            self.facts = metadata.facts(data, service, published or service.published, at or now())
        except StageError as failure:
            return str(failure.cause)
        return None

    def signed(self, root, *, key="md", method=RSA_SHA256, digest=SHA256):
        """The same, signed (again) by the key that is pinned."""
        old = signature_of(root)
        if old is not None:
            root.remove(old)
        made = OneLogin_Saml2_Utils.add_sign(
            etree.tostring(root),
            self.server.key(key),
            self.server.certificate(key),
            sign_algorithm=method,
            digest_algorithm=digest,
        )
        return etree.fromstring(made)


@pytest.fixture(scope="module")
def known(tmp_path_factory):
    with idp.running(idp.make_folder(tmp_path_factory.mktemp("idp") / "ssp")) as server:
        return Known(server)


def aggregate(*entities):
    root = etree.Element(f"{MD}EntitiesDescriptor", ID="_all")
    for each in entities:
        root.append(each)
    return root


def unsigned(root):
    root.remove(signature_of(root))
    return root


# -- what is believed --------------------------------------------------------------------------------------------------


def test_real_metadata_are_believed(known):
    assert known.judged(known.document) is None


def test_metadata_that_were_signed_again_are_believed(known):
    """So that the refusals below are for what was changed, and not for how."""
    assert known.judged(known.signed(known.root)) is None


def test_an_entity_is_found_in_a_signed_aggregate(known):
    other = unsigned(known.root)
    other.set("entityID", "https://other.example")
    other.set("ID", "_other")

    assert known.judged(known.signed(aggregate(other, unsigned(known.root)))) is None


def test_without_a_name_the_only_entity_is_meant(known):
    cause = known.judged(known.document, published=Published(None, (known.server.pin,)))

    assert (cause, known.facts.entity) == (None, known.server.metadata)


def test_without_a_name_one_of_several_entities_is_not_chosen(known):
    other = unsigned(known.root)
    other.set("entityID", "https://other.example")
    other.set("ID", "_other")

    both = known.signed(aggregate(other, unsigned(known.root)))

    assert known.judged(both, published=Published(None, (known.server.pin,))) == "md_entity"


def test_without_pins_no_signature_is_asked_for(known):
    assert known.judged(unsigned(known.root), published=Published(known.server.metadata)) is None


# -- who signed what ---------------------------------------------------------------------------------------------------


def test_metadata_wrapped_around_genuine_ones_are_refused(known):
    """The toolkit says that the signature holds, and reads the forged address (federation-slo.md §0)."""
    evil = unsigned(known.root)
    evil.set("ID", "_evil")
    for each in evil.iter(f"{MD}SingleSignOnService"):
        each.set("Location", f"{known.server.base}/forged")
    genuine = known.root
    signature = signature_of(genuine)
    evil.insert(0, deepcopy(signature))
    extensions = etree.Element(f"{MD}Extensions")
    extensions.append(genuine)
    genuine.text = (genuine.text or "") + (signature.tail or "")  # which lxml would take away with it
    genuine.remove(signature)
    evil.insert(1, extensions)

    assert OneLogin_Saml2_Utils.validate_metadata_sign(etree.tostring(evil), cert=known.server.pin)
    assert known.judged(evil) == "md_signature"


def test_a_second_element_of_the_signed_name_is_refused(known):
    root = known.root
    extensions = etree.SubElement(root, f"{MD}Extensions")
    etree.SubElement(extensions, "{urn:x}x", ID=root.get("ID"))

    assert known.judged(root) == "md_signature"


def test_an_entity_of_an_aggregate_that_is_signed_alone_is_refused(known):
    assert known.judged(aggregate(known.root)) == "md_signature"


def test_unsigned_metadata_are_refused(known):
    assert known.judged(unsigned(known.root)) == "md_signature"


def test_metadata_signed_by_the_key_of_their_answers_are_refused(known):
    """A key in the metadata themselves, or in the signature, vouches for nothing."""
    assert known.judged(known.signed(known.root, key="idp")) == "md_signature"


def test_changed_metadata_are_refused(known):
    root = known.root
    next(root.iter(f"{MD}SingleSignOnService")).set("Location", f"{known.server.base}/forged")

    assert known.judged(root) == "md_signature"


@pytest.mark.parametrize(("method", "digest"), [(RSA_SHA1, SHA1), (RSA_SHA256, SHA1), (RSA_SHA1, SHA256)])
def test_a_signature_of_sha_1_on_metadata_is_refused(known, method, digest):
    assert known.judged(known.signed(known.root, method=method, digest=digest)) == "md_signature"


def test_a_transform_of_metadata_that_would_run_for_long_is_refused_before_it_runs(known):
    root = known.root
    next(root.iter(f"{DS}Transforms")).insert(0, bomb(22))
    begun = time.monotonic()

    cause = known.judged(root)

    assert (cause, time.monotonic() - begun < 0.25) == ("md_signature", True)


# -- until when, of whom, where ----------------------------------------------------------------------------------------


def lasting(known, **shift):
    root = known.root
    root.set("validUntil", (now() + dt.timedelta(**shift)).strftime("%Y-%m-%dT%H:%M:%SZ"))
    return known.signed(root)


def test_metadata_that_are_over_are_refused(known):
    assert known.judged(lasting(known, seconds=-5)) == "md_expired"


def test_metadata_that_are_in_force_are_believed_and_their_end_is_told(known):
    cause = known.judged(lasting(known, days=3))

    assert (cause, (known.facts.valid_until - now()).days) == (None, 2)


def test_a_time_that_nobody_can_read_is_over(known):
    root = known.root
    root.set("validUntil", "soon")

    assert known.judged(known.signed(root)) == "md_expired"


def test_the_end_of_an_aggregate_is_the_end_of_its_entities(known):
    root = aggregate(unsigned(known.root))
    root.set("validUntil", "2020-01-01T00:00:00Z")

    assert known.judged(known.signed(root)) == "md_expired"


def test_where_an_end_is_promised_its_absence_is_a_fault(known):
    published = replace(known.service.published, promises_validity=True)

    assert known.judged(known.document, published=published) == "md_expired"


def test_an_entity_that_stands_inside_extensions_is_not_found(known):
    outer = unsigned(known.root)
    outer.set("entityID", "https://other.example")
    outer.set("ID", "_other")
    extensions = etree.Element(f"{MD}Extensions")
    extensions.append(unsigned(known.root))
    outer.insert(0, extensions)

    assert known.judged(known.signed(outer)) == "md_entity"


def test_an_entity_that_is_there_twice_is_refused(known):
    second = unsigned(known.root)
    second.set("ID", "_second")

    assert known.judged(known.signed(aggregate(unsigned(known.root), second))) == "md_entity"


@pytest.mark.parametrize("location", ["https://stranger.example/sso", "http://169.254.169.254/", "file:///etc/passwd"])
def test_a_login_address_that_nobody_named_is_refused(known, location):
    root = known.root
    next(root.iter(f"{MD}SingleSignOnService")).set("Location", location)

    assert known.judged(known.signed(root)) == "md_endpoint"


def test_metadata_without_a_login_address_are_refused(known):
    root = known.root
    for each in list(root.iter(f"{MD}SingleSignOnService")):
        each.getparent().remove(each)

    assert known.judged(known.signed(root)) == "md_endpoint"


def test_metadata_without_a_certificate_are_refused(known):
    root = known.root
    for each in list(root.iter(f"{MD}KeyDescriptor")):
        each.getparent().remove(each)

    assert known.judged(known.signed(root)) == "md_xml"


def test_a_login_address_in_clear_is_refused_where_the_metadata_come_by_tls(known):
    service = replace(known.service, address=known.service.address.replace("http://", "https://"))

    assert known.judged(known.document, service=service) == "md_endpoint"


# -- no XML that does harm ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", DTD)
def test_metadata_with_a_document_type_are_refused(known, kind):
    text = etree.tostring(known.root).decode().replace("</md:EntityDescriptor>", "&a10;</md:EntityDescriptor>")
    begun = time.monotonic()

    cause = known.judged((DTD[kind] + text).encode())

    assert (cause, time.monotonic() - begun < 0.25) == ("md_xml", True)


@pytest.mark.parametrize("document", [b"", b"<html><body>Maintenance</body></html>", b"\x00\x01", b"<a><b></a>"])
def test_what_are_no_metadata_are_refused(known, document):
    assert known.judged(document) == "md_xml"


# -- what is told ------------------------------------------------------------------------------------------------------


def test_a_new_certificate_changes_the_digests_that_are_told(known):
    known.judged(known.document)
    before = {each.digest for each in known.facts.certificates if each.use is Use.SIGNING}
    root = known.root
    other = "".join(line for line in known.server.certificate("idp2").splitlines() if "-----" not in line)
    for descriptor in root.iter(f"{MD}KeyDescriptor"):
        for each in descriptor.iter(f"{DS}X509Certificate"):
            each.text = other
    known.judged(known.signed(root))
    after = {each.digest for each in known.facts.certificates if each.use is Use.SIGNING}

    assert (len(before), len(after), before & after) == (1, 1, set())
