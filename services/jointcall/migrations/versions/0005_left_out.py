"""Sites that nobody gets, for a sample's record that is called with an ALT and has no PL."""

from __future__ import annotations

from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

STATEMENTS = (
    # null where the engine does not tell
    "alter table freeze_interval add column left_out bigint",
    """
    create or replace view status_interval as
        select freeze_id as "freeze", index, interval, predicted_work, state, variants, seconds, attempts, reuse,
               left_out
        from freeze_interval
    """,
    """
    create or replace view status_freeze as
        select f.freeze_id as "freeze", f.cohort, f.number, f.state, f.since, f.samples, f.intervals,
               (select count(*) from freeze_interval i
                where i.freeze_id = f.freeze_id and i.state = 'genotyped') as genotyped,
               f.engine, f.requested_by, f.error, f.request_id,
               case f.state
                   when 'planning' then 'its manifest'
                   when 'genotyping' then 'its intervals'
                   when 'genotyped' then 'filters, annotation and release'
               end as waits_for,
               f.begun_with,
               (select jsonb_build_object(
                           'samples_reused', min((i.reuse ->> 'samples_reused')::bigint),
                           'samples_imported', max((i.reuse ->> 'samples_imported')::bigint),
                           'bytes_reused', sum((i.reuse ->> 'bytes_reused')::bigint),
                           'bytes_written', sum((i.reuse ->> 'bytes_written')::bigint))
                from freeze_interval i
                where i.freeze_id = f.freeze_id and i.reuse is not null
                having count(*) > 0) as reuse,
               (select sum(i.left_out)::bigint from freeze_interval i where i.freeze_id = f.freeze_id) as left_out
        from cohort_freeze f
    """,
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)


def downgrade() -> None:
    raise NotImplementedError("a ledger is restored from a backup, never migrated back")
