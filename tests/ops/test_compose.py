"""The large form: every file parses, images are pinned, nothing secret is written down, every setting is known."""

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from core import settings

ROOT = Path(__file__).parents[2]
COMPOSE = ROOT / "docker-compose.yml"
CADDYFILE = ROOT / "ops/Caddyfile"
KNOWN = {name.upper() for name in settings.Settings.model_fields} | {"POSTGRES_PASSWORD"}
"""The password of the database is no setting of ours: it stands in DATABASE_URL, which Compose makes of it."""
PROFILES = {"edge": {"edge"}, "observe": {"prometheus", "grafana"}, "backup": {"backup"}}
FOREIGN = re.compile(r"(?:GF|POSTGRES)_[A-Z_]+")


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load(COMPOSE.read_text(encoding="utf-8"))
    return loaded


def test_profiles_add_what_they_say_and_nothing_runs_without_being_asked_for(compose: dict[str, Any]) -> None:
    services = compose["services"]
    by_profile = {key: {name for name, one in services.items() if key in one.get("profiles", [])} for key in PROFILES}
    assert by_profile == PROFILES
    always = {name for name, one in services.items() if not one.get("profiles")}
    assert always == {"postgres", "redis", "migrate", "scheduler", "bot", "webhooks"}


def test_images_are_pinned_by_tag(compose: dict[str, Any]) -> None:
    for name, one in compose["services"].items():
        if "build" not in one:
            _, sign, tag = one["image"].partition(":")
            assert sign, name
            assert re.search(r"\d", tag), name
    bases = re.findall(r"^FROM (\S+)", (ROOT / "Dockerfile").read_text(encoding="utf-8"), re.MULTILINE)
    assert {base for base in bases if base != "product"} == {"python:3.12-slim-trixie"}


def test_every_variable_is_a_setting_that_we_know(compose: dict[str, Any]) -> None:
    example = (ROOT / ".env.example").read_text(encoding="utf-8")
    named = set(re.findall(r"\$\{(\w+)", COMPOSE.read_text(encoding="utf-8")))
    named |= set(re.findall(r"\{\$(\w+)", CADDYFILE.read_text(encoding="utf-8")))
    for name, one in compose["services"].items():
        for variable in one.get("environment", {}):
            assert variable in KNOWN or FOREIGN.fullmatch(variable), (name, variable)
    assert named <= KNOWN
    assert all(f"{variable}=" in example for variable in named)


def test_the_example_has_every_setting_once() -> None:
    lines = (ROOT / ".env.example").read_text(encoding="utf-8").splitlines()
    named = [line.partition("=")[0] for line in lines if line and not line.startswith("#")]
    assert sorted(named) == sorted(KNOWN)


def test_no_secret_is_written_down(compose: dict[str, Any]) -> None:
    for name, one in compose["services"].items():
        for variable, value in one.get("environment", {}).items():
            if re.search(r"PASSWORD|SECRET|TOKEN|KEY", variable):
                assert str(value).startswith("${"), (name, variable)


def test_every_folder_of_ours_that_is_mounted_exists_or_is_the_operators(compose: dict[str, Any]) -> None:
    for name, one in compose["services"].items():
        for mount in one.get("volumes", []):
            source, _, rest = mount.partition(":")
            if source.startswith("./") and source != "./catalogue":
                assert (ROOT / source).exists(), (name, source)
                assert rest.endswith(":ro"), (name, source)
            elif not source.startswith("./"):
                assert source in compose["volumes"], (name, source)


def test_only_the_edge_listens_to_the_world(compose: dict[str, Any]) -> None:
    for name, one in compose["services"].items():
        for port in one.get("ports", []):
            assert port.startswith("127.0.0.1:") or name == "edge", (name, port)


def test_processes_have_no_more_rights_than_they_need(compose: dict[str, Any]) -> None:
    for name, one in compose["services"].items():
        if name not in {"postgres", "redis"}:
            assert one["cap_drop"] == ["ALL"], name
            assert one["security_opt"] == ["no-new-privileges:true"], name


def test_the_edge_is_believed_and_nobody_else(compose: dict[str, Any]) -> None:
    address = compose["services"]["edge"]["networks"]["default"]["ipv4_address"]
    assert compose["services"]["webhooks"]["environment"]["TRUSTED_PROXIES"] == f"${{TRUSTED_PROXIES:-{address}}}"


def test_the_edge_keeps_figures_inside_and_drops_what_callers_say_of_themselves() -> None:
    text = CADDYFILE.read_text(encoding="utf-8")
    assert re.search(r"@inside path /metrics /readyz\n\trespond @inside 404", text)
    assert "max_size 1MB" in text
    for header in ("Forwarded", "X-Real-IP", "X-Request-Id"):
        assert f"header_up -{header}" in text
    assert text.count("{") == text.count("}")


def test_grafana_finds_its_source_and_its_dashboard(compose: dict[str, Any]) -> None:
    source = yaml.safe_load((ROOT / "ops/grafana/provisioning/datasources/prometheus.yml").read_text())
    board = yaml.safe_load((ROOT / "ops/grafana/provisioning/dashboards/signalstack.yml").read_text())
    assert source["datasources"][0]["url"] == "http://prometheus:9090"
    mounts = [one.rsplit(":", 2)[1] for one in compose["services"]["grafana"]["volumes"] if one.startswith("./")]
    assert board["providers"][0]["options"]["path"] in mounts
    home = compose["services"]["grafana"]["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"]
    assert (ROOT / "ops/grafana/dashboards" / Path(home).name).exists()


@pytest.mark.skipif(not shutil.which("caddy"), reason="caddy is not installed")
def test_caddy_understands_its_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PUBLIC_URL", "https://signals.example")
    command = ["caddy", "validate", "--adapter", "caddyfile", "--config", str(CADDYFILE)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
