"""Alembic's entry: migrations run on the connection that `Database.upgrade` hands over."""

from alembic import context

from ent_sync.store.schema import metadata

connection = context.config.attributes["connection"]
context.configure(connection=connection, target_metadata=metadata, transactional_ddl=False)
context.run_migrations()
