"""How Alembic reaches the database: by the connection that it was given."""

from alembic import context

from pellucid.study.store.models import Base

context.configure(connection=context.config.attributes["connection"], target_metadata=Base.metadata)
with context.begin_transaction():
    context.run_migrations()
