"""A throw-away OpenLDAP server for tests and benchmarks: a real slapd as a process without privileges.

Each has its own ports, folder, certificates and data; it can be stopped, killed, paused and restarted on them. Three
accounts: `admin` is the rootdn, whom no limit and no access rule binds; `reader` reads all and `writer` writes all
under the base, and limits bind them as they would bind ent-sync.
"""

import contextlib
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from servers.certificates import CLIENT, make_certificates

SLAPD, SLAPADD, SLAPCAT = "/usr/sbin/slapd", "/usr/sbin/slapadd", "/usr/sbin/slapcat"
STANDARD = Path("/etc/ldap/schema")
MODULES = Path("/usr/lib/ldap")
NATIONAL = Path(__file__).parents[2] / "deploy" / "ldap" / "ent.schema"
PATIENCE = 20.0

PASSWORD = "for-tests-only"  # noqa: S105 - of servers that live as long as a test
BRANCHES = ("people", "structures", "groups", "suspended")


@dataclass(frozen=True, kw_only=True)
class Settings:
    """How a server behaves; the defaults are those of an ordinary one with all that ent-sync can use.

    `durable` False is `dbnosync`. `size_limit` and `time_limit` bind the reader, and the writer where `writer_bound`.
    `session_log` None gives syncprov without one; `syncprov` False a server that offers no RFC 4533 at all.
    `max_bytes` is what the data may grow to, so a small one is a full disk. `empty` leaves out even the base, as a
    replica begins. Lines are of slapd.conf(5).
    """

    base: str = "dc=ent,dc=example"
    branches: Sequence[str] = BRANCHES
    durable: bool = True
    read_only: bool = False
    size_limit: int | None = None
    time_limit: int | None = None
    writer_bound: bool = False
    syncprov: bool = True
    session_log: int | None = 1000
    max_bytes: int = 1 << 30
    indices: Sequence[str] = ("objectClass,entryCSN,entryUUID,uid,cn,member eq",)
    global_lines: Sequence[str] = ()
    database_lines: Sequence[str] = ()
    tls_only: bool = False
    empty: bool = False


@dataclass
class Slapd:
    """A server that was started; the folder is its own and goes with it."""

    settings: Settings
    folder: Path
    port: int = 0
    tls_port: int = 0
    process: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    # -- where and who -------------------------------------------------------------------------------------------------

    @property
    def base(self) -> str:
        return self.settings.base

    @property
    def url(self) -> str:
        return f"ldap://127.0.0.1:{self.port}"

    @property
    def tls_url(self) -> str:
        return f"ldaps://127.0.0.1:{self.tls_port}"

    @property
    def ldapi_url(self) -> str:
        return "ldapi://" + str(self.folder / "ldapi").replace("/", "%2F")

    @property
    def admin(self) -> str:
        return f"cn=admin,{self.base}"

    @property
    def reader(self) -> str:
        return f"cn=reader,{self.base}"

    @property
    def writer(self) -> str:
        return f"cn=writer,{self.base}"

    @property
    def password(self) -> str:
        """Of all three accounts."""
        return PASSWORD

    @property
    def password_file(self) -> Path:
        """Holds the password of all three accounts, for configurations."""
        return self.folder / "password"

    def section(self, bind_as: str = "writer", /, **more: object) -> dict[str, object]:
        """A section of a configuration that reaches this server, bound as `reader`, `writer` or `admin`."""
        bind = {"dn": f"cn={bind_as},{self.base}", "password": {"file": str(self.password_file)}}
        return {"servers": [self.url], "bind": bind, "base": self.base, **more}

    @property
    def ca(self) -> Path:
        return self.folder / "tls" / "ca.pem"

    @property
    def client_certificate(self) -> Path:
        """By which SASL EXTERNAL over TLS binds as the writer; over ldapi whoever runs the tests is the writer too."""
        return self.folder / "tls" / "client.pem"

    @property
    def client_key(self) -> Path:
        return self.folder / "tls" / "client.key"

    @property
    def log(self) -> str:
        return (self.folder / "slapd.log").read_text(errors="replace")

    # -- life ----------------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Start on the data that is there, and wait until it answers; the ports stay those of the first start."""
        ports_are_free_to_choose = self.port == 0
        for _ in range(5):
            if ports_are_free_to_choose:
                self.port, self.tls_port = free_port(), free_port()
            if self._started():
                return
            if not ports_are_free_to_choose:
                break
        raise AssertionError(f"slapd does not start: {self.log[-2000:]}")

    def _started(self) -> bool:
        _write_configuration(self)
        plain = "" if self.settings.tls_only else f"{self.url}/ "
        with (self.folder / "slapd.log").open("ab") as log:
            self.process = subprocess.Popen(
                [
                    *(SLAPD, "-d", "0", "-f", self.folder / "slapd.conf"),
                    *("-h", f"{plain}{self.tls_url}/ {self.ldapi_url}"),
                ],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self.folder,
                **_unprivileged(),
            )
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                return False
            if _listens(self.tls_port if self.settings.tls_only else self.port):
                return True
            time.sleep(0.01)
        self.kill()
        return False

    def stop(self) -> None:
        """Stop in good order."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """Stop at once, in the middle of whatever it does."""
        self._end(signal.SIGKILL)

    def _end(self, sign: signal.Signals) -> None:
        if self.process is None:
            return
        self.process.send_signal(sign)
        self.process.send_signal(signal.SIGCONT)
        try:
            self.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process = None

    def restart(self, settings: Settings | None = None) -> None:
        """Stop, and start on the same data and ports; with other settings where given."""
        self.stop()
        self.settings = settings or self.settings
        self.start()

    def pause(self) -> None:
        """Keep all connections, and answer nothing until `proceed`."""
        assert self.process is not None
        self.process.send_signal(signal.SIGSTOP)
        # The signal takes its time; only now has every thread stopped.
        os.waitid(os.P_PID, self.process.pid, os.WSTOPPED)

    def proceed(self) -> None:
        """Go on after `pause`."""
        assert self.process is not None
        self.process.send_signal(signal.SIGCONT)

    # -- content -------------------------------------------------------------------------------------------------------

    def add_ldif(self, ldif: str) -> None:
        """Add entries through the protocol, as admin."""
        self.tool("ldapadd", "-c", given=ldif)

    def modify_ldif(self, ldif: str) -> None:
        """Change records through the protocol, as admin."""
        self.tool("ldapmodify", given=ldif)

    def search(self, *arguments: str) -> str:
        """What ldapsearch prints, as admin, without comments and folded lines: filter, then attributes."""
        return self.tool("ldapsearch", "-LLL", "-o", "ldif-wrap=no", "-b", self.base, *arguments)

    def tool(self, name: str, *arguments: str, given: str | None = None) -> str:
        """What one of the C tools prints, bound as admin; it must end well."""
        done = subprocess.run(
            [name, "-x", "-H", self.ldapi_url, "-D", self.admin, "-w", PASSWORD, *arguments],
            input=given,
            capture_output=True,
            text=True,
            check=False,
            timeout=600,
        )
        assert done.returncode == 0, f"{name} ended with {done.returncode}: {done.stderr[-2000:]}"
        return done.stdout

    def slapadd(self, ldif: str | Path) -> None:
        """Load entries beneath the protocol, as fast as it goes; a running server is stopped for it."""
        runs = self.process is not None
        self.stop()
        if isinstance(ldif, str):
            (self.folder / "load.ldif").write_text(ldif)
            _give_away(self.folder / "load.ldif")
            ldif = self.folder / "load.ldif"
        _run([SLAPADD, "-q", "-w", "-f", self.folder / "slapd.conf", "-b", self.base], ldif)
        if runs:
            self.start()

    def slapcat(self) -> str:
        """All entries as LDIF, beneath the protocol."""
        return _run([SLAPCAT, "-f", self.folder / "slapd.conf", "-b", self.base, "-o", "ldif-wrap=no"], None)

    def clear(self) -> None:
        """Back to the base with its branches and accounts and nothing else; the server starts anew if it runs."""
        runs = self.process is not None
        self.stop()
        shutil.rmtree(self.folder / "data")
        _own_folder(self.folder / "data")
        if not self.settings.empty:
            self.slapadd(_first_entries(self.settings))
        if runs:
            self.start()


@contextlib.contextmanager
def slapd(settings: Settings | None = None, /, *, running: bool = True, **changed: object) -> Iterator[Slapd]:
    """A server with the base, its branches and accounts in it; `changed` are fields of `Settings`.

    It needs no folder of the test: root's folders are closed to the account that slapd runs as.
    """
    settings = settings or Settings(**changed)  # type: ignore[arg-type]
    # not in a longer temporary folder: the path of a unix socket may have 107 bytes
    folder = Path(tempfile.mkdtemp(prefix="slapd-", dir="/tmp"))
    try:
        _give_away(folder)
        _own_folder(folder / "data")
        _own_folder(folder / "tls")
        server = Slapd(settings=settings, folder=folder)
        make_certificates(folder / "tls")
        for path in (folder / "tls").iterdir():
            _give_away(path)
        server.password_file.write_text(PASSWORD)
        server.password_file.chmod(0o600)
        _write_configuration(server)
        if not settings.empty:
            server.slapadd(_first_entries(settings))
        if running:
            server.start()
        try:
            yield server
        finally:
            server.kill()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def free_port() -> int:
    """A port nobody listens on just now."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


def _listens(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
        return True
    return False


# -- an account without privileges -------------------------------------------------------------------------------------


def _unprivileged() -> dict[str, object]:
    if os.geteuid() != 0:
        return {}
    nobody = pwd.getpwnam("nobody")
    return {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}


def _give_away(path: Path) -> None:
    if os.geteuid() == 0:
        nobody = pwd.getpwnam("nobody")
        os.chown(path, nobody.pw_uid, nobody.pw_gid)


def _own_folder(path: Path) -> None:
    path.mkdir(mode=0o700)
    _give_away(path)


def _run(command: Sequence[str | Path], given: Path | None) -> str:
    with given.open("rb") if given else contextlib.nullcontext(subprocess.DEVNULL) as source:
        done = subprocess.run(command, stdin=source, capture_output=True, check=False, cwd="/", **_unprivileged())
    assert done.returncode == 0, f"{command[0]} ended with {done.returncode}: {done.stderr.decode()[-2000:]}"
    return done.stdout.decode()


# -- configuration -----------------------------------------------------------------------------------------------------


def _first_entries(settings: Settings) -> str:
    kind, value = settings.base.split(",", 1)[0].split("=", 1)
    assert kind == "dc", "the base begins with dc="
    lines = [
        f"dn: {settings.base}\nobjectClass: organization\nobjectClass: dcObject\no: {value}\ndc: {value}\n",
        *(
            f"dn: cn={name},{settings.base}\nobjectClass: organizationalRole\nobjectClass: simpleSecurityObject\n"
            f"cn: {name}\nuserPassword: {PASSWORD}\n"
            for name in ("reader", "writer")
        ),
        *(f"dn: ou={name},{settings.base}\nobjectClass: organizationalUnit\n" for name in settings.branches),
    ]
    return "\n".join(lines)


def _write_configuration(server: Slapd) -> None:
    settings, folder = server.settings, server.folder
    schemas = [STANDARD / f"{name}.schema" for name in ("core", "cosine", "inetorgperson")]
    if NATIONAL.exists():
        shutil.copyfile(NATIONAL, folder / "ent.schema")
        schemas.append(folder / "ent.schema")
    limits = [f"size={settings.size_limit}"] if settings.size_limit is not None else []
    limits += [f"time={settings.time_limit}"] if settings.time_limit is not None else []
    bound = [server.reader, *([server.writer] if settings.writer_bound else [])]
    lines = [
        *(f"include {schema}" for schema in schemas),
        f"modulepath {MODULES}",
        "moduleload back_mdb",
        *(["moduleload syncprov"] if settings.syncprov else []),
        f"pidfile {folder}/slapd.pid",
        "loglevel none",
        "tool-threads 2",
        "sizelimit unlimited",
        "timelimit unlimited",
        f"TLSCACertificateFile {folder}/tls/ca.pem",
        f"TLSCertificateFile {folder}/tls/server.pem",
        f"TLSCertificateKeyFile {folder}/tls/server.key",
        "TLSVerifyClient try",
        f'authz-regexp "^cn={CLIENT}$" "{server.writer}"',
        f'authz-regexp "^gidNumber=[0-9]+[+]uidNumber={os.geteuid()},cn=peercred,cn=external,cn=auth$" "{server.writer}"',
        'access to dn.base="" by * read',
        'access to dn.base="cn=Subschema" by * read',
        *settings.global_lines,
        "database mdb",
        f'suffix "{settings.base}"',
        f'rootdn "{server.admin}"',
        f"rootpw {PASSWORD}",
        f"directory {folder}/data",
        f"maxsize {settings.max_bytes}",
        *(f"index {index}" for index in settings.indices),
        *([] if settings.durable else ["dbnosync"]),
        *(["readonly on"] if settings.read_only else []),
        *(f'limits dn.exact="{dn}" {" ".join(limits)}' for dn in bound if limits),
        f'access to attrs=userPassword by dn.exact="{server.writer}" write by anonymous auth',
        f'access to * by dn.exact="{server.writer}" write by dn.exact="{server.reader}" read by anonymous auth',
        *settings.database_lines,
    ]
    if settings.syncprov:
        lines += ["overlay syncprov", "syncprov-checkpoint 100 10"]
        lines += [f"syncprov-sessionlog {settings.session_log}"] if settings.session_log is not None else []
    path = folder / "slapd.conf"
    path.write_text("\n".join([*lines, ""]))
    _give_away(path)
