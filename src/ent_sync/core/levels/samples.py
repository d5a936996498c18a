"""What a probe saw, and what several vantage points make of it together (federation-slo.md §3)."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum


class Result(StrEnum):
    """Of one attempt, or of a tick. Unknown is neither up nor down."""

    UP = "up"
    DOWN = "down"
    UNKNOWN = "unknown"


class Stage(StrEnum):
    """The steps of a probe, in order; it ends at the first that fails."""

    DNS = "dns"
    TCP = "tcp"
    TLS = "tls"
    HTTP = "http"
    METADATA = "metadata"
    SSO = "sso"
    LOGIN_PAGE = "login_page"
    LOGIN = "login"
    ASSERTION = "assertion"
    OWN = "own"


class Cause(StrEnum):
    """Why a stage failed: a closed list, so that no text of a server ever gets into a sample."""

    DNS_NXDOMAIN = "dns_nxdomain"
    DNS_SERVFAIL = "dns_servfail"
    DNS_TIMEOUT = "dns_timeout"
    TCP_REFUSED = "tcp_refused"
    TCP_TIMEOUT = "tcp_timeout"
    TCP_UNREACHABLE = "tcp_unreachable"
    TLS_EXPIRED = "tls_expired"
    TLS_NOT_YET = "tls_not_yet"
    TLS_HOST = "tls_host"
    TLS_CHAIN = "tls_chain"
    TLS_HANDSHAKE = "tls_handshake"
    HTTP_5XX = "http_5xx"
    HTTP_4XX = "http_4xx"
    HTTP_TIMEOUT = "http_timeout"
    HTTP_REDIRECT = "http_redirect"
    HTTP_SIZE = "http_size"
    MD_SIGNATURE = "md_signature"
    MD_EXPIRED = "md_expired"
    MD_ENTITY = "md_entity"
    MD_ENDPOINT = "md_endpoint"
    MD_XML = "md_xml"
    SSO_REJECTED = "sso_rejected"
    CONTENT_FORM = "content_form"
    CONTENT_ERROR = "content_error"
    LOGIN_REFUSED = "login_refused"
    LOGIN_NO_RESPONSE = "login_no_response"
    SAML_SIGNATURE = "saml_signature"
    SAML_TIME = "saml_time"
    SAML_AUDIENCE = "saml_audience"
    SAML_BINDING = "saml_binding"
    SAML_STATUS = "saml_status"
    SAML_KEY_MISMATCH = "saml_key_mismatch"
    OWN_NETWORK = "own_network"
    OWN_CLOCK = "own_clock"
    OWN_DNS = "own_dns"
    OWN_ERROR = "own_error"


UNDECIDED = frozenset({Cause.LOGIN_REFUSED, Cause.OWN_NETWORK, Cause.OWN_CLOCK, Cause.OWN_DNS, Cause.OWN_ERROR})
"""Causes that tell nothing of the service: our own network, clock and account."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One timed attempt on a service from one vantage point; `seconds` is how long it took."""

    service: str
    vantage: str
    time: dt.datetime
    result: Result
    stage: Stage | None = None
    cause: Cause | None = None
    seconds: float | None = None


@dataclass(frozen=True, slots=True, order=True)
class Tick:
    """What is known of a service at one moment, all vantage points together."""

    time: dt.datetime
    result: Result


def quorum(results: Sequence[Result], vantages: int) -> Result:
    """The verdict of a tick: down or up when most of those that know say so, and at least half of all know."""
    known = [each for each in results if each is not Result.UNKNOWN]
    down = known.count(Result.DOWN)
    if not known or 2 * len(known) < vantages:
        return Result.UNKNOWN
    if 2 * down > len(known):
        return Result.DOWN
    return Result.UP if 2 * down < len(known) else Result.UNKNOWN


def ticks(samples: Iterable[Sample], vantages: int, cadence: Callable[[dt.datetime], dt.timedelta]) -> tuple[Tick, ...]:
    """The ticks of one service, in order.

    Samples of several vantage points belong together when they fall into the same cadence, counted from the epoch; of
    one vantage point each sample is a tick of its own.
    """
    ordered = sorted(samples, key=lambda each: each.time)
    if vantages <= 1:
        return tuple(Tick(each.time.astimezone(dt.UTC), each.result) for each in ordered)
    together: dict[tuple[int, float], list[Sample]] = {}
    for each in ordered:
        together.setdefault(slot(each.time, cadence(each.time)), []).append(each)
    found = []
    for group in together.values():
        latest = {each.vantage: each.result for each in group}
        found.append(Tick(group[0].time.astimezone(dt.UTC), quorum(list(latest.values()), vantages)))
    return tuple(sorted(found))


def slot(moment: dt.datetime, cadence: dt.timedelta) -> tuple[int, float]:
    """Which repetition of a cadence a moment falls into."""
    return int(moment.timestamp() // cadence.total_seconds()), cadence.total_seconds()
