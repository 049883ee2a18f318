"""Alert rules and the dashboard ask for figures that a running process really has, and say what members notice."""

import json
import os
import re
import shutil
import subprocess
import sys
import urllib.request
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from tests import servers

ROOT = Path(__file__).parents[2]
RULES = ROOT / "ops/prometheus/rules.yml"
DASHBOARD = ROOT / "ops/grafana/dashboards/signalstack.json"
DOCUMENT = ROOT / "docs/operations.md"
PROMTOOL = pytest.mark.skipif(not shutil.which("promtool"), reason="promtool is not installed (Debian: prometheus)")
_ENDINGS = re.compile(r"_(?:bucket|sum|count|total|created)$")
Families = dict[str, set[str]]


def alerts() -> list[dict[str, Any]]:
    groups = yaml.safe_load(RULES.read_text(encoding="utf-8"))["groups"]
    return [rule for group in groups for rule in group["rules"]]


def queries() -> dict[str, str]:
    """Every expression, by where it stands."""
    panels = json.loads(DASHBOARD.read_text(encoding="utf-8"))["panels"]
    asked = {f"{panel['title']} {one['refId']}": one["expr"] for panel in panels for one in panel["targets"]}
    return asked | {rule["alert"]: rule["expr"] for rule in alerts()}


@pytest.fixture(scope="module")
def families(tmp_path_factory: pytest.TempPathFactory) -> Families:
    """The families that a process with every role shows, by name, with the labels that their samples have."""
    folder, port = tmp_path_factory.mktemp("process"), servers.free_port()
    environment = {
        **{name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ},
        "PYTHONPATH": str(ROOT),
        "DATABASE_URL": f"sqlite:///{folder / 'a.db'}",
        "PORT": str(port),
        "EXCHANGE_API_URL": "http://127.0.0.1:9",
    }
    command = [sys.executable, "-m", "bot", "run"]
    with subprocess.Popen(command, cwd=folder, env=environment, stderr=subprocess.PIPE, text=True) as running:
        try:
            text = _figures(running, f"http://127.0.0.1:{port}/metrics")
        finally:
            running.terminate()
            running.communicate(timeout=30)
    found: Families = {}
    for family in text_string_to_metric_families(text):
        labels = {label for sample in family.samples for label in sample.labels} - {"le"}
        found[_ENDINGS.sub("", family.name)] = labels
    return found


def _figures(running: "subprocess.Popen[str]", url: str) -> str:
    """What the process shows when the site listens; the log is read on, so nothing waits for it."""
    assert running.stderr is not None
    said = []
    for line in running.stderr:
        said.append(line)
        if "webhooks_listening" in line:
            for _ in range(2):  # the first answer has no request to count yet
                with urllib.request.urlopen(url, timeout=10) as answer:  # noqa: S310 - our own address
                    text: str = answer.read().decode()
            return text
    raise AssertionError("".join(said))


def test_every_figure_that_is_asked_for_is_shown_by_a_running_process(families: Families) -> None:
    for where, query in queries().items():
        for name in set(re.findall(r"signalstack_\w+", query)):
            assert _ENDINGS.sub("", name) in families, (where, name)


def test_every_label_that_is_asked_for_is_one_of_the_figure(families: Families) -> None:
    asked = 0
    for where, query in queries().items():
        for name, selected in re.findall(r"(signalstack_\w+)\{([^}]*)\}", query):
            labels = set(re.findall(r"(\w+)\s*(?:=~|!~|!=|=)", selected))
            known = families[_ENDINGS.sub("", name)]
            if known:
                asked += 1
                assert labels <= known, (where, name)
    assert asked > 5


def test_every_figure_is_in_a_query_and_in_the_document(families: Families) -> None:
    text, every = DOCUMENT.read_text(encoding="utf-8"), " ".join(queries().values())
    for name in families:
        if name.startswith("signalstack_"):
            assert f"`{name}" in text, name
            assert name in every, name


@pytest.mark.parametrize("rule", alerts(), ids=lambda rule: rule["alert"])
def test_every_alert_says_what_members_notice_and_where_to_look(rule: dict[str, Any]) -> None:
    assert set(rule["annotations"]) == {"effect", "look"}
    assert all(len(words) > 20 for words in rule["annotations"].values())
    assert rule["labels"]["severity"] in {"page", "warn"}
    assert rule["alert"] in DOCUMENT.read_text(encoding="utf-8")


def test_the_events_of_the_log_that_alerts_name_are_logged_somewhere() -> None:
    files = [path for room in ("bot", "core", "webhooks") for path in (ROOT / room).rglob("*.py")]
    product = "".join(path.read_text(encoding="utf-8") for path in files)
    named = {word for rule in alerts() for word in re.findall(r"\((\w+_\w+)\)", rule["annotations"]["look"])}
    assert len(named) >= 3
    for word in named:
        assert f'"{word}"' in product, word


@PROMTOOL
def test_prometheus_understands_the_rules_and_its_configuration() -> None:
    for what, path in (("rules", RULES), ("config", RULES.with_name("prometheus.yml"))):
        done = subprocess.run(["promtool", "check", what, str(path)], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr


@PROMTOOL
def test_alerts_fire_when_they_should_and_not_before() -> None:
    cases = Path(__file__).with_name("rules.test.yml")
    done = subprocess.run(["promtool", "test", "rules", str(cases)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@PROMTOOL
def test_prometheus_understands_the_queries_of_the_dashboard(tmp_path: Path) -> None:
    rules = [{"record": f"query:{number}", "expr": query} for number, query in enumerate(queries().values())]
    path = tmp_path / "queries.yml"
    path.write_text(yaml.safe_dump({"groups": [{"name": "dashboard", "rules": rules}]}))
    done = subprocess.run(["promtool", "check", "rules", str(path)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
