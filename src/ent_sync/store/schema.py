"""All that we remember, on one page.

Values of people are sealed (`store.seal`) wherever they stand here; in clear are keys, identifiers, dates, counts and
keyed digests. Everything about one person hangs on `records.entry_id` or `entries.entry_id`.
"""

from __future__ import annotations

import datetime as dt

import sqlalchemy as sa

metadata = sa.MetaData(
    naming_convention={"ix": "ix_%(table_name)s_%(column_0_N_name)s", "pk": "pk_%(table_name)s"},
)


class Instant(sa.TypeDecorator[dt.datetime]):
    """A moment, kept in UTC; naive values are refused."""

    impl = sa.DateTime
    cache_ok = True

    def process_bind_param(self, value: dt.datetime | None, dialect: sa.Dialect) -> dt.datetime | None:  # noqa: ARG002, D102
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("a moment has a time zone")
        return value.astimezone(dt.UTC).replace(tzinfo=None)

    def process_result_value(self, value: dt.datetime | None, dialect: sa.Dialect) -> dt.datetime | None:  # noqa: ARG002, D102
        return value.replace(tzinfo=dt.UTC) if value is not None else None


def instant(moment: dt.datetime) -> str:
    """A moment as `Instant` columns hold it, for statements written as text."""
    return moment.astimezone(dt.UTC).replace(tzinfo=None).isoformat(sep=" ", timespec="microseconds")


# --- what we know of ourselves -------------------------------------------------------------------------------------
facts = sa.Table(
    "facts",
    metadata,
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("value", sa.Text, nullable=False),
)

runs = sa.Table(
    "runs",
    metadata,
    sa.Column("run", sa.Text, primary_key=True),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("outcome", sa.Text),  # null while it works
    sa.Column("started", Instant, nullable=False),
    sa.Column("result", sa.JSON),  # the contract's document, without anything about a person
)

leases = sa.Table(
    "leases",
    metadata,
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("fence", sa.Integer, nullable=False),
    sa.Column("host", sa.Text),  # null when free
    sa.Column("process", sa.Integer),
    sa.Column("process_start", sa.Text),
    sa.Column("run", sa.Text),
    sa.Column("expires", Instant),
)

# Counters, buckets and last figures that no other table remembers. Triggers (migration 0003) keep the number of
# accounts by population and status in it, exact whoever writes: counting 300,000 rows at every scrape takes too long.
measures = sa.Table(
    "measures",
    metadata,
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("labels", sa.Text, primary_key=True),  # their values joined by |, in the order of the contract
    sa.Column("value", sa.Float, nullable=False),
    sqlite_with_rowid=False,
)

# --- what hands ask of runs ----------------------------------------------------------------------------------------
# Who wants the lease (`waits`: a typed command), and who let go of it for them and will be back (`away`: a run of the
# daemon). A row whose process is dead, or that ran out, counts as none.
turns = sa.Table(
    "turns",
    metadata,
    sa.Column("run", sa.Text, primary_key=True),
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("host", sa.Text, nullable=False),
    sa.Column("process", sa.Integer, nullable=False),
    sa.Column("process_start", sa.Text, nullable=False),
    sa.Column("expires", Instant, nullable=False),
    sa.CheckConstraint("state IN ('waits', 'away')", name="ck_turns_state"),
)

pauses = sa.Table(
    "pauses",
    metadata,
    sa.Column("target", sa.Text, primary_key=True),  # * stands for every target, those of tomorrow too
    sa.Column("since", Instant, nullable=False),
)

# Runs that somebody asked to stop; a run that is over is not asked any more.
stops = sa.Table(
    "stops",
    metadata,
    sa.Column("run", sa.Text, primary_key=True),
    sa.Column("asked", Instant, nullable=False),
)

# --- what the sources gave -----------------------------------------------------------------------------------------
sources = sa.Table(
    "sources",
    metadata,
    sa.Column("source", sa.Text, primary_key=True),
    sa.Column("applied_date", sa.Date),  # the cursor: nothing that is not newer is read
    sa.Column("applied_delivery", sa.Text),
    sa.Column("wanted", sa.Text),  # digest of the attributes that the snapshot was narrowed to
    sa.Column("last_success", Instant),
    sa.Column("cursor", sa.Text),  # where the next live delta begins: syncrepl cookies, watermarks
)

deliveries = sa.Table(
    "deliveries",
    metadata,
    sa.Column("source", sa.Text, primary_key=True),
    sa.Column("delivery", sa.Text, primary_key=True),
    sa.Column("signature", sa.Text, primary_key=True),
    sa.Column("complete", sa.Boolean, nullable=False),
    sa.Column("date", sa.Date, nullable=False),
    sa.Column(
        "status", sa.Text, nullable=False
    ),  # applied, held, refused, superseded; again: applied, to be read again
    sa.Column("reasons", sa.JSON, nullable=False),
    sa.Column("counts", sa.JSON, nullable=False),
    sa.Column("decided", Instant, nullable=False),
    sa.Column("guard", sa.Text),  # what holds or refuses it: completeness, gap, order
)
_unused = sa.text("status IN ('held', 'refused')")
sa.Index(
    "ix_deliveries_unused",
    deliveries.c.source,
    deliveries.c.status,
    sqlite_where=_unused,
    postgresql_where=_unused,
)

# The snapshot: what each source holds now, one sealed row per record; who left keeps a row without content.
records = sa.Table(
    "records",
    metadata,
    sa.Column("source", sa.Text, primary_key=True),
    sa.Column("population", sa.Text, primary_key=True),
    sa.Column("key", sa.Text, primary_key=True),
    sa.Column("entry_id", sa.Text, nullable=False),
    sa.Column("state", sa.Text, nullable=False),  # present, absent, withdrawn
    sa.Column("raw", sa.LargeBinary),  # digest of the delivered bytes, null after a modify request
    sa.Column("content", sa.LargeBinary),  # digest of the narrowed content
    sa.Column("sealed", sa.LargeBinary),
    sa.Column("ine", sa.LargeBinary),  # keyed digests that pupils are correlated by
    sa.Column("birth", sa.LargeBinary),
    sa.Column("left_on", sa.Date),
    sa.Column("delivery", sa.Text),  # the delivery that proved the departure
    sa.Column("handle", sa.LargeBinary),  # a directory's own name for it, which stays (entryUUID)
    sa.Column("name", sa.Text),  # what other records of a directory refer to it by, as a reference (its DN's digest)
    sa.CheckConstraint("state IN ('present', 'absent', 'withdrawn')", name="ck_records_state"),
    sa.CheckConstraint("state = 'present' OR (sealed IS NULL AND left_on IS NOT NULL)", name="ck_records_left"),
    sqlite_with_rowid=False,
)
sa.Index("ix_records_entry", records.c.entry_id)
sa.Index(
    "ix_records_ine",
    records.c.ine,
    sqlite_where=records.c.ine.is_not(None),
    postgresql_where=records.c.ine.is_not(None),
)

for _column in (records.c.handle, records.c.name):
    sa.Index(
        f"ix_records_{_column.name}",
        records.c.source,
        records.c.population,
        _column,
        sqlite_where=_column.is_not(None),
        postgresql_where=_column.is_not(None),
    )
sa.Index(
    "ix_records_schools",
    records.c.source,
    records.c.key,
    sqlite_where=sa.text("population = 'school'"),
    postgresql_where=sa.text("population = 'school'"),
)
sa.Index(
    "ix_records_left",
    records.c.state,
    records.c.entry_id,
    sqlite_where=sa.text("state <> 'present'"),
    postgresql_where=sa.text("state <> 'present'"),
)

# A pupil's links to guardians, by what they mean; never the link code.
links = sa.Table(
    "links",
    metadata,
    sa.Column("source", sa.Text, primary_key=True),
    sa.Column("guardian", sa.Text, primary_key=True),
    sa.Column("pupil", sa.Text, primary_key=True),
    sa.Column("tie", sa.Text, nullable=False),
    sqlite_with_rowid=False,
)
sa.Index("ix_links_pupil", links.c.source, links.c.pupil)

quarantine = sa.Table(
    "quarantine",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),  # digest of source, population, key or place, and rule
    sa.Column("source", sa.Text, nullable=False),
    sa.Column("population", sa.Text, nullable=False),
    sa.Column("key", sa.Text),
    sa.Column("rule", sa.Text, nullable=False),
    sa.Column("file", sa.Text, nullable=False),
    sa.Column("line", sa.Integer),
    sa.Column("message", sa.Text, nullable=False),
    sa.Column("sealed", sa.LargeBinary),
    sa.Column("delivery", sa.Text, nullable=False),
    sa.Column("since", Instant, nullable=False),
)
sa.Index("ix_quarantine_source", quarantine.c.source, quarantine.c.population)

# --- what the targets acknowledged ----------------------------------------------------------------------------------
# One row per entry and target: what it should be (`desired`) beside what the target last confirmed (`acknowledged`).
entries = sa.Table(
    "entries",
    metadata,
    sa.Column("target", sa.Text, primary_key=True),
    sa.Column("entry_id", sa.Text, primary_key=True),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("population", sa.Text),
    sa.Column("source", sa.Text, nullable=False),
    sa.Column("stale", sa.Boolean, nullable=False),  # to be mapped again, or mapped and not yet acknowledged
    sa.Column("desired", sa.LargeBinary),
    sa.Column("due", sa.Integer),  # bucket of the day on which mapping may give something else with no delivery
    sa.Column("likeness", sa.LargeBinary),  # equal for possible doubles
    sa.Column("withheld", sa.Integer, nullable=False, server_default="0"),
    sa.Column("lifecycle", sa.Text),  # null: the target does not hold it
    sa.Column("acknowledged", sa.LargeBinary),
    sa.Column("parts", sa.LargeBinary),  # fingerprints of the acknowledged parts
    sa.Column("source_key", sa.Text),
    sa.Column("uais", sa.Text),  # the acknowledged schools of pupils and staff
    sa.Column("acknowledged_at", Instant),
    sa.Column("left_on", sa.Date),
    sa.Column("suspended_at", Instant),
    sa.Column("changed_at", Instant),  # when the source changed what is not acknowledged yet
    # With a rowid, or SQLite prefers the primary key to the index of the few that are stale.
)
sa.Index(
    "ix_entries_stale",
    entries.c.target,
    entries.c.entry_id,
    sqlite_where=sa.text("stale = 1"),
    postgresql_where=sa.text("stale"),
)
_dated = entries.c.due.is_not(None)
sa.Index("ix_entries_due", entries.c.target, entries.c.due, sqlite_where=_dated, postgresql_where=_dated)
sa.Index("ix_entries_entry", entries.c.entry_id)
_left = entries.c.lifecycle == "suspended"
sa.Index("ix_entries_left", entries.c.target, entries.c.left_on, sqlite_where=_left, postgresql_where=_left)

# Desired memberships: what tells that a group still has members, and what it is called.
memberships = sa.Table(
    "memberships",
    metadata,
    sa.Column("target", sa.Text, primary_key=True),
    sa.Column("entry_id", sa.Text, primary_key=True),
    sa.Column("group_id", sa.Text, primary_key=True),
    # Of the first degree, where only people tell it. Sealed: "CM1 de Mme …" names a teacher. Equal ones count together.
    sa.Column("label_digest", sa.LargeBinary),
    sa.Column("label", sa.LargeBinary),
    sqlite_with_rowid=False,
)
sa.Index("ix_memberships_group", memberships.c.target, memberships.c.group_id, memberships.c.label_digest)

tombstones = sa.Table(
    "tombstones",
    metadata,
    sa.Column("target", sa.Text, primary_key=True),
    sa.Column("entry_id", sa.Text, primary_key=True),
    sa.Column("deleted", Instant, nullable=False),
)

# --- what is to be done, and was ------------------------------------------------------------------------------------
plans = sa.Table(
    "plans",
    metadata,
    sa.Column("plan", sa.Text, primary_key=True),
    sa.Column("run", sa.Text, nullable=False),
    sa.Column("target", sa.Text, nullable=False),
    sa.Column("status", sa.Text, nullable=False),  # open, held, planned, applied, rejected, overtaken
    sa.Column("created", Instant, nullable=False),
    sa.Column("digest", sa.Text),
    sa.Column("holds", sa.JSON, nullable=False),
    sa.Column("decided", Instant),
)
_held = sa.text("status = 'held'")
sa.Index("ix_plans_held", plans.c.target, plans.c.plan, sqlite_where=_held, postgresql_where=_held)

changes = sa.Table(
    "changes",
    metadata,
    sa.Column("plan", sa.Text, primary_key=True),
    sa.Column("seq", sa.Integer, primary_key=True),
    sa.Column("target", sa.Text, nullable=False),
    sa.Column("rank", sa.Integer, nullable=False),
    sa.Column("entry_id", sa.Text, nullable=False),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("population", sa.Text),
    sa.Column("source", sa.Text, nullable=False),
    sa.Column("uais", sa.Text),
    sa.Column("operation", sa.Text, nullable=False),
    sa.Column("parts", sa.Text, nullable=False),
    sa.Column("status", sa.Text, nullable=False),  # pending, held, acknowledged, refused, overtaken, rejected
    sa.Column("base", sa.LargeBinary),  # what was acknowledged when the plan was made
    sa.Column("fingerprint", sa.LargeBinary),  # what is acknowledged when the change is
    sa.Column("part_fingerprints", sa.LargeBinary),  # the same of its parts
    sa.Column("lifecycle", sa.Text),  # where it leaves the entry; null after a delete
    sa.Column("source_key", sa.Text),
    sa.Column("left_on", sa.Date),
    sa.Column("sealed", sa.LargeBinary, nullable=False),
    sa.Column("before", sa.LargeBinary),  # sealed: what the target held until then
    sa.Column("rule", sa.Text),
    sa.Column("message", sa.Text),
    sa.Column("decided", Instant),
    sa.Column("run", sa.Text),  # the run that pushed it, where it is not the one that made the plan
    sqlite_with_rowid=False,
)
# Written as text: with its values as parameters, SQLite would not see that it is the condition of the index.
WAITING = sa.text("changes.status IN ('pending', 'held')")
_WAITING_INDEX = sa.text("status IN ('pending', 'held')")
sa.Index(
    "ix_changes_waiting",
    changes.c.target,
    changes.c.plan,
    changes.c.rank,
    changes.c.seq,
    sqlite_where=_WAITING_INDEX,
    postgresql_where=_WAITING_INDEX,
)
sa.Index("ix_changes_entry", changes.c.entry_id)
_way_back = sa.text("before IS NOT NULL")
sa.Index("ix_changes_journal", changes.c.decided, sqlite_where=_way_back, postgresql_where=_way_back)
_approved = sa.text("run IS NOT NULL")
sa.Index("ix_changes_run", changes.c.run, sqlite_where=_approved, postgresql_where=_approved)

# --- the federation ------------------------------------------------------------------------------------------------
# Results of probes: nothing of a person, and no text of a server.
samples = sa.Table(
    "samples",
    metadata,
    sa.Column("service", sa.Text, primary_key=True),
    sa.Column("time", Instant, primary_key=True),
    sa.Column("vantage", sa.Text, primary_key=True),
    sa.Column("result", sa.Text, nullable=False),  # up, down, unknown
    sa.Column("stage", sa.Text),
    sa.Column("cause", sa.Text),
    sa.Column("seconds", sa.Float),
    sa.CheckConstraint("result IN ('up', 'down', 'unknown')", name="ck_samples_result"),
    sqlite_with_rowid=False,
)

# What partners are told, with all its clocks (federation-slo.md §5).
notices = sa.Table(
    "notices",
    metadata,
    sa.Column("notice", sa.Text, primary_key=True),
    sa.Column("kind", sa.Text, nullable=False),  # malfunction, maintenance, evolution
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("source", sa.Text, nullable=False),  # probe, hand, authority
    sa.Column("title", sa.Text, nullable=False),
    sa.Column("cause", sa.Text),
    sa.Column("services", sa.JSON, nullable=False),
    sa.Column("sequence", sa.Integer, nullable=False),  # of its tellings, from 0; iCalendar counts by it
    sa.Column("began", Instant),
    sa.Column("detected", Instant),
    sa.Column("told", Instant),  # the first word, to the last role due
    sa.Column("ended", Instant),
    sa.Column("end_told", Instant),
    sa.Column("closed", Instant),
    sa.Column("announced", Instant),  # the last announcement that moved or lengthened it
    sa.Column("starts", Instant),
    sa.Column("ends", Instant),
)

notice_updates = sa.Table(
    "notice_updates",
    metadata,
    sa.Column("notice", sa.Text, primary_key=True),
    sa.Column("sequence", sa.Integer, primary_key=True),
    sa.Column("at", Instant, nullable=False),
    sa.Column("what", sa.Text, nullable=False),  # opened, updated, ended, closed, planned, moved, cancelled, reminded
    sa.Column("text", sa.Text, nullable=False),
)

# One word to one partner by one channel, from due to accepted; written with the notice's own change.
outbox = sa.Table(
    "outbox",
    metadata,
    sa.Column("notice", sa.Text, primary_key=True),
    sa.Column("sequence", sa.Integer, primary_key=True),
    sa.Column("partner", sa.Text, primary_key=True),
    sa.Column("channel", sa.Text, primary_key=True),  # email, webhook
    sa.Column("role", sa.Text, nullable=False),
    sa.Column("due", Instant, nullable=False),  # not before
    sa.Column("tries", sa.Integer, nullable=False),
    sa.Column("last_status", sa.Text),
    sa.Column("accepted", Instant),
    sa.Column("given_up", Instant),
)
_waiting_word = sa.text("accepted IS NULL AND given_up IS NULL")
sa.Index("ix_outbox_due", outbox.c.due, sqlite_where=_waiting_word, postgresql_where=_waiting_word)

# What a service's metadata and certificates held, to tell a change from what was always there.
metadata_seen = sa.Table(
    "metadata_seen",
    metadata,
    sa.Column("service", sa.Text, primary_key=True),
    sa.Column("what", sa.Text, primary_key=True),  # entity, endpoint, algorithm, certificate and its use, valid_until
    sa.Column("value", sa.Text, primary_key=True),
    sa.Column("first_seen", Instant, nullable=False),
    sa.Column("last_seen", Instant, nullable=False),
    sa.Column("not_after", Instant),
)

# Assertions that were accepted once, by digest: the same one again is a replay.
assertions_seen = sa.Table(
    "assertions_seen",
    metadata,
    sa.Column("assertion", sa.LargeBinary, primary_key=True),
    sa.Column("until", Instant, nullable=False),
)
