"""What answers of an identity provider are believed: a real one, and none that was made from it."""

import base64
import datetime as dt
import time
from dataclasses import replace

import pytest
import wrapping
from lxml import etree
from onelogin.saml2.utils import OneLogin_Saml2_Utils
from probing import QUICK, identity, keyed, login, now
from wrapping import DS, SAML, SAMLP, assertion_of, closed, opened, signature_of

from ent_sync.core.levels.samples import Stage
from ent_sync.federation import metadata, saml
from ent_sync.federation.fetch import Browser
from ent_sync.federation.page import page
from ent_sync.federation.signatures import sound, tree
from ent_sync.federation.stopwatch import StageError, Stopwatch
from servers import idp

RSA_SHA256 = "http://www.w3.org/2001/04/xmldsig-more#rsa-sha256"
RSA_SHA1 = "http://www.w3.org/2000/09/xmldsig#rsa-sha1"
SHA256 = "http://www.w3.org/2001/04/xmlenc#sha256"
SHA1 = "http://www.w3.org/2000/09/xmldsig#sha1"


class Exchange:
    """One real login up to the answer that a browser would post."""

    def __init__(self, server):
        self.server = server
        self.service = identity(server)
        browser = Browser(self.service, Stopwatch(20), QUICK, agent="test")
        document = browser.get(server.metadata, Stage.HTTP).body
        self.facts = metadata.facts(document, self.service, self.service.published, now())
        asked = saml.request(self.service.asking, self.facts)
        self.request_id = asked.id
        form = page(browser.get(asked.url, Stage.SSO)).login_form
        answered = page(browser.post(form.action, form.filled(idp.ACCOUNT, idp.PASSWORD), Stage.LOGIN))
        self.answer = answered.answer_form.value("SAMLResponse")

    @property
    def root(self):
        return opened(self.answer)

    def judged(self, answer, **changed):
        """The cause for which an answer is refused; None for one that is believed."""
        values = {
            "asking": self.service.asking,
            "found": self.facts,
            "request_id": self.request_id,
            "login": login(),
            "now": now(),
        }
        try:
            saml.asserted(answer if isinstance(answer, str) else closed(answer), **{**values, **changed})
        except StageError as failure:
            return str(failure.cause)
        return None

    def resigned(self, change, *, method=RSA_SHA256, digest=SHA256):
        """The real answer with a change in its assertion, signed again by the identity provider's own key."""
        root = wrapping.without_signature(self.root)
        genuine = assertion_of(root)
        unsigned = wrapping.without_signature(genuine)
        change(unsigned)
        key, certificate = self.server.key("idp"), self.server.certificate("idp")
        made = OneLogin_Saml2_Utils.add_sign(
            etree.tostring(unsigned), key, certificate, sign_algorithm=method, digest_algorithm=digest
        )
        root.replace(genuine, etree.fromstring(made))
        return root


@pytest.fixture(scope="module")
def exchange(tmp_path_factory):
    with idp.running(idp.make_folder(tmp_path_factory.mktemp("idp") / "ssp")) as server:
        yield Exchange(server)


def data_of(assertion):
    return next(assertion.iter(f"{SAML}SubjectConfirmationData"))


def written(moment):
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


# -- what is believed --------------------------------------------------------------------------------------------------


def test_a_real_answer_is_believed(exchange):
    assert exchange.judged(exchange.answer) is None


def test_an_answer_of_which_only_the_assertion_is_signed_is_believed(exchange):
    assert exchange.judged(wrapping.without_signature(exchange.root)) is None


def test_an_assertion_that_was_signed_again_is_believed(exchange):
    """So that the refusals below are for what was changed, and not for how."""
    assert exchange.judged(exchange.resigned(lambda assertion: None)) is None


def test_a_key_that_is_written_with_the_prefix_of_some_feeds_is_the_same(exchange):
    def prefixed(assertion):
        for value in assertion.iter(f"{SAML}AttributeValue"):
            value.text = f"AC-{value.text}"

    assert exchange.judged(exchange.resigned(prefixed)) is None


# -- wrapping ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("wrap", wrapping.WRAPPINGS, ids=lambda wrap: wrap.__name__)
def test_a_wrapped_answer_is_refused(exchange, wrap):
    """The forged key is the expected one here, so that nothing but the signature can save us."""
    expecting = login(expected=keyed(wrapping.STOLEN))

    assert exchange.judged(wrap(exchange.root), login=expecting) == "saml_signature"


def test_a_changed_value_is_refused(exchange):
    root = exchange.root
    for value in root.iter(f"{SAML}AttributeValue"):
        value.text = wrapping.STOLEN

    assert exchange.judged(root, login=login(expected=keyed(wrapping.STOLEN))) == "saml_signature"


def test_an_answer_without_any_signature_is_refused(exchange):
    root = wrapping.without_signature(exchange.root)
    root.replace(assertion_of(root), wrapping.without_signature(assertion_of(root)))

    assert exchange.judged(root) == "saml_signature"


def test_an_answer_of_which_the_assertion_is_not_signed_itself_is_refused(exchange):
    root = exchange.root
    root.replace(assertion_of(root), wrapping.without_signature(assertion_of(root)))

    assert exchange.judged(root) == "saml_signature"


def test_a_comment_inside_the_key_changes_nothing(exchange):
    """CVE-2017-11427: the comment must neither cut the value nor be taken for one."""
    root = exchange.root
    value = next(root.iter(f"{SAML}AttributeValue"))
    comment = etree.Comment("x")
    comment.tail, value.text = value.text[8:], value.text[:8]
    value.append(comment)

    assert exchange.judged(root, login=login(expected=keyed("LILLE$12"))) == "saml_key_mismatch"


def test_an_answer_that_is_signed_as_a_whole_only_is_refused(exchange):
    root = wrapping.without_signature(exchange.root)
    root.replace(assertion_of(root), wrapping.without_signature(assertion_of(root)))
    key, certificate = exchange.server.key("idp"), exchange.server.certificate("idp")
    signed = OneLogin_Saml2_Utils.add_sign(
        etree.tostring(root), key, certificate, sign_algorithm=RSA_SHA256, digest_algorithm=SHA256
    )

    assert exchange.judged(etree.fromstring(signed)) == "saml_signature"


# -- what signatures may name ------------------------------------------------------------------------------------------


def test_a_signature_of_sha_1_is_refused(exchange):
    assert exchange.judged(exchange.resigned(lambda _: None, method=RSA_SHA1, digest=SHA1)) == "saml_signature"


def test_a_digest_of_sha_1_is_refused(exchange):
    assert exchange.judged(exchange.resigned(lambda _: None, digest=SHA1)) == "saml_signature"


def bomb(depth):
    """A transform that does twice as much with each level (federation-slo.md §0)."""
    calls = "".join(
        f'<xsl:template name="t{n}"><xsl:call-template name="t{n + 1}"/><xsl:call-template name="t{n + 1}"/></xsl:template>'
        for n in range(depth)
    )
    sheet = (
        '<xsl:stylesheet version="1.0" xmlns:xsl="http://www.w3.org/1999/XSL/Transform"><xsl:template match="/">'
        f'<xsl:call-template name="t0"/></xsl:template>{calls}<xsl:template name="t{depth}">x</xsl:template>'
        "</xsl:stylesheet>"
    )
    transform = etree.Element(f"{DS}Transform", Algorithm="http://www.w3.org/TR/1999/REC-xslt-19991116")
    transform.append(etree.fromstring(sheet))
    return transform


def test_a_transform_that_would_run_for_long_is_refused_before_it_runs(exchange):
    root = exchange.root
    next(signature_of(root).iter(f"{DS}Transforms")).insert(0, bomb(22))
    begun = time.monotonic()

    cause = exchange.judged(root)

    assert (cause, time.monotonic() - begun < 0.25) == ("saml_signature", True)


@pytest.mark.parametrize(
    "algorithm",
    ["http://www.w3.org/TR/1999/REC-xpath-19991116", "http://www.w3.org/2000/09/xmldsig#base64", "http://x.example"],
)
def test_any_other_transform_is_refused(exchange, algorithm):
    root = exchange.root
    etree.SubElement(next(signature_of(root).iter(f"{DS}Transforms")), f"{DS}Transform", Algorithm=algorithm)

    assert exchange.judged(root) == "saml_signature"


def test_a_signature_of_many_transforms_is_not_computed(exchange):
    root = exchange.root
    transforms = next(signature_of(root).iter(f"{DS}Transforms"))
    for _ in range(100):
        etree.SubElement(transforms, f"{DS}Transform", Algorithm="http://www.w3.org/2001/10/xml-exc-c14n#")

    assert not sound(tree(etree.tostring(root)), 2)


@pytest.mark.parametrize("name", ["Object", "Manifest"])
def test_a_signature_that_holds_more_than_a_signature_is_refused(exchange, name):
    root = exchange.root
    etree.SubElement(signature_of(root), f"{DS}{name}")

    assert exchange.judged(root) == "saml_signature"


def test_a_cipher_that_is_to_be_fetched_from_elsewhere_is_refused(exchange):
    root = exchange.root
    extensions = etree.SubElement(root, f"{SAMLP}Extensions")
    etree.SubElement(extensions, "{http://www.w3.org/2001/04/xmlenc#}CipherReference", URI="http://127.0.0.1/")

    assert exchange.judged(root) == "saml_signature"


# -- entities ----------------------------------------------------------------------------------------------------------

DTD = {
    "internal": '<!DOCTYPE r [<!ENTITY key "LILLE$1">]>',
    "external": '<!DOCTYPE r [<!ENTITY key SYSTEM "file:///etc/passwd">]>',
    "elsewhere": '<!DOCTYPE r SYSTEM "http://127.0.0.1:1/x.dtd">',
    "bomb": "<!DOCTYPE r ["
    '<!ENTITY a0 "aaaaaaaaaa">' + "".join(f'<!ENTITY a{n} "{f"&a{n - 1};" * 10}">' for n in range(1, 11)) + "]>",
}


@pytest.mark.parametrize("kind", DTD)
def test_an_answer_with_a_document_type_is_refused(exchange, kind):
    text = etree.tostring(exchange.root).decode()
    if kind == "bomb":
        text = text.replace("LILLE$1234567", "&a10;")
    answer = base64.b64encode((DTD[kind] + text).encode()).decode()

    assert exchange.judged(answer) == "saml_binding"


@pytest.mark.parametrize("answer", ["", "no base64!", "bm8geG1s", base64.b64encode(b"<r/>").decode()])
def test_what_is_no_answer_at_all_is_refused(exchange, answer):
    assert exchange.judged(answer) == "saml_binding"


# -- to us, for us, now ------------------------------------------------------------------------------------------------


def test_an_answer_to_another_request_is_refused(exchange):
    assert exchange.judged(exchange.answer, request_id="_another") == "saml_binding"


@pytest.mark.parametrize("attribute", ["InResponseTo", "Destination"])
def test_an_answer_that_does_not_say_to_what_or_where_is_refused(exchange, attribute):
    """The toolkit alone accepts both (federation-slo.md §0)."""
    root = wrapping.without_signature(exchange.root)
    del root.attrib[attribute]

    assert exchange.judged(root) == "saml_binding"


def test_an_answer_to_an_address_that_only_begins_with_ours_is_refused(exchange):
    root = wrapping.without_signature(exchange.root)
    root.set("Destination", idp.ACS + ".stranger.example")

    assert exchange.judged(root) == "saml_binding"


@pytest.mark.parametrize("attribute", ["InResponseTo", "Recipient"])
def test_an_assertion_that_does_not_say_to_what_or_where_is_refused(exchange, attribute):
    def lacking(assertion):
        del data_of(assertion).attrib[attribute]

    assert exchange.judged(exchange.resigned(lacking)) == "saml_binding"


def test_an_assertion_to_an_address_that_holds_ours_is_refused(exchange):
    def elsewhere(assertion):
        data_of(assertion).set("Recipient", f"https://stranger.example/?{idp.ACS}")

    assert exchange.judged(exchange.resigned(elsewhere)) == "saml_binding"


def test_an_assertion_of_another_issuer_is_refused(exchange):
    def other(assertion):
        assertion.find(f"{SAML}Issuer").text = "https://stranger.example"

    assert exchange.judged(exchange.resigned(other)) == "saml_binding"


def test_an_assertion_for_another_audience_is_refused(exchange):
    def other(assertion):
        next(assertion.iter(f"{SAML}Audience")).text = "https://stranger.example"

    assert exchange.judged(exchange.resigned(other)) == "saml_audience"


def test_an_assertion_for_no_audience_is_refused(exchange):
    """The toolkit alone accepts it."""

    def nobody(assertion):
        conditions = assertion.find(f"{SAML}Conditions")
        conditions.remove(conditions.find(f"{SAML}AudienceRestriction"))

    assert exchange.judged(exchange.resigned(nobody)) == "saml_audience"


@pytest.mark.parametrize(
    ("tag", "attribute", "seconds", "cause"),
    [
        ("Conditions", "NotBefore", 290, None),
        ("Conditions", "NotBefore", 320, "saml_time"),
        ("Conditions", "NotOnOrAfter", -290, None),
        ("Conditions", "NotOnOrAfter", -320, "saml_time"),
        ("SubjectConfirmationData", "NotOnOrAfter", -5, "saml_time"),
        ("SubjectConfirmationData", "NotBefore", 20, "saml_time"),
    ],
)
def test_times_are_kept_to(exchange, tag, attribute, seconds, cause):
    def shifted(assertion):
        moment = now() + dt.timedelta(seconds=seconds)
        next(assertion.iter(f"{SAML}{tag}")).set(attribute, written(moment))

    assert exchange.judged(exchange.resigned(shifted)) == cause


def test_an_answer_that_says_that_it_failed_is_refused(exchange):
    root = wrapping.without_signature(exchange.root)
    code = next(root.iter(f"{SAMLP}StatusCode"))
    code.set("Value", "urn:oasis:names:tc:SAML:2.0:status:Responder")

    assert exchange.judged(root) == "saml_status"


# -- the federation key ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("value", ["LILLE$12345678", "AMIENS$1234567", "", " "])
def test_another_federation_key_is_refused(exchange, value):
    def other(assertion):
        for each in assertion.iter(f"{SAML}AttributeValue"):
            each.text = value

    assert exchange.judged(exchange.resigned(other)) == "saml_key_mismatch"


def test_where_no_key_is_expected_it_need_only_be_there(exchange):
    assert exchange.judged(exchange.answer, login=login(expected=None)) is None


def test_the_key_is_compared_by_its_keyed_digest_only(exchange):
    digested = []

    exchange.judged(exchange.answer, login=login(digest=lambda value: digested.append(value) or keyed(value)))

    assert digested == [idp.KEY]


# -- what we ask -------------------------------------------------------------------------------------------------------


def test_a_request_by_post_is_signed_where_the_redirect_is_not_offered(exchange):
    offered = tuple((role, metadata.POST, f"{where}?a=1&b=2") for role, _, where in exchange.facts.endpoints)

    asked = saml.request(exchange.service.asking, replace(exchange.facts, endpoints=offered))

    root = etree.fromstring(base64.b64decode(dict(asked.fields)["SAMLRequest"]))
    assert (signature_of(root) is not None, root.get("Destination")) == (True, asked.url)


def test_an_address_with_a_query_gets_the_request_behind_it(exchange):
    offered = tuple((role, metadata.REDIRECT, f"{where}?a=1&b=2") for role, _, where in exchange.facts.endpoints)

    asked = saml.request(exchange.service.asking, replace(exchange.facts, endpoints=offered))

    assert "?a=1&b=2&SAMLRequest=" in asked.url
