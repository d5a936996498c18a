"""The federation: samples of probes, notices to partners, and what was seen of metadata."""

import sqlalchemy as sa
from alembic import op

from ent_sync.store import schema

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Add them."""
    op.create_table(
        "assertions_seen",
        sa.Column("assertion", sa.LargeBinary(), nullable=False),
        sa.Column("until", schema.Instant(), nullable=False),
        sa.PrimaryKeyConstraint("assertion", name=("pk_assertions_seen")),
    )
    op.create_table(
        "metadata_seen",
        sa.Column("service", sa.Text(), nullable=False),
        sa.Column("what", sa.Text(), nullable=False),
        sa.Column("value", sa.Text(), nullable=False),
        sa.Column("first_seen", schema.Instant(), nullable=False),
        sa.Column("last_seen", schema.Instant(), nullable=False),
        sa.Column("not_after", schema.Instant(), nullable=True),
        sa.PrimaryKeyConstraint("service", "what", "value", name=("pk_metadata_seen")),
    )
    op.create_table(
        "notice_updates",
        sa.Column("notice", sa.Text(), nullable=False),
        sa.Column("sequence", sa.Integer(), nullable=False),
        sa.Column("at", schema.Instant(), nullable=False),
        sa.Column("what", sa.Text(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("notice", "sequence", name=("pk_notice_updates")),
    )
    op.create_table(
        "notices",
        sa.Column("notice", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column("cause", sa.Text(), nullable=True),
        sa.Column("services", sa.JSON(), nullable=False),
        sa.Column("sequence", sa.Integer(), nullable=False),
        sa.Column("began", schema.Instant(), nullable=True),
        sa.Column("detected", schema.Instant(), nullable=True),
        sa.Column("told", schema.Instant(), nullable=True),
        sa.Column("ended", schema.Instant(), nullable=True),
        sa.Column("end_told", schema.Instant(), nullable=True),
        sa.Column("closed", schema.Instant(), nullable=True),
        sa.Column("announced", schema.Instant(), nullable=True),
        sa.Column("starts", schema.Instant(), nullable=True),
        sa.Column("ends", schema.Instant(), nullable=True),
        sa.PrimaryKeyConstraint("notice", name=("pk_notices")),
    )
    op.create_table(
        "outbox",
        sa.Column("notice", sa.Text(), nullable=False),
        sa.Column("sequence", sa.Integer(), nullable=False),
        sa.Column("partner", sa.Text(), nullable=False),
        sa.Column("channel", sa.Text(), nullable=False),
        sa.Column("role", sa.Text(), nullable=False),
        sa.Column("due", schema.Instant(), nullable=False),
        sa.Column("tries", sa.Integer(), nullable=False),
        sa.Column("last_status", sa.Text(), nullable=True),
        sa.Column("accepted", schema.Instant(), nullable=True),
        sa.Column("given_up", schema.Instant(), nullable=True),
        sa.PrimaryKeyConstraint("notice", "sequence", "partner", "channel", name=("pk_outbox")),
    )
    op.create_index(
        "ix_outbox_due",
        "outbox",
        ["due"],
        unique=False,
        sqlite_where=sa.text("accepted IS NULL AND given_up IS NULL"),
        postgresql_where=sa.text("accepted IS NULL AND given_up IS NULL"),
    )
    op.create_table(
        "samples",
        sa.Column("service", sa.Text(), nullable=False),
        sa.Column("time", schema.Instant(), nullable=False),
        sa.Column("vantage", sa.Text(), nullable=False),
        sa.Column("result", sa.Text(), nullable=False),
        sa.Column("stage", sa.Text(), nullable=True),
        sa.Column("cause", sa.Text(), nullable=True),
        sa.Column("seconds", sa.Float(), nullable=True),
        sa.CheckConstraint("result IN ('up', 'down', 'unknown')", name="ck_samples_result"),
        sa.PrimaryKeyConstraint("service", "time", "vantage", name=("pk_samples")),
        sqlite_with_rowid=False,
    )
