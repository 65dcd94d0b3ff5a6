"""Memos: what one audit leaves for the next, such as whom it could not tell."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Make the table."""
    op.create_table(
        "curvelab_memos",
        sa.Column(
            "project",
            sa.Integer(),
            sa.ForeignKey("curvelab_projects.id", ondelete="CASCADE", name="fk_curvelab_memos_curvelab_projects"),
            nullable=False,
        ),
        sa.Column("name", sa.String(64), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("project", "name", name="pk_curvelab_memos"),
    )
