"""What addresses a host has: asked of name servers, so that an unknown name and an ill name server are told apart.

`getaddrinfo` would mix both, and has no time limit.
"""

from __future__ import annotations

import socket
from collections.abc import Sequence
from pathlib import Path

import dns.exception
import dns.name
import dns.nameserver
import dns.resolver

from ent_sync.config.fields import Address
from ent_sync.core.levels.samples import Cause, Stage
from ent_sync.federation.service import is_number
from ent_sync.federation.stopwatch import Deadline, StageError

_HOSTS = Path("/etc/hosts")


def addresses(host: str, resolvers: Sequence[Address], deadline: Deadline) -> tuple[str, ...]:
    """The addresses of a host, IPv4 first; numbers, `localhost` and the machine's own list are not asked for.

    Raises `StageError` of the stage `dns`.
    """
    if is_number(host):
        return (host,)
    known = _of_this_machine(host) if not resolvers or host == "localhost" else ()
    return known or _asked(host, resolvers, deadline)


def _of_this_machine(host: str) -> tuple[str, ...]:
    if host == "localhost":
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
        return tuple(dict.fromkeys(str(each[4][0]) for each in sorted(found, key=lambda each: each[0])))
    try:
        lines = _HOSTS.read_text(errors="replace").splitlines()
    except OSError:
        return ()
    listed = [line.partition("#")[0].lower().split() for line in lines]
    return tuple(line[0] for line in listed if host in line[1:] and is_number(line[0]))


def _asked(host: str, resolvers: Sequence[Address], deadline: Deadline) -> tuple[str, ...]:
    try:
        found = _resolver(resolvers).resolve_name(dns.name.from_text(host), lifetime=deadline.left)
        return tuple(found.addresses())
    except (dns.resolver.NXDOMAIN, dns.resolver.NoAnswer):
        cause = Cause.DNS_NXDOMAIN
    except dns.resolver.NoResolverConfiguration:
        cause = Cause.OWN_DNS
    except dns.exception.Timeout:
        cause = Cause.DNS_TIMEOUT
    except dns.exception.DNSException:
        cause = Cause.DNS_SERVFAIL
    raise StageError(Stage.DNS, cause)


def _resolver(resolvers: Sequence[Address]) -> dns.resolver.Resolver:
    made = dns.resolver.Resolver(configure=not resolvers)
    if resolvers:
        made.nameservers = [dns.nameserver.Do53Nameserver(each.host, each.port) for each in resolvers]
    made.cache = None  # a probe wants to know what is said now
    return made
