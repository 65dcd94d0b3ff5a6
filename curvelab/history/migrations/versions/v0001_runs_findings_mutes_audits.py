"""Runs with their summary metrics, findings, mutes, audits."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Make the first tables. Written out, for a migration must not change when the tables do."""
    op.create_table(
        "curvelab_projects",
        sa.Column("id", sa.Integer(), primary_key=True),
        sa.Column("digest", sa.String(32), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.UniqueConstraint("digest", name="uq_curvelab_projects_digest"),
    )
    op.create_table(
        "curvelab_runs",
        *_project("curvelab_runs"),
        sa.Column("digest", sa.String(32), nullable=False),
        *(sa.Column(name, sa.Text(), nullable=False) for name in ("key", "name", "format", "state", "verdict")),
        sa.Column("seen", sa.String(16), nullable=False),
        sa.Column("live", sa.Boolean(), nullable=False),
        sa.Column("last_step", sa.BigInteger()),
        sa.Column("began", sa.Double()),
        sa.Column("ended", sa.Double()),
        sa.Column("metric", sa.Text(), nullable=False),
        *(sa.Column(name, sa.Double()) for name in ("best", "final", "gpu_hours")),
        sa.Column("signature", sa.Text(), nullable=False),
        sa.Column("causes", sa.Text(), nullable=False),
        sa.Column("settled", sa.Text()),
        sa.Column("settled_causes", sa.Text()),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("diagnosis", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("project", "digest", name="pk_curvelab_runs"),
    )
    op.create_table(
        "curvelab_summaries",
        sa.Column("project", sa.Integer(), nullable=False),
        sa.Column("run", sa.String(32), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("value", sa.Double()),
        sa.PrimaryKeyConstraint("project", "run", "position", name="pk_curvelab_summaries"),
        sa.ForeignKeyConstraint(
            ["project", "run"], ["curvelab_runs.project", "curvelab_runs.digest"],
            name="fk_curvelab_summaries_curvelab_runs", ondelete="CASCADE", onupdate="CASCADE",
        ),
    )  # fmt: skip
    op.create_table(
        "curvelab_findings",
        *_project("curvelab_findings"),
        sa.Column("fingerprint", sa.String(16), nullable=False),
        *(sa.Column(name, sa.Text(), nullable=False) for name in ("run", "run_name", "pattern")),
        sa.Column("severity", sa.String(16), nullable=False),
        *(sa.Column(name, sa.Text(), nullable=False) for name in ("metric", "headline")),
        *(sa.Column(name, sa.BigInteger(), nullable=False) for name in ("start_step", "end_step")),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("was", sa.Text(), nullable=False),
        sa.Column("provisional", sa.Boolean(), nullable=False),
        *(sa.Column(name, sa.Double(), nullable=False) for name in ("first_seen", "last_seen")),
        sa.Column("told", sa.Double()),
        sa.Column("told_severity", sa.String(16)),
        sa.Column("told_excess", sa.Double()),
        sa.Column("fixed", sa.Double()),
        sa.Column("body", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("project", "fingerprint", name="pk_curvelab_findings"),
    )
    op.create_table(
        "curvelab_mutes",
        sa.Column("id", sa.Integer(), primary_key=True),
        *_project("curvelab_mutes"),
        *(sa.Column(name, sa.Text(), nullable=False) for name in ("run", "pattern")),
        sa.Column("until", sa.String(40)),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("made", sa.Double(), nullable=False),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "curvelab_audits",
        *_project("curvelab_audits"),
        sa.Column("number", sa.Integer(), nullable=False),
        *(sa.Column(name, sa.Double(), nullable=False) for name in ("started", "finished")),
        *(sa.Column(name, sa.Text(), nullable=False) for name in ("version", "tree")),
        *(
            sa.Column(name, sa.Integer(), nullable=False)
            for name in ("runs", "new", "worse", "known", "fixed", "muted", "told", "failing")
        ),
        sa.PrimaryKeyConstraint("project", "number", name="pk_curvelab_audits"),
    )


def _project(table: str) -> tuple[Any, ...]:
    return (
        sa.Column("project", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(
            ["project"], ["curvelab_projects.id"], name=f"fk_{table}_curvelab_projects", ondelete="CASCADE"
        ),
    )
