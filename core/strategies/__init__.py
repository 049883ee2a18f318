"""Trading rules, one file each: every other module of this package that defines a strategy is a plug-in."""

from __future__ import annotations

import functools
import importlib
import inspect
import pkgutil
from collections.abc import Iterator, Mapping

import pydantic

from core import errors
from core.strategies import base

_NOT_PLUGINS = {"base", "indicators"}


def names() -> list[str]:
    """The names of all strategies, sorted."""
    return sorted(_registry())


def create(name: str, params: Mapping[str, object]) -> base.Strategy:
    """The strategy `name` with `params`, defaults for those not given.

    Raises ConfigError with one sentence for each thing to change: an unknown name, an unknown or impossible param.
    """
    kind = _registry().get(name)
    if kind is None:
        raise errors.ConfigError(f"there is no strategy {name!r}; known are {', '.join(names())}")
    try:
        return kind(kind.Params.model_validate(dict(params)))
    except pydantic.ValidationError as error:
        raise errors.ConfigError(*(_sentence(name, fault) for fault in error.errors())) from error


def _sentence(name: str, fault: Mapping[str, object]) -> str:
    place = fault["loc"]
    param = ".".join(str(part) for part in place) if isinstance(place, tuple) else ""
    subject = f"param {param!r} of strategy {name!r}" if param else f"strategy {name!r}"
    return f"{subject}: {str(fault['msg']).removeprefix('Value error, ')} (given: {fault['input']!r})"


@functools.cache
def _registry() -> dict[str, type[base.Strategy]]:
    found: dict[str, type[base.Strategy]] = {}
    for kind in _plugins():
        if kind.name in found:
            raise errors.ConfigError(f"two strategies are named {kind.name!r}: {found[kind.name]} and {kind}")
        found[kind.name] = kind
    return found


def _plugins() -> Iterator[type[base.Strategy]]:
    for module_info in pkgutil.iter_modules(__path__):
        if module_info.name in _NOT_PLUGINS:
            continue
        module = importlib.import_module(f"{__name__}.{module_info.name}")
        for kind in vars(module).values():
            # A module also sees classes that it imported; only those that it defines are its own plug-ins.
            own = inspect.isclass(kind) and issubclass(kind, base.Strategy) and kind.__module__ == module.__name__
            if own and not inspect.isabstract(kind):
                yield kind
