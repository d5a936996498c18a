"""Services as tests probe them, and probes that do not wait."""

import datetime as dt
import hashlib
import hmac

from ent_sync.federation.fetch import Limits
from ent_sync.federation.probe import Means, probe
from ent_sync.federation.service import Asking, Login, Published, Service
from servers import idp

QUICK = Limits(dns=1, tcp=1, tls=1, http=2, login=2, attempt=5)


def now():
    return dt.datetime.now(dt.UTC)


def keyed(value):
    return hmac.digest(b"a key of this installation", value.encode(), hashlib.sha256)


def login(**changed):
    values = {
        "account": idp.ACCOUNT,
        "password": idp.PASSWORD,
        "attribute": "ENTPersonJointure",
        "expected": keyed(idp.KEY),
        "digest": keyed,
    }
    return Login(**{**values, **changed})


def asking(server, **changed):
    values = {"entity": idp.SP_ENTITY, "acs": idp.ACS, "certificate": server.certificate("sp"), "key": server.key("sp")}
    return Asking(**{**values, **changed})


def identity(server, **changed):
    """The service that an identity provider is, with all that a probe can ask of it."""
    host, _, port = server.base.partition("//")[2].partition(":")
    values = {
        "name": "educonnect",
        "address": server.metadata,
        "published": Published(server.metadata, (server.pin,)),
        "asking": asking(server),
        "login": login(),
        "admitted": frozenset({(host, int(port))}),
    }
    return Service(**{**values, **changed})


def web(port, **changed):
    """The service that a page is."""
    values = {"name": "ent", "address": f"http://127.0.0.1:{port}/", "admitted": frozenset({("127.0.0.1", port)})}
    return Service(**{**values, **changed})


def tick(service, *, limits=QUICK, retries=(), pause=None, **more):
    """One tick, without retries unless they are asked for, and without their pauses."""
    means = Means(limits=limits, retries=retries, pause=pause or (lambda _: None))
    return probe(service, vantage="main", now=now, means=means, **more)


def verdict(attempt):
    """Result, stage and cause in words."""
    sample = attempt.sample
    return tuple(str(each) if each is not None else None for each in (sample.result, sample.stage, sample.cause))


def stages(attempt):
    return [str(stage) for stage, _ in attempt.stages]
