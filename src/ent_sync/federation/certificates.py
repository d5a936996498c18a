"""Certificates as facts: for what, until when, and which one; read, not judged."""

from __future__ import annotations

import datetime as dt
import re
import warnings
from dataclasses import dataclass
from enum import StrEnum

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key
from cryptography.utils import CryptographyDeprecationWarning

_PEM = re.compile(r"-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----", re.DOTALL)


class Use(StrEnum):
    """What a certificate is for."""

    TLS = "tls"
    SIGNING = "signing"
    ENCRYPTION = "encryption"
    METADATA = "metadata"


@dataclass(frozen=True, slots=True)
class Certificate:
    """One certificate; `digest` is the SHA-256 of its DER form, in hexadecimal."""

    use: Use
    not_after: dt.datetime
    digest: str


def certificate(use: Use, der: bytes) -> Certificate | None:
    """The facts of a certificate in DER form; None where it is none."""
    return _facts(use, der, pem=False)


def pinned(pem: str) -> Certificate | None:
    """The facts of a certificate that metadata are signed with, in PEM form; None where it is none."""
    return _facts(Use.METADATA, pem.encode(), pem=True)


def _facts(use: Use, data: bytes, *, pem: bool) -> Certificate | None:
    try:
        with warnings.catch_warnings():
            # Serial numbers of 0 and the like: somebody else's certificate is theirs to mend.
            warnings.simplefilter("ignore", CryptographyDeprecationWarning)
            found = x509.load_pem_x509_certificate(data) if pem else x509.load_der_x509_certificate(data)
    except ValueError:
        return None
    return Certificate(use, found.not_valid_after_utc, found.fingerprint(SHA256()).hex())


def certificates_in(text: str) -> tuple[str, ...]:
    """The certificates of a file, each in PEM form; those that cannot be read are left out."""
    return tuple(each for each in _PEM.findall(text) if pinned(each) is not None)


def belong(certificate_pem: str, key_pem: str) -> bool:
    """Whether a private key, without a password, is that of a certificate."""
    try:
        public = load_pem_private_key(key_pem.encode(), None).public_key()
        certified = x509.load_pem_x509_certificate(certificate_pem.encode()).public_key()
    except (ValueError, TypeError, UnsupportedAlgorithm):
        return False
    form = (Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return public.public_bytes(*form) == certified.public_bytes(*form)
