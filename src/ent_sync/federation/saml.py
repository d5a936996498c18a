"""What we ask an identity provider, and what its answer must be (federation-slo.md §1).

python3-saml signs requests and computes signatures of answers; what it does not ask (that an answer is to our request,
to our address, for us, and new) is asked here. What it says of a failure is mapped to a cause and dropped: it quotes
the answer.
"""

from __future__ import annotations

import base64
import binascii
import datetime as dt
import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias
from urllib.parse import urlsplit
from xml.sax.saxutils import escape

from lxml.etree import LxmlError, _Element
from onelogin.saml2.auth import OneLogin_Saml2_Auth
from onelogin.saml2.authn_request import OneLogin_Saml2_Authn_Request
from onelogin.saml2.errors import OneLogin_Saml2_Error, OneLogin_Saml2_ValidationError
from onelogin.saml2.response import OneLogin_Saml2_Response
from onelogin.saml2.settings import OneLogin_Saml2_Settings
from onelogin.saml2.utils import OneLogin_Saml2_Utils

from ent_sync.core.levels.samples import Cause, Stage
from ent_sync.federation.metadata import POST, REDIRECT, Facts, moment
from ent_sync.federation.service import Asking, Login, bare_key
from ent_sync.federation.signatures import NotXmlError, sound, tree
from ent_sync.federation.stopwatch import StageError

Tree: TypeAlias = "dict[str, Tree] | list[str] | str | bool"

SAML = "{urn:oasis:names:tc:SAML:2.0:assertion}"
SAMLP = "{urn:oasis:names:tc:SAML:2.0:protocol}"
_BEARER = "urn:oasis:names:tc:SAML:2.0:cm:bearer"
_SHA256 = "http://www.w3.org/2001/04/xmlenc#sha256"
_RSA_SHA256 = "http://www.w3.org/2001/04/xmldsig-more#rsa-sha256"
DRIFT = dt.timedelta(seconds=300)
"""What the toolkit allows two clocks to differ, of `Conditions` only (constants.py)."""

_Codes = OneLogin_Saml2_ValidationError
_CAUSES: Mapping[int, Cause] = {
    _Codes.UNSUPPORTED_SAML_VERSION: Cause.SAML_STATUS,
    _Codes.MISSING_STATUS: Cause.SAML_STATUS,
    _Codes.MISSING_STATUS_CODE: Cause.SAML_STATUS,
    _Codes.STATUS_CODE_IS_NOT_SUCCESS: Cause.SAML_STATUS,
    _Codes.ASSERTION_TOO_EARLY: Cause.SAML_TIME,
    _Codes.ASSERTION_EXPIRED: Cause.SAML_TIME,
    _Codes.SESSION_EXPIRED: Cause.SAML_TIME,
    _Codes.RESPONSE_EXPIRED: Cause.SAML_TIME,
    _Codes.WRONG_AUDIENCE: Cause.SAML_AUDIENCE,
    _Codes.WRONG_INRESPONSETO: Cause.SAML_BINDING,
    _Codes.WRONG_DESTINATION: Cause.SAML_BINDING,
    _Codes.EMPTY_DESTINATION: Cause.SAML_BINDING,
    _Codes.WRONG_ISSUER: Cause.SAML_BINDING,
    _Codes.WRONG_SUBJECTCONFIRMATION: Cause.SAML_BINDING,
    _Codes.MISSING_CONDITIONS: Cause.SAML_BINDING,
    _Codes.NO_ATTRIBUTESTATEMENT: Cause.SAML_KEY_MISMATCH,
    _Codes.ENCRYPTED_ATTRIBUTES: Cause.SAML_KEY_MISMATCH,
}
"""What the toolkit found; everything else is about what is signed, and by whom."""


@dataclass(frozen=True, slots=True, repr=False)
class Request:
    """A signed request: where it goes, by POST where it has fields, and its identifier."""

    url: str
    fields: tuple[tuple[str, str], ...]
    id: str

    def __repr__(self) -> str:
        return "<Request>"


@dataclass(frozen=True, slots=True)
class Asserted:
    """What was learnt of an answer that holds: its digest, until when it could be played again, and the clocks."""

    digest: str
    until: dt.datetime
    offset: float


def request(asking: Asking, found: Facts) -> Request:
    """A signed request for a login page: HTTP-Redirect where it is offered, else HTTP-POST."""
    url = found.login_address(REDIRECT)
    posts = url is None
    url = url or found.login_address(POST) or ""
    # The toolkit writes settings into the request as they are: they must be XML already.
    settings = OneLogin_Saml2_Settings(_settings(asking, found, url, written=True))
    made = OneLogin_Saml2_Authn_Request(settings)
    if not posts:
        auth = OneLogin_Saml2_Auth(_web(asking), old_settings=settings)
        parameters = {"SAMLRequest": made.get_request(), "RelayState": asking.acs}
        auth.add_request_signature(parameters, _RSA_SHA256)
        return Request(str(auth.redirect_to(url, parameters)), (), made.get_id())
    signed = OneLogin_Saml2_Utils.add_sign(
        made.get_xml(),
        asking.key,
        asking.certificate,
        sign_algorithm=_RSA_SHA256,
        digest_algorithm=_SHA256,
    )
    body = base64.b64encode(signed if isinstance(signed, bytes) else signed.encode()).decode()
    return Request(url, (("SAMLRequest", body), ("RelayState", asking.acs)), made.get_id())


def asserted(answer: str, *, asking: Asking, found: Facts, request_id: str, login: Login, now: dt.datetime) -> Asserted:
    """Checks an answer, as its form would have posted it.

    Raises `StageError` of the stage `assertion`. Whether it came before is for the caller to ask.
    """
    root = _checked_tree(answer)
    settings = OneLogin_Saml2_Settings(_settings(asking, found, _any_address(found), written=False))
    try:
        response = OneLogin_Saml2_Response(settings, answer)
    except (OneLogin_Saml2_Error, OneLogin_Saml2_ValidationError, LxmlError, ValueError):
        raise _failed(Cause.SAML_SIGNATURE) from None  # an assertion that was not encrypted for us
    document = response.decrypted_document if response.encrypted else root
    if response.encrypted and not sound(document, 2):
        raise _failed(Cause.SAML_SIGNATURE)
    assertions = list(document.iter(f"{SAML}Assertion"))
    _check_times(assertions, now)
    try:
        response.is_valid(_web(asking), request_id=request_id, raise_exceptions=True)
    except (OneLogin_Saml2_ValidationError, OneLogin_Saml2_Error) as error:
        raise _failed(_CAUSES.get(error.code, Cause.SAML_SIGNATURE)) from None
    except Exception:  # noqa: BLE001 - whatever an answer makes the toolkit do, it is the answer's fault
        raise _failed(Cause.SAML_SIGNATURE) from None
    assertion = assertions[0]  # the only one, and signed: the toolkit has seen to it
    _check_binding(root, assertion, asking, request_id)
    _check_key(assertion, login)
    ends = [moment(str(each.get("NotOnOrAfter"))) for each in assertion.iter() if each.get("NotOnOrAfter")]
    issued = moment(str(root.get("IssueInstant")))
    name = hashlib.sha256(str(assertion.get("ID")).encode()).hexdigest()
    return Asserted(name, max(ends, default=now) + DRIFT, (issued - now).total_seconds())


def offset(answer: str, now: dt.datetime) -> float | None:
    """How far the clock of who answered is ahead of ours, in seconds; told of any answer that is XML."""
    try:
        written = _checked_tree(answer).get("IssueInstant")
    except StageError:
        return None
    return (moment(str(written)) - now).total_seconds() if written else None


def _checked_tree(answer: str) -> _Element:
    try:
        root = tree(base64.b64decode("".join(answer.split()), validate=True))
    except (NotXmlError, binascii.Error, ValueError):
        raise _failed(Cause.SAML_BINDING) from None
    if root.tag != f"{SAMLP}Response":
        raise _failed(Cause.SAML_BINDING)
    if not sound(root, 2):
        raise _failed(Cause.SAML_SIGNATURE)
    return root


def _check_times(assertions: list[_Element], now: dt.datetime) -> None:
    """By our own reading: the toolkit does not say that a refused `SubjectConfirmation` was about the clock."""
    for assertion in assertions:
        for each in assertion.iter():
            if each.tag not in {f"{SAML}Conditions", f"{SAML}SubjectConfirmationData"}:
                continue
            drift = DRIFT if each.tag == f"{SAML}Conditions" else dt.timedelta()
            begins, ends = each.get("NotBefore"), each.get("NotOnOrAfter")
            if (begins and moment(str(begins)) > now + drift) or (ends and moment(str(ends)) + drift <= now):
                raise _failed(Cause.SAML_TIME)


def _check_binding(root: _Element, assertion: _Element, asking: Asking, request_id: str) -> None:
    """That it answers our request, to our address, for us: present and equal, where the toolkit lets it be absent."""
    confirmations = [
        each.find(f"{SAML}SubjectConfirmationData")
        for each in assertion.iterfind(f"{SAML}Subject/{SAML}SubjectConfirmation")
        if each.get("Method") == _BEARER
    ]
    bound = [
        each is not None and each.get("InResponseTo") == request_id and each.get("Recipient") == asking.acs
        for each in confirmations
    ]
    if root.get("InResponseTo") != request_id or root.get("Destination") != asking.acs or not bound or not all(bound):
        raise _failed(Cause.SAML_BINDING)
    restrictions = assertion.findall(f"{SAML}Conditions/{SAML}AudienceRestriction")
    named = [{str(name.text).strip() for name in each.iterfind(f"{SAML}Audience")} for each in restrictions]
    if not named or not all(asking.entity in names for names in named):
        raise _failed(Cause.SAML_AUDIENCE)


def _check_key(assertion: _Element, login: Login) -> None:
    """That the federation key is there, and the provisioned one where we know it; only digests are compared."""
    values = [
        bare_key("".join(str(part) for part in value.itertext()))
        for each in assertion.iterfind(f"{SAML}AttributeStatement/{SAML}Attribute")
        if login.attribute in {each.get("Name"), each.get("FriendlyName")}
        for value in each.iterfind(f"{SAML}AttributeValue")
    ]
    expected = login.expected
    equal = [expected is None or hmac.compare_digest(login.digest(value), expected) for value in values if value]
    if not any(equal):
        raise _failed(Cause.SAML_KEY_MISMATCH)


def _failed(cause: Cause) -> StageError:
    return StageError(Stage.ASSERTION, cause, final=True)


def _any_address(found: Facts) -> str:
    return found.login_address(REDIRECT) or found.login_address(POST) or ""


def _web(asking: Asking) -> dict[str, str | dict[str, str]]:
    parts = urlsplit(asking.acs)
    return {
        "https": "on" if parts.scheme == "https" else "off",
        "http_host": parts.netloc,
        "script_name": parts.path,
        "get_data": {},
        "post_data": {},
    }


def _settings(asking: Asking, found: Facts, address: str, *, written: bool) -> Tree:
    def told(text: str) -> str:
        return escape(text, {'"': "&quot;"}) if written else text

    return {
        "strict": True,
        "debug": False,
        "sp": {
            "entityId": told(asking.entity),
            "assertionConsumerService": {"url": told(asking.acs), "binding": POST},
            "x509cert": asking.certificate,
            "privateKey": asking.key,
        },
        "idp": {
            "entityId": found.entity,
            "singleSignOnService": {"url": told(address), "binding": REDIRECT},
            "x509certMulti": {"signing": list(found.signing)},
        },
        "security": {
            "authnRequestsSigned": True,
            "wantAssertionsSigned": True,
            "wantNameId": False,
            "rejectDeprecatedAlgorithm": True,
            "requestedAuthnContext": False,
            "signatureAlgorithm": _RSA_SHA256,
            "digestAlgorithm": _SHA256,
        },
    }
