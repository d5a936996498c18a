"""A name server that answers as it is told: with an address, that a name is unknown, that it is ill, or not at all."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import dns.flags
import dns.message
import dns.rcode
import dns.rdatatype
import dns.rrset


class NameServer:
    """Listens on the loopback; `addresses` are of names with their last dot, `rcode` answers everything else."""

    def __init__(self) -> None:
        self.addresses: dict[str, str] = {}
        self.rcode: dns.rcode.Rcode | None = dns.rcode.NXDOMAIN
        self._wire = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._wire.bind(("127.0.0.1", 0))
        self.port = int(self._wire.getsockname()[1])
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Ends it."""
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as last:
            last.sendto(b"", ("127.0.0.1", self.port))
        self._thread.join()
        self._wire.close()

    def _serve(self) -> None:
        while True:
            asked, sender = self._wire.recvfrom(4096)
            if not asked:
                return
            question = dns.message.from_wire(asked)
            answer = dns.message.make_response(question)
            name, kind = question.question[0].name, question.question[0].rdtype
            address = self.addresses.get(name.to_text())
            if address is not None and (kind == dns.rdatatype.AAAA) == (":" in address):
                answer.answer.append(dns.rrset.from_text(name, 60, "IN", dns.rdatatype.to_text(kind), address))
            elif address is None:
                if self.rcode is None:
                    continue
                answer.set_rcode(self.rcode)
            self._wire.sendto(answer.to_wire(), sender)


@contextmanager
def naming(**addresses: str) -> Iterator[NameServer]:
    """A name server with some addresses; underscores of names stand for dots."""
    made = NameServer()
    made.addresses = {name.replace("_", ".") + ".": address for name, address in addresses.items()}
    try:
        yield made
    finally:
        made.close()
