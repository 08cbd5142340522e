"""Participants, answers, and the state of the study."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Make the tables of the first version."""
    op.create_table(
        "participants",
        sa.Column("id", sa.Integer, primary_key=True, autoincrement=True),
        sa.Column("code", sa.String(16), nullable=False, unique=True),
        sa.Column("invited_at", sa.Double),
        sa.Column("ticket", sa.String(64), unique=True),
        sa.Column("external", sa.String(128), unique=True),
        sa.Column("visit", sa.String(128)),
        sa.Column("device", sa.String(8), nullable=False),
        sa.Column("consented_at", sa.Double),
        sa.Column("demographics", sa.JSON),
        sa.Column("cell", sa.Integer),
        sa.Column("trials", sa.JSON),
        sa.Column("begun_at", sa.Double),
        sa.Column("seen_at", sa.Double),
        sa.Column("finished_at", sa.Double),
        sa.Column("forgotten_at", sa.Double),
    )
    op.create_index("ix_participants_cell", "participants", ["cell"])
    op.create_table(
        "answers",
        sa.Column("id", sa.Integer, primary_key=True, autoincrement=True),
        sa.Column("participant_id", sa.Integer, sa.ForeignKey("participants.id"), nullable=False),
        sa.Column("trial", sa.Integer, nullable=False),
        sa.Column("key", sa.String(64), nullable=False),
        sa.Column("values", sa.JSON, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("milliseconds", sa.Integer, nullable=False),
        sa.Column("saved_at", sa.Double, nullable=False),
        sa.UniqueConstraint("participant_id", "key", name="one_answer_a_key"),
    )
    op.create_index("answers_of_a_trial", "answers", ["participant_id", "trial"])
    state = op.create_table(
        "state",
        sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("closed", sa.Boolean, nullable=False),
        sa.Column("open_limit", sa.Integer, nullable=False),
    )
    op.bulk_insert(state, [{"id": 1, "closed": False, "open_limit": 100}])
