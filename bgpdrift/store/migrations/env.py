"""The environment of Alembic: it migrates on the connection and in the transaction that `bgpdrift.store.migrate` opened."""

from alembic import context

from bgpdrift.store.schema import metadata

if hasattr(context, "config"):  # Alembic is at work; a tool that only imports modules is not
    # Batch mode: SQLite changes a table by copying it. One transaction contains all steps, so Alembic commits none.
    context.configure(
        connection=context.config.attributes["connection"],
        target_metadata=metadata,
        render_as_batch=True,
        transactional_ddl=True,
    )
    context.run_migrations()
