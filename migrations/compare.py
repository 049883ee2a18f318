"""How models are compared with a database, and how the differences are written into a version."""

from typing import Any, Literal

from alembic.autogenerate.api import AutogenContext
from alembic.runtime.migration import MigrationContext
from sqlalchemy import DefaultClause

from core import columns

# Versions are history: they name plain types, so that a later change of core.columns cannot rewrite them.
_PLAIN = {
    columns.Utc: "sa.DateTime(timezone=True)",
    columns.Price: 'sa.Numeric().with_variant(sa.String(64), "sqlite")',
    columns.Json: 'postgresql.JSONB().with_variant(sa.Text(), "sqlite")',
}


def _written(kind: str, item: Any, autogenerate: AutogenContext) -> str | Literal[False]:
    if isinstance(item, DefaultClause):  # Alembic would write SQLite's brackets around it
        return repr(item.arg) if isinstance(item.arg, str) else f'sa.text("{item.arg}")'
    if kind != "type" or type(item) not in _PLAIN:
        return False
    if isinstance(item, columns.Json):
        autogenerate.imports.add("from sqlalchemy.dialects import postgresql")
    return _PLAIN[type(item)]


def _default_differs(
    _context: MigrationContext, _there: object, column: Any, there: str | None, *_wanted: object
) -> bool | None:
    # Alembic takes an empty text on SQLite for a difference from itself.
    empty = column.server_default is not None and column.server_default.arg == ""
    return False if empty and there in {"''", "('')"} else None


OPTIONS: dict[str, Any] = {"compare_type": True, "compare_server_default": _default_differs, "render_item": _written}
