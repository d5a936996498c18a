"""`verify`: whether the targets really hold what they acknowledged, and on request their repair."""
# ruff: noqa: PLC0415

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import structlog
import typer

from ent_sync.cli.call import WAIT, Call, Stop, of
from ent_sync.core.errors import EntSyncError, UnavailableError, UsageError

if TYPE_CHECKING:
    from ent_sync.core.event import Event
    from ent_sync.core.run import RunResult
    from ent_sync.sync.verify import Asked, Report

_DRIFTED = 3


def register(app: typer.Typer) -> None:
    """Add this family."""
    app.command("verify")(_verify)


def _verify(
    context: typer.Context,
    sample: Annotated[
        float | None,
        typer.Option(
            metavar="PERCENT",
            max=100,
            help="Read back so much of what was acknowledged, by chance.  [default: 1, at least 100 entries]",
        ),
    ] = None,
    whole: Annotated[
        bool, typer.Option("--all", help="Read back all that is there; what nobody acknowledged is found too.")
    ] = False,
    repair: Annotated[
        bool, typer.Option("--repair", help="Plan and push what puts drift right, under the same guards.")
    ] = False,
    target: Annotated[list[str] | None, typer.Option("--target", help="Only this target; may be repeated.")] = None,
    seed: Annotated[str | None, typer.Option(help="Choose the sample that a report with this seed was about.")] = None,
    wait: Annotated[float, typer.Option(min=0, help="Seconds to wait for the lease.")] = WAIT,
) -> None:
    """Read the targets back and tell what is not as they acknowledged it; exit 3 where something is not."""
    from ent_sync.sync.verify import Asked

    call = of(context)
    if whole and (sample is not None or seed is not None):
        raise UsageError("--all reads everything back: it takes neither --sample nor --seed")
    if sample is not None and sample <= 0:
        raise UsageError("a sample is more than 0 percent")
    known = [each.name for each in call.settings().targets]
    for name in target or ():
        if name not in known:
            raise UsageError(f"no target is called {name}; there are: {', '.join(known) or 'none'}")
    asked = Asked(targets=target or known, whole=whole, percent=sample, seed=seed or "")
    raise typer.Exit(_perform(call, asked, repair=repair, wait=wait))


def _perform(call: Call, asked: Asked, *, repair: bool, wait: float) -> int:
    """Verify under the lease, show what was found, and give the exit code."""
    from dataclasses import replace

    from ent_sync.cli import output
    from ent_sync.cli.progress import Progress
    from ent_sync.core.event import RunEnded
    from ent_sync.sync import verify
    from ent_sync.sync.heartbeat import holding

    ended: list[RunResult] = []
    failed: EntSyncError | None = None
    stop = Stop()

    def remember(event: Event) -> None:
        if isinstance(event, RunEnded):
            ended.append(event.result)

    with Progress.on_stderr() as progress, stop.on_signals():
        with (
            call.installation([progress.listen, remember], stop) as parts,
            holding(parts, parts.new_id(), wait=wait, told=output.tell_waiting, lost=stop.ask) as lease,
        ):
            report = verify.verify(parts, replace(asked, seed=asked.seed or lease.run), lease)
            _log(report)
            if repair and report.repairable and not report.stopped:
                try:
                    verify.repair(parts, report, lease)
                except EntSyncError as error:
                    failed = error
        progress.close()
        result = ended[-1] if ended else None
        output.show_verified(report.document(result), as_json=call.json)
    if failed is not None:
        raise failed
    if report.unavailable:
        raise UnavailableError("; ".join(report.unavailable))
    return _code(report, result)


def _code(report: Report, result: RunResult | None) -> int:
    """What was repaired is no drift any more; what ent-sync never made stays, and is told."""
    if report.stopped:
        return _DRIFTED
    if result is not None and result.outcome.exit_code:
        return result.outcome.exit_code
    left = report.drifted - (report.repairable if result is not None else 0)
    return _DRIFTED if left else 0


def _log(report: Report) -> None:
    log = structlog.get_logger()
    for each in report.targets:
        log.info(
            "target verified",
            target=each.target,
            entries=each.looked,
            held=each.held,
            acknowledged=each.acknowledged,
            count=each.drifted,
        )
        for kind, count in each.drift.items():
            if count:
                log.warning("drift found", target=each.target, rule=kind.value, count=count)
