"""What a restore from backup leaves for the consumer and the workers to know."""

from __future__ import annotations

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

STATEMENTS = (
    # In a partition, records from `first` up to `past` were written after the backup and before its restore. Facts
    # among them, told by one of `services`, are forgotten: their ledgers do not know them any more.
    """
    create table rewound (
        topic text not null,
        partition integer not null,
        first bigint not null,
        past bigint not null,
        incarnation integer not null,
        services text[] not null,
        caught_up boolean not null,
        primary key (topic, partition, incarnation)
    )
    """,
    "create view status_rewound as select * from rewound",
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)


def downgrade() -> None:
    raise NotImplementedError("a ledger is restored from a backup, never migrated back")
