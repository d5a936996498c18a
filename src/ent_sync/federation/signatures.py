"""What a signature may be before anybody computes it: an allow-list, asked of every signature of a document.

python3-saml runs whatever transforms a signature names, XSLT too, before it looks at any key, and does not compare what
is referenced with what is read (federation-slo.md §0). Only its parser is used, which takes neither DTD nor entities.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from lxml.etree import LxmlError, _Element
from onelogin.saml2.xml_utils import OneLogin_Saml2_XML

DS = "{http://www.w3.org/2000/09/xmldsig#}"
_XENC = "{http://www.w3.org/2001/04/xmlenc#}"
_REFUSED = frozenset({f"{_XENC}CipherReference", f"{DS}Manifest", f"{DS}Object"})
"""What a signature or a cipher may lead to besides the element that holds it."""

_C14N = frozenset({"http://www.w3.org/2001/10/xml-exc-c14n#", "http://www.w3.org/2001/10/xml-exc-c14n#WithComments"})
_TRANSFORMS = _C14N | {"http://www.w3.org/2000/09/xmldsig#enveloped-signature"}
_MORE = "http://www.w3.org/2001/04/xmldsig-more#"
_METHODS = frozenset(
    {
        *(f"{_MORE}{family}-{digest}" for family in ("rsa", "ecdsa") for digest in ("sha256", "sha384", "sha512")),
        *(f"http://www.w3.org/2007/05/xmldsig-more#{digest}-rsa-MGF1" for digest in ("sha256", "sha384", "sha512")),
    }
)
_DIGESTS = frozenset(
    {
        "http://www.w3.org/2001/04/xmlenc#sha256",
        "http://www.w3.org/2001/04/xmldsig-more#sha384",
        "http://www.w3.org/2001/04/xmlenc#sha512",
    }
)


class NotXmlError(Exception):
    """The document is no XML, or XML with a DTD or entities."""


def tree(document: bytes) -> _Element:
    """The document, read by the one parser that is used here. Raises `NotXmlError`."""
    try:
        root = OneLogin_Saml2_XML.to_etree(document)
    except (LxmlError, ValueError, SyntaxError):
        # Refused entities and broken XML alike; what the parser says may quote the document.
        raise NotXmlError from None
    if not isinstance(root, _Element):
        raise NotXmlError
    return root


def sound(root: _Element, most: int) -> bool:
    """Whether every signature of a document may be computed: there are at most so many, each covering its parent."""
    found = list(root.iter(f"{DS}Signature"))
    names = identifiers(root)
    return (
        len(found) <= most
        and not any(each.tag in _REFUSED for each in root.iter())
        and all(covers(each, each.getparent(), names) and _is_plain(each) for each in found)
    )


def covers(signature: _Element, parent: _Element | None, names: Mapping[str, int]) -> bool:
    """Whether a signature is of the element that holds it, by an identifier that no other element has."""
    references = list(signature.iter(f"{DS}Reference"))
    wanted = None if parent is None else parent.get("ID")
    return len(references) == 1 and references[0].get("URI") == f"#{wanted}" and names.get(str(wanted)) == 1


def identifiers(root: _Element) -> Counter[str]:
    """How many elements of a document have each identifier, however its attribute is written."""
    return Counter(
        str(value)
        for element in root.iter()
        for name, value in element.attrib.items()
        if str(name).rpartition("}")[2].lower() == "id"
    )


def algorithms(signature: _Element) -> tuple[str, ...]:
    """The names of its signature and digest methods."""
    found = [each for each in signature.iter() if each.tag in {f"{DS}SignatureMethod", f"{DS}DigestMethod"}]
    return tuple(str(each.get("Algorithm") or "").rpartition("#")[2] for each in found)


def _is_plain(signature: _Element) -> bool:
    def all_of(name: str, allowed: frozenset[str], least: int) -> bool:
        found = [str(each.get("Algorithm")) for each in signature.iter(f"{DS}{name}")]
        return len(found) >= least and set(found) <= allowed

    return (
        all_of("CanonicalizationMethod", _C14N, 1)
        and all_of("SignatureMethod", _METHODS, 1)
        and all_of("DigestMethod", _DIGESTS, 1)
        and all_of("Transform", frozenset(_TRANSFORMS), 1)
        and len(list(signature.iter(f"{DS}Transform"))) <= 2
    )
