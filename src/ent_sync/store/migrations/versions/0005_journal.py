"""What undoing a run needs: which run pushed a change, and which before-images are old enough to go."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Add them."""
    op.add_column("changes", sa.Column("run", sa.Text(), nullable=True))
    for name, column, where in (
        ("ix_changes_journal", "decided", "before IS NOT NULL"),
        ("ix_changes_run", "run", "run IS NOT NULL"),
    ):
        op.create_index(name, "changes", [column], sqlite_where=sa.text(where), postgresql_where=sa.text(where))
