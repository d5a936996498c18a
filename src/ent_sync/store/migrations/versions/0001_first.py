"""All tables of the first release."""

import sqlalchemy as sa
from alembic import op

from ent_sync.store import schema

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Make them."""
    op.create_table(
        "changes",
        sa.Column("plan", sa.Text(), nullable=False),
        sa.Column("seq", sa.Integer(), nullable=False),
        sa.Column("target", sa.Text(), nullable=False),
        sa.Column("rank", sa.Integer(), nullable=False),
        sa.Column("entry_id", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("population", sa.Text(), nullable=True),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("uais", sa.Text(), nullable=True),
        sa.Column("operation", sa.Text(), nullable=False),
        sa.Column("parts", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("base", sa.LargeBinary(), nullable=True),
        sa.Column("fingerprint", sa.LargeBinary(), nullable=True),
        sa.Column("part_fingerprints", sa.LargeBinary(), nullable=True),
        sa.Column("lifecycle", sa.Text(), nullable=True),
        sa.Column("source_key", sa.Text(), nullable=True),
        sa.Column("left_on", sa.Date(), nullable=True),
        sa.Column("sealed", sa.LargeBinary(), nullable=False),
        sa.Column("before", sa.LargeBinary(), nullable=True),
        sa.Column("rule", sa.Text(), nullable=True),
        sa.Column("message", sa.Text(), nullable=True),
        sa.Column("decided", schema.Instant(), nullable=True),
        sa.PrimaryKeyConstraint("plan", "seq", name=("pk_changes")),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_changes_entry", "changes", ["entry_id"], unique=False)
    op.create_index(
        "ix_changes_waiting",
        "changes",
        ["target", "plan", "rank", "seq"],
        unique=False,
        sqlite_where=sa.text("status IN ('pending', 'held')"),
        postgresql_where=sa.text("status IN ('pending', 'held')"),
    )
    op.create_table(
        "deliveries",
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("delivery", sa.Text(), nullable=False),
        sa.Column("signature", sa.Text(), nullable=False),
        sa.Column("complete", sa.Boolean(), nullable=False),
        sa.Column("date", sa.Date(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("reasons", sa.JSON(), nullable=False),
        sa.Column("counts", sa.JSON(), nullable=False),
        sa.Column("decided", schema.Instant(), nullable=False),
        sa.PrimaryKeyConstraint("source", "delivery", "signature", name=("pk_deliveries")),
    )
    op.create_table(
        "entries",
        sa.Column("target", sa.Text(), nullable=False),
        sa.Column("entry_id", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("population", sa.Text(), nullable=True),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("stale", sa.Boolean(), nullable=False),
        sa.Column("desired", sa.LargeBinary(), nullable=True),
        sa.Column("due", sa.Integer(), nullable=True),
        sa.Column("likeness", sa.LargeBinary(), nullable=True),
        sa.Column("withheld", sa.Integer(), server_default="0", nullable=False),
        sa.Column("lifecycle", sa.Text(), nullable=True),
        sa.Column("acknowledged", sa.LargeBinary(), nullable=True),
        sa.Column("parts", sa.LargeBinary(), nullable=True),
        sa.Column("source_key", sa.Text(), nullable=True),
        sa.Column("uais", sa.Text(), nullable=True),
        sa.Column("acknowledged_at", schema.Instant(), nullable=True),
        sa.Column("left_on", sa.Date(), nullable=True),
        sa.Column("suspended_at", schema.Instant(), nullable=True),
        sa.PrimaryKeyConstraint("target", "entry_id", name=("pk_entries")),
    )
    op.create_index(
        "ix_entries_due",
        "entries",
        ["target", "due"],
        unique=False,
        sqlite_where=sa.text("due IS NOT NULL"),
        postgresql_where=sa.text("due IS NOT NULL"),
    )
    op.create_index("ix_entries_entry", "entries", ["entry_id"], unique=False)
    op.create_index(
        "ix_entries_left",
        "entries",
        ["target", "left_on"],
        unique=False,
        sqlite_where=sa.text("lifecycle = 'suspended'"),
        postgresql_where=sa.text("lifecycle = 'suspended'"),
    )
    op.create_index(
        "ix_entries_stale",
        "entries",
        ["target", "entry_id"],
        unique=False,
        sqlite_where=sa.text("stale = 1"),
        postgresql_where=sa.text("stale"),
    )
    op.create_table(
        "facts",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("value", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=("pk_facts")),
    )
    op.create_table(
        "leases",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("fence", sa.Integer(), nullable=False),
        sa.Column("host", sa.Text(), nullable=True),
        sa.Column("process", sa.Integer(), nullable=True),
        sa.Column("process_start", sa.Text(), nullable=True),
        sa.Column("run", sa.Text(), nullable=True),
        sa.Column("expires", schema.Instant(), nullable=True),
        sa.PrimaryKeyConstraint("name", name=("pk_leases")),
    )
    op.create_table(
        "links",
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("guardian", sa.Text(), nullable=False),
        sa.Column("pupil", sa.Text(), nullable=False),
        sa.Column("tie", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("source", "guardian", "pupil", name=("pk_links")),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_links_pupil", "links", ["source", "pupil"], unique=False)
    op.create_table(
        "memberships",
        sa.Column("target", sa.Text(), nullable=False),
        sa.Column("entry_id", sa.Text(), nullable=False),
        sa.Column("group_id", sa.Text(), nullable=False),
        sa.Column("label_digest", sa.LargeBinary(), nullable=True),
        sa.Column("label", sa.LargeBinary(), nullable=True),
        sa.PrimaryKeyConstraint("target", "entry_id", "group_id", name=("pk_memberships")),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_memberships_group", "memberships", ["target", "group_id", "label_digest"], unique=False)
    op.create_table(
        "plans",
        sa.Column("plan", sa.Text(), nullable=False),
        sa.Column("run", sa.Text(), nullable=False),
        sa.Column("target", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("created", schema.Instant(), nullable=False),
        sa.Column("digest", sa.Text(), nullable=True),
        sa.Column("holds", sa.JSON(), nullable=False),
        sa.Column("decided", schema.Instant(), nullable=True),
        sa.PrimaryKeyConstraint("plan", name=("pk_plans")),
    )
    op.create_table(
        "quarantine",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("population", sa.Text(), nullable=False),
        sa.Column("key", sa.Text(), nullable=True),
        sa.Column("rule", sa.Text(), nullable=False),
        sa.Column("file", sa.Text(), nullable=False),
        sa.Column("line", sa.Integer(), nullable=True),
        sa.Column("message", sa.Text(), nullable=False),
        sa.Column("sealed", sa.LargeBinary(), nullable=True),
        sa.Column("delivery", sa.Text(), nullable=False),
        sa.Column("since", schema.Instant(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=("pk_quarantine")),
    )
    op.create_table(
        "records",
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("population", sa.Text(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("entry_id", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("raw", sa.LargeBinary(), nullable=True),
        sa.Column("content", sa.LargeBinary(), nullable=True),
        sa.Column("sealed", sa.LargeBinary(), nullable=True),
        sa.Column("ine", sa.LargeBinary(), nullable=True),
        sa.Column("birth", sa.LargeBinary(), nullable=True),
        sa.Column("left_on", sa.Date(), nullable=True),
        sa.Column("delivery", sa.Text(), nullable=True),
        sa.CheckConstraint("state = 'present' OR (sealed IS NULL AND left_on IS NOT NULL)", name="ck_records_left"),
        sa.CheckConstraint("state IN ('present', 'absent', 'withdrawn')", name="ck_records_state"),
        sa.PrimaryKeyConstraint("source", "population", "key", name=("pk_records")),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_records_entry", "records", ["entry_id"], unique=False)
    op.create_index(
        "ix_records_ine",
        "records",
        ["ine"],
        unique=False,
        sqlite_where=sa.text("ine IS NOT NULL"),
        postgresql_where=sa.text("ine IS NOT NULL"),
    )
    op.create_index(
        "ix_records_left",
        "records",
        ["state", "entry_id"],
        unique=False,
        sqlite_where=sa.text("state <> 'present'"),
        postgresql_where=sa.text("state <> 'present'"),
    )
    op.create_index(
        "ix_records_schools",
        "records",
        ["source", "key"],
        unique=False,
        sqlite_where=sa.text("population = 'school'"),
        postgresql_where=sa.text("population = 'school'"),
    )
    op.create_table(
        "runs",
        sa.Column("run", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("outcome", sa.Text(), nullable=True),
        sa.Column("started", schema.Instant(), nullable=False),
        sa.Column("result", sa.JSON(), nullable=True),
        sa.PrimaryKeyConstraint("run", name=("pk_runs")),
    )
    op.create_table(
        "sources",
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("applied_date", sa.Date(), nullable=True),
        sa.Column("applied_delivery", sa.Text(), nullable=True),
        sa.Column("wanted", sa.Text(), nullable=True),
        sa.Column("last_success", schema.Instant(), nullable=True),
        sa.PrimaryKeyConstraint("source", name=("pk_sources")),
    )
    op.create_table(
        "tombstones",
        sa.Column("target", sa.Text(), nullable=False),
        sa.Column("entry_id", sa.Text(), nullable=False),
        sa.Column("deleted", schema.Instant(), nullable=False),
        sa.PrimaryKeyConstraint("target", "entry_id", name=("pk_tombstones")),
    )
