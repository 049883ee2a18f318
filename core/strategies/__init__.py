"""Trading rules, one file each: every other module of this package that defines a strategy is a plug-in.

An operator's own ones lie in a directory of theirs and are added by `load`.
"""

from __future__ import annotations

import functools
import importlib
import pkgutil
from collections.abc import Mapping
from pathlib import Path

import pydantic

from core import errors
from core.strategies import base, own

_NOT_PLUGINS = {"base", "indicators", "own"}
_LONGEST = 20_000  # candles that a strategy may look back on or wait for
_files: dict[str, Path] = {}  # of the operator's own strategies, by name


def names() -> list[str]:
    """The names of all strategies, sorted."""
    return sorted(_registry())


def load(folder: Path) -> list[str]:
    """The strategies of every *.py in this directory are known like ours; gives back their names, sorted.

    A file that was loaded before stays as it is. Raises ConfigError with one sentence for each thing to change, and
    then adds nothing.
    """
    found, kinds, faults = own.files(folder.resolve()), dict[str, type[base.Strategy]](), list[str]()
    files = dict[str, Path]()
    for path in found:
        if path in _files.values():
            continue
        try:
            for kind in own.read(path):
                faults += _collision(kind.name, path, _files | files)
                kinds[kind.name], files[kind.name] = kind, path
        except errors.ConfigError as error:
            faults += error.faults
    if faults:
        raise errors.ConfigError(*faults)
    _registry().update(kinds)
    _files.update(files)
    return sorted(name for name, path in _files.items() if path in found)


def create(name: str, params: Mapping[str, object]) -> base.Strategy:
    """The strategy `name` with `params`, defaults for those not given.

    Raises ConfigError with one sentence for each thing to change: an unknown name, an unknown or impossible param.
    """
    kind = _registry().get(name)
    if kind is None:
        raise errors.ConfigError(f"there is no strategy {name!r}; known are {', '.join(names())}")
    try:
        made = kind(kind.Params.model_validate(dict(params)))
        figures = {"warmup": made.warmup, "expires_after": made.expires_after}
    except pydantic.ValidationError as error:
        raise errors.ConfigError(*(_sentence(name, fault) for fault in error.errors())) from error
    except Exception as error:  # whoever wrote it: an operator reads a sentence
        text = f"{type(error).__name__}: {error}"[:300]
        raise errors.ConfigError(f"strategy {name!r} cannot be made from these params: {text}") from error
    for what, figure in figures.items():
        if type(figure) is not int or not 1 <= figure <= _LONGEST:
            raise errors.ConfigError(
                f"`{what}` of strategy {name!r} must be a whole number from 1 to {_LONGEST}, not {figure!r}"
            )
    return made


def _sentence(name: str, fault: Mapping[str, object]) -> str:
    place = fault["loc"]
    param = ".".join(str(part) for part in place) if isinstance(place, tuple) else ""
    subject = f"param {param!r} of strategy {name!r}" if param else f"strategy {name!r}"
    return f"{subject}: {str(fault['msg']).removeprefix('Value error, ')} (given: {fault['input']!r})"


def _collision(name: str, path: Path, files: Mapping[str, Path]) -> list[str]:
    """That the name which this file wants is taken, in one sentence; nothing when it is free."""
    said = f"The strategy file {path.name} cannot name a strategy {name!r}"
    if name in files:
        where = path.name if files[name] == path else str(files[name])
        return [f"{said}: {where} has one already; choose another name."]
    if name in _registry():
        return [f"{said}: SignalStack has one already; choose another name."]
    return []


@functools.cache
def _registry() -> dict[str, type[base.Strategy]]:
    found: dict[str, type[base.Strategy]] = {}
    for module_info in pkgutil.iter_modules(__path__):
        if module_info.name in _NOT_PLUGINS:
            continue
        for kind in own.defined(importlib.import_module(f"{__name__}.{module_info.name}")):
            if kind.name in found:
                raise errors.ConfigError(f"two strategies are named {kind.name!r}: {found[kind.name]} and {kind}")
            found[kind.name] = kind
    return found
