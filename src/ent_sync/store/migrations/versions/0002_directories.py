"""Records of directories that are asked: their own names for them, and how far they were consumed."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Add them."""
    op.add_column("sources", sa.Column("cursor", sa.Text(), nullable=True))
    op.add_column("records", sa.Column("handle", sa.LargeBinary(), nullable=True))
    op.add_column("records", sa.Column("name", sa.Text(), nullable=True))
    for column in ("handle", "name"):
        op.create_index(
            f"ix_records_{column}",
            "records",
            ["source", "population", column],
            sqlite_where=sa.text(f"{column} IS NOT NULL"),
            postgresql_where=sa.text(f"{column} IS NOT NULL"),
        )
