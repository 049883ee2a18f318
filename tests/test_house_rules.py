"""The house rules that a linter does not know, held by a test; design decisions behind them: docs/decisions/."""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PRODUCT = [path for room in ("bot", "core", "webhooks", "migrations") for path in sorted((ROOT / room).rglob("*.py"))]
TESTS = sorted((ROOT / "tests").rglob("*.py"))
FORBIDDEN = re.compile(r"(^|_)(handle|process|manager|helpers?|utils?|common|services?)(_|$)", re.IGNORECASE)
# The command /service, what SQLAlchemy calls the methods of a column type, and what aiohttp calls one of a connection.
ALLOWED = {"_service", "service", "process_bind_param", "process_result_value", "handle_error"}


def _named(paths: list[Path]) -> list[object]:
    return [pytest.param(path, id=str(path.relative_to(ROOT))) for path in paths]


def _functions(path: Path) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def _body_lines(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    body = function.body[1:] if ast.get_docstring(function) else function.body
    return (function.end_lineno or 0) - body[0].lineno + 1 if body else 0


@pytest.mark.parametrize("path", _named([path for path in PRODUCT if path.parent.name != "versions"]))
def test_a_module_fits_on_a_few_screens(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 300


@pytest.mark.parametrize("path", _named(TESTS))
def test_a_test_file_fits_too(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 400


@pytest.mark.parametrize("path", _named([path for path in PRODUCT if path.parent.name != "versions"]))
def test_a_function_body_is_thirty_lines_at_most(path: Path) -> None:
    long = {function.name: _body_lines(function) for function in _functions(path) if _body_lines(function) > 30}
    assert long == {}


@pytest.mark.parametrize("path", _named(PRODUCT))
def test_names_say_what_a_thing_is(path: Path) -> None:
    names = {path.stem, *(function.name for function in _functions(path))}
    assert {name for name in names - ALLOWED if FORBIDDEN.search(name)} == set()


@pytest.mark.parametrize("path", _named(PRODUCT))
def test_a_public_module_says_what_it_is_for(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert not text.strip() or ast.get_docstring(ast.parse(text))


def test_no_vendor_is_imported_for_the_help_text() -> None:
    code = (
        "import sys\nsys.argv = ['signalstack', '--help']\nimport bot.__main__ as door\n"
        "try: door.main()\nexcept SystemExit: pass\n"
        "print(sorted({'telegram', 'discord', 'stripe', 'ccxt', 'redis', 'sqlalchemy', 'numpy'} & set(sys.modules)))"
    )
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert shown.stdout.strip().endswith("[]")


def test_the_locks_name_no_registry() -> None:
    for lock in (ROOT / "requirements").iterdir():
        assert not re.search(r"://|index-url|find-links", lock.read_text(encoding="utf-8")), lock.name


def test_messages_are_not_sent_through_webhooks_of_discord() -> None:
    """Discord's webhooks have no nonce, so a resend would be a second message."""
    for path in PRODUCT:
        assert "Webhook.send" not in path.read_text(encoding="utf-8")


@pytest.mark.parametrize("name", ["run", "observe", "dev", "uv"])
def test_x09_every_dependency_is_pinned_with_hashes(name: str) -> None:
    lines = (ROOT / "requirements" / f"{name}.txt").read_text(encoding="utf-8").splitlines()
    pinned = [line for line in lines if line and not line.startswith((" ", "#"))]
    assert pinned
    for line in pinned:
        assert re.fullmatch(r"[a-z0-9][a-z0-9._-]*==[^ ]+( ; .+)? \\", line), line
        assert lines[lines.index(line) + 1].strip().startswith("--hash=sha256:"), line


@pytest.mark.parametrize("name", ["Makefile", "Dockerfile"])
def test_x09_nothing_is_installed_without_its_hash(name: str) -> None:
    lines = (ROOT / name).read_text(encoding="utf-8").splitlines()
    commands = [line for line in lines if "pip install" in line]
    assert commands
    assert all("--require-hashes" in command for command in commands)
