"""Run by Alembic, on the connection that `upgrade` was given."""

from alembic import context

from assay.lineage.store.schema import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    render_as_batch=True,
    transactional_ddl=False,  # the caller's transaction is around all steps
)
context.run_migrations()
