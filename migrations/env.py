"""Run by Alembic, on the connection that the caller put into the configuration."""

from alembic import context

from core import models
from migrations import compare

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=models.Base.metadata,
    render_as_batch=context.config.attributes.get("batch", False),
    **compare.OPTIONS,
)
with context.begin_transaction():
    context.run_migrations()
