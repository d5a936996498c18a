"""One tick of one service: its stages in order, until the first that fails; what is up, down or unknown, and why.

A failure that is ours makes the result unknown. Nothing that a server said leaves here but what `Attempt` names.
"""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import TypeAlias

import structlog

from ent_sync import __version__
from ent_sync.config.federation import FederationSection
from ent_sync.config.fields import Address
from ent_sync.core.levels.samples import UNDECIDED, Cause, Result, Sample, Stage
from ent_sync.federation import metadata, saml
from ent_sync.federation.certificates import Certificate, Use, certificate
from ent_sync.federation.fetch import Browser, Limits, Reply
from ent_sync.federation.own import Own
from ent_sync.federation.page import Form, Page, page
from ent_sync.federation.service import Asking, Login, Published, Service
from ent_sync.federation.stopwatch import StageError, Stopwatch

Clock: TypeAlias = Callable[[], dt.datetime]
FirstTime: TypeAlias = Callable[[str, dt.datetime], bool]
"""Whether an assertion, by its digest, is met for the first time; it is remembered until the moment given."""

_HOPS_BY_FORM = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Means:
    """How services are looked at: limits, after how many seconds a failed attempt is repeated, and as whom."""

    limits: Limits = field(default_factory=Limits)
    retries: tuple[float, ...] = (5, 15)
    agent: str = f"ent-sync-probe/{__version__}"
    resolvers: tuple[Address, ...] = ()
    metadata_every: dt.timedelta = dt.timedelta(hours=1)
    pause: Callable[[float], object] = time.sleep


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """Metadata that were found genuine; kept by the caller from one tick to the next."""

    facts: metadata.Facts
    etag: str | None
    fetched: dt.datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """What a tick found: the verdict, and what there is to say besides.

    `stages` are of the attempt that decided, with their seconds; `attempts` counts them all, and `first` is the cause
    of the first that failed, so that one which came up after all is told as flaky. `clock` is how far the service's
    clock is ahead of ours. `logged_in` says that a password was sent, whatever came of it.
    """

    sample: Sample
    stages: tuple[tuple[Stage, float], ...]
    attempts: int
    first: Cause | None
    tls: str | None = None
    certificates: tuple[Certificate, ...] = ()
    held: Held | None = None
    clock: float | None = None
    retry_after: float | None = None
    logged_in: bool = False

    @property
    def flaky(self) -> bool:
        """Whether it was up only after it had failed."""
        return self.sample.result is Result.UP and self.first is not None


def means_of(federation: FederationSection) -> Means:
    """The same as a probe takes it."""
    probing = federation.probing
    told = [f"+{federation.public.url}"] if federation.public else []
    told += [probing.contact] if probing.contact else []
    return Means(
        limits=Limits(
            dns=probing.dns.total_seconds(),
            tcp=probing.tcp.total_seconds(),
            tls=probing.tls.total_seconds(),
            http=probing.http.total_seconds(),
            login=probing.login.total_seconds(),
            attempt=probing.attempt.total_seconds(),
            body=probing.body,
            redirects=probing.redirects,
        ),
        retries=tuple(each.total_seconds() for each in probing.retries),
        agent=f"ent-sync-probe/{__version__}" + (f" ({'; '.join(told)})" if told else ""),
        resolvers=probing.resolvers,
        metadata_every=probing.cadence.metadata,
    )


def probe(
    service: Service,
    *,
    vantage: str,
    now: Clock,
    means: Means,
    own: Own | None = None,
    held: Held | None = None,
    login_due: bool = False,
    first_time: FirstTime = lambda _digest, _until: True,
) -> Attempt:
    """One tick of a service: attempts until one succeeds or enough have failed.

    `held` is what the last tick's `Attempt` held. A login is made only when it is due, and once; an attempt that sent
    the password, or was asked to wait, is not repeated. Never raises: a failure of our own code is `own_error`.
    """
    own = own or Own()
    begun = now()
    first: Cause | None = None
    attempts = 0
    while True:
        course = _Course(service, now, means, held=held, fresh=attempts > 0, first_time=first_time)
        failure = StageError(Stage.OWN, Cause.OWN_NETWORK, final=True) if not own.network else course.run(login_due)
        attempts += 1
        if failure is not None:
            failure = own.judged(failure)
            first = first or failure.cause
        asked_to_wait = course.browser.retry_after is not None
        if failure is None or failure.final or asked_to_wait or course.sent or attempts > len(means.retries):
            break
        means.pause(means.retries[attempts - 1])
    sample = Sample(
        service=service.name,
        vantage=vantage,
        time=begun,
        result=_result(failure),
        stage=failure.stage if failure else None,
        cause=failure.cause if failure else None,
        seconds=course.watch.seconds if course.watch.taken else None,
    )
    return replace(course.seen(sample), attempts=attempts, first=first)


def _result(failure: StageError | None) -> Result:
    if failure is None:
        return Result.UP
    return Result.UNKNOWN if failure.cause in UNDECIDED else Result.DOWN


@dataclass(slots=True)
class _Course:
    """One attempt, and what it has found so far."""

    service: Service
    now: Clock
    means: Means
    held: Held | None = field(kw_only=True)
    fresh: bool = field(kw_only=True)
    first_time: FirstTime = field(kw_only=True)
    watch: Stopwatch = field(init=False)
    browser: Browser = field(init=False)
    clock: float | None = field(init=False, default=None)
    sent: bool = field(init=False, default=False)

    def __post_init__(self) -> None:
        limits, means = self.means.limits, self.means
        self.watch = Stopwatch(limits.attempt)
        self.browser = Browser(self.service, self.watch, limits, agent=means.agent, resolvers=means.resolvers)

    def run(self, login_due: bool) -> StageError | None:
        """All stages; what failed, or None."""
        try:
            if self.service.published is None:
                self._look_at_page()
            else:
                self._look_at_identity(self.service.published, login_due)
        except StageError as failure:
            return failure
        except Exception as error:  # noqa: BLE001 - the tick ends here; what we did wrong is not the service's failure
            if structlog.is_configured():  # then the log keeps the places of a traceback, and no value
                structlog.get_logger().error("probe failed", name=self.service.name, exc_info=error)
            return StageError(Stage.OWN, Cause.OWN_ERROR, final=self.sent)
        return None

    def seen(self, sample: Sample) -> Attempt:
        """What was found, beside the verdict."""
        tls = self.browser.first_tls
        shown = certificate(Use.TLS, tls.certificate) if tls else None
        return Attempt(
            sample=sample,
            stages=self.watch.taken,
            attempts=1,
            first=None,
            tls=tls.version if tls else None,
            certificates=(*((shown,) if shown else ()), *(self.held.facts.certificates if self.held else ())),
            held=self.held,
            clock=self.clock,
            retry_after=self.browser.retry_after,
            logged_in=self.sent,
        )

    # -- a page ------------------------------------------------------------------------------------------------------

    def _look_at_page(self) -> None:
        reply = self.browser.get(self.service.address, Stage.HTTP)
        if self.service.content is not None:
            with self.watch.stage(Stage.LOGIN_PAGE, self.means.limits.http):
                self._check_content(page(reply))

    def _check_content(self, found: Page) -> None:
        looked_for = found.login_form is not None
        if self.service.content is not None:
            looked_for = found.shows(self.service.content)
        if not looked_for:
            cause = Cause.CONTENT_ERROR if found.tells_an_error else Cause.CONTENT_FORM
            raise StageError(Stage.LOGIN_PAGE, cause)

    # -- an identity provider ----------------------------------------------------------------------------------------

    def _look_at_identity(self, published: Published, login_due: bool) -> None:
        asking = self.service.asking
        recent = self.held is not None and self.now() - self.held.fetched < self.means.metadata_every
        anew = asking is None or self.fresh or not recent
        facts = self._fetched(published) if anew else self._still_in_force()
        if asking is None:
            return
        asked = saml.request(asking, facts)
        if asked.fields:
            reply = self.browser.post(asked.url, asked.fields, Stage.SSO)
        else:
            reply = self.browser.get(asked.url, Stage.SSO)
        form = self._login_page(self._handed_on(reply))
        if login_due and self.service.login is not None:
            self._log_in(form, self.service.login, asking, asked.id, published)

    def _fetched(self, published: Published) -> metadata.Facts:
        held = self.held
        reply = self.browser.get(self.service.address, Stage.HTTP, etag=held.etag if held else None)
        if held is not None and reply.status == 304:
            self.held = replace(held, fetched=self.now())
            return self._still_in_force()
        with self.watch.stage(Stage.METADATA, self.means.limits.http):
            facts = metadata.facts(reply.body, self.service, published, self.now())
        self.held = Held(facts=facts, etag=reply.etag, fetched=self.now())
        return facts

    def _still_in_force(self) -> metadata.Facts:
        assert self.held is not None  # noqa: S101 - for mypy: who comes here has just asked
        with self.watch.stage(Stage.METADATA, self.means.limits.http):
            if not metadata.in_force(self.held.facts, self.now()):
                raise StageError(Stage.METADATA, Cause.MD_EXPIRED)
        return self.held.facts

    def _handed_on(self, reply: Reply) -> Page:
        """The page at the end of forms that a browser would post by itself: how a hub sends a request on."""
        for _ in range(_HOPS_BY_FORM):
            found = page(reply)
            onward = found.request_form
            if onward is None:
                return found
            if not self.service.admits(onward.action):
                raise StageError(Stage.SSO, Cause.HTTP_REDIRECT)
            reply = self.browser.post(onward.action, onward.fields, Stage.SSO)
        raise StageError(Stage.SSO, Cause.HTTP_REDIRECT)

    def _login_page(self, found: Page) -> Form | None:
        with self.watch.stage(Stage.LOGIN_PAGE, self.means.limits.http):
            if found.rejects:
                raise StageError(Stage.SSO, Cause.SSO_REJECTED)
            self._check_content(found)
            form = found.login_form
            if form is not None and not self.service.admits(form.action):
                # A page that would send passwords to a host that nobody has listed is not the login page.
                raise StageError(Stage.LOGIN_PAGE, Cause.CONTENT_FORM)
            return form

    # -- a login -----------------------------------------------------------------------------------------------------

    def _log_in(self, form: Form | None, login: Login, asking: Asking, request_id: str, published: Published) -> None:
        if form is None or not form.posts:
            raise StageError(Stage.LOGIN, Cause.LOGIN_NO_RESPONSE)
        self.sent = True
        reply = self.browser.post(form.action, form.filled(login.account, login.password), Stage.LOGIN)
        with self.watch.stage(Stage.LOGIN, self.means.limits.login):
            found = page(reply)
            answer = found.answer_form
            if answer is None:
                refused = found.login_form is not None
                raise StageError(Stage.LOGIN, Cause.LOGIN_REFUSED if refused else Cause.LOGIN_NO_RESPONSE)
        if answer.action != asking.acs:
            raise StageError(Stage.ASSERTION, Cause.SAML_BINDING)
        self._check_answer(answer.value("SAMLResponse") or "", login, asking, request_id, published)

    def _check_answer(self, text: str, login: Login, asking: Asking, request_id: str, published: Published) -> None:
        moment = self.now()
        self.clock = saml.offset(text, moment)

        def judged(facts: metadata.Facts) -> saml.Asserted:
            with self.watch.stage(Stage.ASSERTION, self.means.limits.http):
                return saml.asserted(text, asking=asking, found=facts, request_id=request_id, login=login, now=moment)

        assert self.held is not None  # noqa: S101 - for mypy: metadata were read before anybody was asked
        try:
            found = judged(self.held.facts)
        except StageError as failure:
            if failure.cause is not Cause.SAML_SIGNATURE:
                raise
            # Signed with another key: a rollover shows in metadata fetched anew, a fault does not.
            found = judged(self._fetched(published))
        if not self.first_time(found.digest, found.until):
            raise StageError(Stage.ASSERTION, Cause.SAML_BINDING)
