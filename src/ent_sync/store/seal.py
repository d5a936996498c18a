"""Sealing: authenticated encryption of values at rest.

AES-256-GCM with a random nonce. The context (which row the value belongs to) is authenticated too, so that two sealed
values cannot be swapped between rows (gdpr.md R27). A leading byte names the key, for rotation.
"""

from __future__ import annotations

import os
from collections.abc import Callable

import msgpack
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from ent_sync.core.errors import StoreError

_NONCE = 12


class Seal:
    """Seals and opens values with the installation's key."""

    def __init__(self, key: bytes, *, key_id: int = 1, nonce: Callable[[int], bytes] = os.urandom) -> None:
        self._cipher = AESGCM(key)
        self._prefix = bytes([key_id])
        self._nonce = nonce

    def close(self, value: object, context: str) -> bytes:
        """The sealed form of a value made of lists, mappings, strings, bytes and numbers."""
        nonce = self._nonce(_NONCE)
        packed: bytes = msgpack.packb(value)
        return self._prefix + nonce + self._cipher.encrypt(nonce, packed, context.encode())

    def open(self, sealed: bytes, context: str) -> object:
        """The value that was sealed for this context.

        Raises:
            StoreError: the key is another one, or the row was tampered with.
        """
        if sealed[:1] != self._prefix:
            raise StoreError("a sealed value names a key that this installation does not have")
        try:
            packed = self._cipher.decrypt(sealed[1 : 1 + _NONCE], sealed[1 + _NONCE :], context.encode())
        except (InvalidTag, ValueError):  # a ValueError where it is cut within the nonce
            raise StoreError(
                "a sealed value does not open: the key file is not the one it was sealed with, or the row was changed"
            ) from None
        value: object = msgpack.unpackb(packed)
        return value
