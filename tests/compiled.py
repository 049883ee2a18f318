"""What SQLAlchemy has compiled for one engine holds for all others of its kind: most tests open one of their own."""

from typing import Any

from sqlalchemy import Connection, Engine, event


class Compiled(dict[tuple[Any, ...], Any]):
    """Compiled statements by their keys, whose first part, the engine's own dialect, counts by its name only."""

    def get(self, key: tuple[Any, ...], default: Any = None) -> Any:
        """The statement, or the default."""
        return super().get((key[0].name, *key[1:]), default)

    def __setitem__(self, key: tuple[Any, ...], value: Any) -> None:
        super().__setitem__((key[0].name, *key[1:]), value)


def share() -> None:
    """From now on every connection of this process looks for compiled statements in one place."""
    known = Compiled()

    @event.listens_for(Engine, "engine_connect")
    def share_with(connection: Connection) -> None:
        connection.execution_options(compiled_cache=known)
