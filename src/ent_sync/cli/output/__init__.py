"""What commands print: a document as JSON, or the same document drawn for people. Both are made here and nowhere else.

A table is drawn from the very document that `--json` prints, so the two cannot disagree. Results go to stdout; what is
told beside them goes to stderr.
"""

from __future__ import annotations

from ent_sync.cli.output.daemon import show_pauses, show_reloaded, show_stopped
from ent_sync.cli.output.explain import show_explanation
from ent_sync.cli.output.federation import (
    show_exchanged,
    show_federation,
    show_levels,
    show_notice,
    show_notices,
    show_probed,
)
from ent_sync.cli.output.paper import (
    show,
    tell,
    tell_error,
    tell_waiting,
)
from ent_sync.cli.output.plans import show_exported, show_plan, show_plans, show_rejected, show_revealed
from ent_sync.cli.output.runs import show_run, show_runs
from ent_sync.cli.output.setup import (
    show_chapter,
    show_configuration,
    show_demo_end,
    show_installation,
    show_problems,
    show_written,
)
from ent_sync.cli.output.status import show_status
from ent_sync.cli.output.store import show_backup, show_check, show_dropped, show_quarantine, show_quarantined
from ent_sync.cli.output.verify import show_verified

__all__ = [
    "show",
    "show_backup",
    "show_chapter",
    "show_check",
    "show_configuration",
    "show_demo_end",
    "show_dropped",
    "show_exchanged",
    "show_explanation",
    "show_exported",
    "show_federation",
    "show_installation",
    "show_levels",
    "show_notice",
    "show_notices",
    "show_pauses",
    "show_plan",
    "show_plans",
    "show_probed",
    "show_problems",
    "show_quarantine",
    "show_quarantined",
    "show_rejected",
    "show_reloaded",
    "show_revealed",
    "show_run",
    "show_runs",
    "show_status",
    "show_stopped",
    "show_verified",
    "show_written",
    "tell",
    "tell_error",
    "tell_waiting",
]
