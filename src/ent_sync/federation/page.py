"""What a page is: a login form, an answer to be posted, an error that came with status 200; read, never shown.

The error page with status 200 is the normal case (federation-slo.md §0): success is a form, never a status. The tests
for a form follow eduGAIN's ECCS2 (§3), with a parser in place of regular expressions.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeAlias
from urllib.parse import urljoin

from lxml import html
from lxml.etree import ParserError, _Element

from ent_sync.federation.fetch import Reply

Fields: TypeAlias = tuple[tuple[str, str], ...]

_ENCODINGS = re.compile(r"utf-?8|utf-?16(?:le|be)?|us-ascii|iso-?8859-[0-9]{1,2}|windows-125[0-9]", re.IGNORECASE)
"""Those of pages; of the others that Python knows some are no encodings of text, and some take forever."""

_SHOWING = ("value", "placeholder", "title", "alt", "aria-label")
_UNSEEN = ("script", "style", "noscript", "template")

_REJECTIONS = (
    # SimpleSAMLphp, Shibboleth, Keycloak, ADFS, LemonLDAP::NG and CAS to a service provider that they do not accept.
    "métadonnées non trouvées",
    "metadata not found",
    "unable to locate metadata",
    "no metadata found",
    "no return endpoint",
    "unsupported request",
    "application you have accessed is not registered",
    "unknown service provider",
    "fournisseur de service inconnu",
    "invalid requester",
    "invalid request",
    "unknown login requester",
    "exception non gérée",
    "unhandled exception",
    "application non autorisée",
    "service non autorisé",
)
_ERRORS = (
    "service unavailable",
    "service indisponible",
    "temporairement indisponible",
    "site en maintenance",
    "erreur interne",
    "internal server error",
    "internal error",
    "une erreur est survenue",
    "an error occurred",
    "bad gateway",
)


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Form:
    """A form: where it leads, its fields as a browser would send them, and those that a person fills in."""

    action: str
    posts: bool
    fields: Fields
    account_field: str | None
    password_field: str | None

    def __repr__(self) -> str:
        return "<Form>"

    def filled(self, account: str, password: str) -> Fields:
        """The fields with an account and its password."""
        typed = {self.account_field: account, self.password_field: password}
        kept = [(name, value) for name, value in self.fields if name not in typed]
        return (*kept, *((name, value) for name, value in typed.items() if name is not None))

    def value(self, name: str) -> str | None:
        """What a field holds."""
        return next((value for field, value in self.fields if field == name), None)


@dataclass(frozen=True, slots=True, repr=False)
class Page:
    """A page: its headline, all that it shows in lower case, and its forms."""

    title: str
    text: str
    forms: tuple[Form, ...]

    def __repr__(self) -> str:
        return f"<Page with {len(self.forms)} forms>"

    def shows(self, content: str) -> bool:
        """Whether a text stands on it, whatever the case and the spaces."""
        return _plain(content) in self.text

    @property
    def rejects(self) -> bool:
        """Whether it says that we, or our request, are not accepted."""
        return any(each in (self.title if self.login_form else self.text) for each in _REJECTIONS)

    @property
    def tells_an_error(self) -> bool:
        """Whether it says that something is broken; asked only where what was looked for is not there."""
        return self.rejects or any(each in self.text for each in _ERRORS)

    @property
    def login_form(self) -> Form | None:
        """The one form that asks for a password; None where there is none, or several."""
        found = [each for each in self.forms if each.password_field is not None]
        return found[0] if len(found) == 1 else None

    @property
    def request_form(self) -> Form | None:
        """The form that would hand a SAML request on to another door."""
        found = [each for each in self.forms if each.value("SAMLRequest") is not None and each.posts]
        return found[0] if len(found) == 1 else None

    @property
    def answer_form(self) -> Form | None:
        """The form that would post a SAML response."""
        found = [each for each in self.forms if each.value("SAMLResponse") is not None]
        return found[0] if len(found) == 1 else None


def page(reply: Reply) -> Page:
    """What a reply shows to a person."""
    try:
        root = html.document_fromstring(_decoded(reply), parser=html.HTMLParser(remove_comments=True, remove_pis=True))
        base = next((str(each.get("href")) for each in root.iter("base") if each.get("href")), "")
        forms = tuple(_form(each, urljoin(reply.url, base)) for each in root.iter("form"))
    except (ParserError, ValueError):  # nothing in it, or an address that is none
        return Page("", "", ())
    title = " ".join("".join(str(part) for part in each.itertext()) for each in root.iter("title", "h1"))
    return Page(_plain(title), _plain(" ".join(_shown(root))), forms)


def _decoded(reply: Reply) -> str:
    """The text of a page; where its encoding is told nowhere, UTF-8, else Latin-1 in which all bytes are letters."""
    told = re.search(rb"""<meta[^>]{0,200}charset=["']?([A-Za-z0-9_\-]{1,40})""", reply.body[:4096])
    for encoding in (reply.charset, told[1].decode() if told else None, "utf-8"):
        try:
            text = reply.body.decode(encoding) if encoding and _ENCODINGS.fullmatch(encoding) else None
        except (LookupError, UnicodeError):
            continue
        if text is not None:
            break
    else:
        text = reply.body.decode("latin-1")
    return re.sub(r"^\s*<\?xml[^>]*\?>", "", text)  # lxml takes no text that names an encoding


def _shown(root: _Element) -> Iterator[str]:
    for element in root.iter():
        if element.tag not in _UNSEEN and element.text:
            yield element.text
        if str(element.get("type")).lower() != "hidden":
            yield from (str(element.get(name)) for name in _SHOWING if element.get(name))
        yield element.tail or ""


def _plain(text: str) -> str:
    return " ".join(text.lower().replace("\u2019", "'").split())


def _form(element: _Element, url: str) -> Form:
    fields, account, password = [], None, None
    submits: list[tuple[str, str]] = []
    for each in element.iter("input", "select", "textarea", "button"):
        name, kind = each.get("name"), str(each.get("type") or "text").lower()
        if name is None or each.get("disabled") is not None:
            continue
        value = str(each.get("value") or "")
        if each.tag == "button" or kind in {"submit", "image"}:
            submits += [(str(name), value)] if kind in {"submit", "text"} else []
        elif kind == "password":
            password = password or str(name)
        elif kind in {"checkbox", "radio"}:
            fields += [(str(name), value or "on")] if each.get("checked") is not None else []
        elif kind not in {"reset", "button", "file"}:
            if account is None and kind in {"text", "email"} and each.tag == "input" and password is None:
                account = str(name)
            fields.append((str(name), value))
    return Form(
        action=urljoin(url, str(element.get("action") or "").strip() or url),
        posts=str(element.get("method") or "").lower() == "post",
        fields=(*fields, *submits[:1]),  # as if its first button were pressed
        account_field=account,
        password_field=password,
    )
