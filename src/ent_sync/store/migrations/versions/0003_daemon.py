"""What a daemon and its operators need: measures, what hands ask of runs, and since when a change waits."""

import sqlalchemy as sa
from alembic import op

from ent_sync.store import schema

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Add them."""
    op.create_table(
        "measures",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("labels", sa.Text(), nullable=False),
        sa.Column("value", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("name", "labels", name=("pk_measures")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "turns",
        sa.Column("run", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("host", sa.Text(), nullable=False),
        sa.Column("process", sa.Integer(), nullable=False),
        sa.Column("process_start", sa.Text(), nullable=False),
        sa.Column("expires", schema.Instant(), nullable=False),
        sa.CheckConstraint("state IN ('waits', 'away')", name="ck_turns_state"),
        sa.PrimaryKeyConstraint("run", name=("pk_turns")),
    )
    op.create_table(
        "pauses",
        sa.Column("target", sa.Text(), nullable=False),
        sa.Column("since", schema.Instant(), nullable=False),
        sa.PrimaryKeyConstraint("target", name=("pk_pauses")),
    )
    op.create_table(
        "stops",
        sa.Column("run", sa.Text(), nullable=False),
        sa.Column("asked", schema.Instant(), nullable=False),
        sa.PrimaryKeyConstraint("run", name=("pk_stops")),
    )
    op.add_column("deliveries", sa.Column("guard", sa.Text(), nullable=True))
    op.add_column("entries", sa.Column("changed_at", schema.Instant(), nullable=True))
    op.create_index("ix_quarantine_source", "quarantine", ["source", "population"])
    for name, table, columns, where in (
        ("ix_deliveries_unused", "deliveries", ["source", "status"], "status IN ('held', 'refused')"),
        ("ix_plans_held", "plans", ["target", "plan"], "status = 'held'"),
    ):
        op.create_index(name, table, columns, sqlite_where=sa.text(where), postgresql_where=sa.text(where))
    for statement in _ACCOUNTS:
        op.execute(statement)


def _labels(row: str) -> str:
    return f"{row}target || '|' || {row}population || '|' || {row}lifecycle"


def _is_account(row: str) -> str:
    return f"{row}kind = 'account' AND {row}population IS NOT NULL AND {row}lifecycle IS NOT NULL"


_ONE_MORE = "ON CONFLICT (name, labels) DO UPDATE SET value = value + 1"
_ONE_LESS = f"UPDATE measures SET value = value - 1 WHERE name = 'accounts' AND labels = {_labels('old.')}"
_ACCOUNTS = (
    f"INSERT INTO measures (name, labels, value) SELECT 'accounts', {_labels('')}, count(*) FROM entries WHERE "
    f"{_is_account('')} GROUP BY 2",
    f"CREATE TRIGGER entries_accounts_insert AFTER INSERT ON entries WHEN {_is_account('new.')} BEGIN "
    f"INSERT INTO measures (name, labels, value) VALUES ('accounts', {_labels('new.')}, 1) {_ONE_MORE}; END",
    "CREATE TRIGGER entries_accounts_update AFTER UPDATE OF lifecycle ON entries WHEN new.kind = 'account' AND "
    f"new.population IS NOT NULL AND old.lifecycle IS NOT new.lifecycle BEGIN {_ONE_LESS}; INSERT INTO measures "
    f"(name, labels, value) SELECT 'accounts', {_labels('new.')}, 1 WHERE new.lifecycle IS NOT NULL {_ONE_MORE}; END",
    f"CREATE TRIGGER entries_accounts_delete AFTER DELETE ON entries WHEN {_is_account('old.')} BEGIN {_ONE_LESS}; END",
)
