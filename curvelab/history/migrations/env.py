"""How Alembic runs our migrations: on the connection, and in the transaction, that it is given."""

from alembic import context

from curvelab.history.tables import VERSION_TABLE, metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    version_table=VERSION_TABLE,
    render_as_batch=True,  # SQLite changes a column only by making the table anew
)
context.run_migrations()
