"""Notices by webhook, in the shape of Standard Webhooks: signed, with an id that stays when it is sent again.

The receiver computes the same HMAC over `id.timestamp.body`, refuses what is older than five minutes, and knows by the
id what it has already had.
"""

from __future__ import annotations

import base64
import binascii
import datetime as dt
import hashlib
import hmac
import http.client
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from ent_sync import __version__
from ent_sync.core.levels.samples import Stage
from ent_sync.core.notice.kinds import Notice
from ent_sync.federation.channels.letter import Answer, Letter
from ent_sync.federation.names import addresses
from ent_sync.federation.stopwatch import StageError, Stopwatch
from ent_sync.federation.wires import Wire, connected, encrypted, tls_context

SECONDS = 10.0
_WRITTEN = "whsec_"


@dataclass(frozen=True, slots=True, kw_only=True)
class Subscription:
    """Where notices are posted, and with which keys they are signed: two while they change. `trust` is PEM."""

    url: str
    keys: tuple[bytes, ...] = field(repr=False)
    trust: str | None = None
    seconds: float = SECONDS


def key(secret: bytes) -> bytes:
    """The key that a secret is, or holds where it is written `whsec_` and base64, as Standard Webhooks do."""
    text = secret.decode("ascii", errors="replace")
    if text.startswith(_WRITTEN):
        try:
            return base64.b64decode(text.removeprefix(_WRITTEN), validate=True)
        except (binascii.Error, ValueError):
            pass
    return secret


def document(letter: Letter) -> dict[str, object]:
    """The body of a webhook; its keys stay."""
    notice, update = letter.notice, letter.update
    return {
        "type": f"{notice.kind}.{update.what}",
        "timestamp": _moment(update.at),
        "data": {
            "notice": notice.id,
            "sequence": update.sequence,
            "kind": notice.kind.value,
            "state": notice.state.value,
            "source": notice.author.value,
            "services": list(notice.services),
            "cause": notice.cause if letter.code else _family(notice),
            "began": _moment(notice.began),
            "detected": _moment(notice.detected),
            "ended": _moment(notice.ended),
            "announced": _moment(notice.announced),
            "starts": _moment(notice.starts),
            "ends": _moment(notice.ends),
            "agreed": letter.agreed,
            "url": letter.link,
            "title": {each: letter.words(each).title(notice) for each in letter.languages},
            "text": {each: letter.body(each) for each in letter.languages},
        },
    }


def _family(notice: Notice) -> str | None:
    """The cause no finer than its stage."""
    return notice.cause.partition("_")[0] if notice.cause else None


def _moment(moment: dt.datetime | None) -> str | None:
    return None if moment is None else moment.astimezone(dt.UTC).isoformat().replace("+00:00", "Z")


def signature(keys: Sequence[bytes], message: str, timestamp: int, body: bytes) -> str:
    """The header `webhook-signature`: one for each key."""
    signed = f"{message}.{timestamp}.".encode() + body
    made = (base64.b64encode(hmac.digest(each, signed, hashlib.sha256)).decode() for each in keys)
    return " ".join(f"v1,{each}" for each in made)


def post(letter: Letter, subscription: Subscription, now: dt.datetime) -> Answer:
    """Post a letter; accepted with any status from 200 to 299. Never raises, follows no redirect."""
    name = f"{letter.notice.id}.{letter.update.sequence}"
    body = json.dumps(document(letter), ensure_ascii=False).encode()
    timestamp = int(now.timestamp())
    headers = {
        "Content-Type": "application/json",
        "User-Agent": f"ent-sync/{__version__}",
        "Connection": "close",
        "webhook-id": name,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": signature(subscription.keys, name, timestamp, body),
    }
    try:
        status = _posted(subscription, body, headers)
    except StageError as failure:
        return Answer(accepted=False, status=failure.cause.value)
    except (OSError, ValueError, http.client.HTTPException):
        return Answer(accepted=False, status="broken off")
    return Answer(accepted=200 <= status < 300, status=str(status), ended=status == http.client.GONE)


def _posted(subscription: Subscription, body: bytes, headers: dict[str, str]) -> int:
    parts = urlsplit(subscription.url)
    host = (parts.hostname or "").lower()
    secure = parts.scheme == "https"
    context = tls_context(subscription.trust) if secure else None
    watch = Stopwatch(subscription.seconds)
    with watch.stage(Stage.HTTP, subscription.seconds) as deadline:
        bare = connected(addresses(host, (), deadline), parts.port or (443 if secure else 80), deadline)
        if context is not None:
            bare, _ = encrypted(bare, host, context, deadline)
        wire = Wire(bare, deadline)
        connection = http.client.HTTPConnection(host, parts.port)
        connection.sock = wire  # a part of a socket is all that it uses
        try:
            target = f"{parts.path or '/'}{'?' + parts.query if parts.query else ''}"
            connection.request("POST", target, body=body, headers=headers)
            return connection.getresponse().status
        finally:
            connection.close()
            wire.end()
