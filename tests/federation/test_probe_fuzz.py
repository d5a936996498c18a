"""Whatever a server sends, a probe has a verdict: no exception but its own, and none of the server's words in it."""

import base64

from hypothesis import given
from hypothesis import strategies as st
from probing import login, now, web

from ent_sync.federation import metadata, saml
from ent_sync.federation.fetch import Reply
from ent_sync.federation.metadata import Facts
from ent_sync.federation.page import page
from ent_sync.federation.service import Asking, Published
from ent_sync.federation.stopwatch import StageError

ASKING = Asking(entity="urn:sp", acs="https://sonde.example/acs", certificate="", key="")
FACTS = Facts(
    entity="urn:idp",
    valid_until=None,
    endpoints=(("SingleSignOnService", metadata.REDIRECT, "https://idp.example/"),),
    signing=(),
    certificates=(),
    algorithms=(),
)
TAGS = st.sampled_from(
    [
        *(
            "<form>",
            "</form>",
            "<form action='http://[x'>",
            "<input type=password name=p>",
            "<input name=u>",
            "<base href='//['>",
        ),
        *(
            "<!--",
            "-->",
            "<?xml version='1.0' encoding='x'?>",
            "\x00",
            "<title>",
            "<meta charset=punycode>",
            "é",
            "&#0;",
        ),
        *(
            "<md:EntityDescriptor xmlns:md='urn:oasis:names:tc:SAML:2.0:metadata' entityID='x'>",
            "</md:EntityDescriptor>",
        ),
        *(
            "<samlp:Response xmlns:samlp='urn:oasis:names:tc:SAML:2.0:protocol'>",
            "</samlp:Response>",
            "<!DOCTYPE r []>",
        ),
    ]
)
BODIES = st.binary(max_size=200) | st.lists(TAGS, max_size=12).map(lambda tags: "".join(tags).encode())
CHARSETS = st.none() | st.sampled_from(
    ["utf-8", "utf-16", "punycode", "idna", "base64", "x\x00", "latin-1", "ISO-8859-99"]
)


@given(BODIES, CHARSETS)
def test_any_body_is_a_page(body, charset):
    reply = Reply(
        url="https://a.example/", status=200, media="text/html", charset=charset, etag=None, body=body, tls=None
    )

    found = page(reply)

    assert isinstance(found.rejects or found.tells_an_error, bool)


@given(BODIES)
def test_any_metadata_are_believed_or_refused_for_a_cause(body):
    try:
        metadata.facts(body, web(80), Published(None), now())
    except StageError as failure:
        told = str(failure)
    else:
        told = ""

    assert told in {"metadata: md_xml", "metadata: md_entity", "metadata: md_endpoint", "metadata: md_signature"}


@given(BODIES | st.text(max_size=50).map(str.encode), st.booleans())
def test_any_answer_is_refused_for_a_cause(body, encoded):
    answer = base64.b64encode(body).decode() if encoded else body.decode("latin-1")
    try:
        saml.asserted(answer, asking=ASKING, found=FACTS, request_id="_1", login=login(), now=now())
    except StageError as failure:
        told = str(failure)

    assert told in {"assertion: saml_binding", "assertion: saml_signature", "assertion: saml_status"}
