"""The operator's own strategies: Python files in a directory of theirs, read as plug-ins beside ours."""

from __future__ import annotations

import importlib.machinery
import importlib.util
import inspect
import re
import sys
import traceback
from collections.abc import Iterator
from pathlib import Path
from types import CodeType, ModuleType

import pydantic

from core import errors
from core.strategies import base

# Far from the names of real packages: a file of the operator called numpy.py must hide nothing.
_PACKAGE = "own_strategies"
_NAME = re.compile(r"[a-z][a-z0-9_]{0,39}")

Kinds = list[type[base.Strategy]]


class _FromSource(importlib.machinery.SourceFileLoader):
    """Reads the file itself: no __pycache__ appears in the operator's directory, and no old one counts."""

    def get_code(self, fullname: str) -> CodeType:
        path = self.get_filename(fullname)
        return self.source_to_code(self.get_data(path), path)


def files(folder: Path) -> list[Path]:
    """The strategy files of this directory, sorted; those whose names begin with an underscore are left out.

    Raises ConfigError when it is no directory that can be read, or holds none.
    """
    named = f"directory {str(folder)!r} of your own strategies"
    try:
        found = sorted(path for path in folder.iterdir() if path.suffix == ".py" and path.is_file())
    except FileNotFoundError:
        raise errors.ConfigError(f"There is no {named}; create it, or correct `strategies` in the catalogue.") from None
    except OSError as error:
        raise errors.ConfigError(f"The {named} cannot be read: {error.strerror}.") from error
    if found := [path for path in found if not path.name.startswith("_")]:
        return found
    raise errors.ConfigError(f"The {named} holds no strategy; put a file such as breakout.py into it.")


def read(path: Path) -> Kinds:
    """The strategies that this file defines; raises ConfigError with one sentence for each thing to change."""
    module = _imported(path)
    kinds = list(defined(module))
    faults = [fault for kind in kinds for fault in _faults(path, kind)]
    if not kinds:
        faults = [f"The strategy file {path.name} {_nothing(module)}."]
    if faults:
        raise errors.ConfigError(*faults)
    return kinds


def defined(module: ModuleType) -> Iterator[type[base.Strategy]]:
    """The whole strategies that this module defines."""
    for kind in vars(module).values():
        # A module also sees classes that it imported; only those that it defines are its own plug-ins.
        own = inspect.isclass(kind) and issubclass(kind, base.Strategy) and kind.__module__ == module.__name__
        if own and not inspect.isabstract(kind):
            yield kind


def _imported(path: Path) -> ModuleType:
    name = f"{_PACKAGE}.{path.stem}"
    loader = _FromSource(name, str(path))
    module = importlib.util.module_from_spec(importlib.machinery.ModuleSpec(name, loader, origin=str(path)))
    module.__file__ = str(path)
    sys.modules[name] = module  # where pydantic looks up the words of annotations
    try:
        loader.exec_module(module)
    except (Exception, SystemExit) as error:
        del sys.modules[name]
        raise errors.ConfigError(f"The strategy file {path.name} cannot be loaded: {_said(path, error)}.") from error
    return module


def _said(path: Path, error: BaseException) -> str:
    """What happened and in which line of the file, in one sentence without its end."""
    if isinstance(error, SyntaxError) and error.filename == str(path):
        line, text = error.lineno, f"SyntaxError: {error.msg}"
    else:
        lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == str(path)]
        line, text = (lines[-1] if lines else None), f"{type(error).__name__}: {error}"
    text = " ".join(text.split()).rstrip(".: ")[:300]
    return f"line {line}: {text}" if line else text


def _nothing(module: ModuleType) -> str:
    """What its author forgot."""
    halves = [kind for kind in vars(module).values() if inspect.isclass(kind) and kind.__module__ == module.__name__]
    for kind in halves:
        if issubclass(kind, base.Strategy):
            return f"defines no whole strategy: {kind.__name__} lacks {', '.join(sorted(kind.__abstractmethods__))}"
    return "defines no strategy; write a class that inherits from core.strategies.base.Strategy"


def _faults(path: Path, kind: type[base.Strategy]) -> Iterator[str]:
    """What keeps this class from being used, one sentence each."""
    said = f"The strategy {kind.__name__} in {path.name}"
    name, params = getattr(kind, "name", None), getattr(kind, "Params", None)
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        yield f"{said} needs a `name` of small letters, digits and underscores, at most 40, not {name!r}."
    elif name == "operator" or name.startswith("intake_"):
        yield f"{said} cannot be named {name!r}: that is what signals by hand and from intakes are called."
    if not (inspect.isclass(params) and issubclass(params, pydantic.BaseModel)):
        yield f"{said} needs `Params`, a class that inherits from pydantic.BaseModel."
        return
    for field, info in params.model_fields.items():
        if info.is_required():
            yield f"{said} needs a default for its param {field!r}."
