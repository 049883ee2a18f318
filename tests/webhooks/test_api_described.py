"""The description of the API and its page: valid, complete, and what they show works."""

import http
import json
import re
import shlex
from html import unescape
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from schemathesis.specs.openapi import definitions

from tests.webhooks import tools
from tests.webhooks.conftest import World
from tests.webhooks.tools import ask
from webhooks import guard
from webhooks.api import answering, describe, frame, reference
from webhooks.api import table as api

ROWS = [pytest.param(row, id=row.name) for row in api.ENDPOINTS]


async def described(world: World) -> dict[str, Any]:
    answer = await ask(world, "/openapi.json")
    assert answer.status == 200
    said: dict[str, Any] = answer.said
    return said


async def test_the_description_is_valid_openapi_31(world: World) -> None:
    said = await described(world)
    definitions.OPENAPI_31_VALIDATOR.validate(said)
    for form in said["components"]["schemas"].values():
        jsonschema.Draft202012Validator.check_schema(form)
    ids = [operation["operationId"] for path in said["paths"].values() for operation in path.values()]
    assert len(ids) == len(set(ids)) == len(api.ENDPOINTS)
    assert said["webhooks"]["event"]["post"]["requestBody"]
    assert not [name for name in said["components"]["schemas"] if "__" in name]  # two forms of one name


async def test_every_bound_is_said_in_words_that_json_schema_knows(world: World) -> None:
    said = await described(world)
    assert not re.findall(r'"(ge|gt|le|lt|min_length|max_length)":', json.dumps(said))


async def test_every_reference_leads_somewhere(world: World) -> None:
    said = await described(world)
    for reference_ in set(re.findall(r'"\$ref": ?"#/([^"]+)"', json.dumps(said))):
        there: Any = said
        for step in reference_.split("/"):
            there = there[step]


async def test_the_name_of_a_request_may_be_given_and_stands_on_every_answer(world: World) -> None:
    said = await described(world)
    [given] = said["components"]["parameters"].values()
    assert (given["name"], given["in"], given["required"]) == (guard.REQUEST, "header", False)
    for path, methods in said["paths"].items():
        for operation in methods.values():
            assert {"$ref": "#/components/parameters/RequestId"} in operation["parameters"], path
            assert all(guard.REQUEST in answer["headers"] for answer in operation["responses"].values()), path
    key = await tools.reader(world, "signals")
    answer = await ask(world, "/api/v1/signals/latest", key)
    again = await ask(world, "/api/v1/signals/latest", key, headers={"If-None-Match": answer.headers["ETag"]})
    refused, missing = await ask(world, "/api/v1/signals/latest"), await ask(world, "/api/v1/nowhere")
    assert [one.status for one in (answer, again, refused, missing)] == [200, 304, 401, 404]
    assert len({one.headers[guard.REQUEST] for one in (answer, again, refused, missing)}) == 4


async def test_every_route_of_the_api_is_described_and_the_other_way_round(world: World) -> None:
    said = await described(world)
    told = {(method.upper(), path) for path, methods in said["paths"].items() for method in methods}
    routes = {
        (route.method, route.resource.canonical)
        for route in world.app.router.routes()
        if route.resource and route.resource.canonical.startswith("/api/v1/") and route.method not in {"HEAD", "*"}
    }
    # What is no call with a key and an answer: the stream, and the door for the payment provider's events.
    assert {one for one in routes if not one[1].endswith(("/ws", "/webhook"))} == told


@pytest.mark.parametrize("row", ROWS)
def test_every_endpoint_says_what_it_needs(row: frame.Endpoint) -> None:
    told = describe.statuses(row)
    assert {401, 403, 422, 429, 500, 503} <= told.keys()
    assert (304 in told) == (row.method == "GET")
    assert ({408, 413, 415} <= told.keys()) == (row.body is not None)
    assert all(model.model_fields for model in row.returns.values())
    for model in {row.of, row.query, *([row.body] if row.body else [])}:
        assert all(field.description for field in model.model_fields.values())


def test_every_code_of_an_error_is_explained() -> None:
    room = Path(answering.__file__ or "").parent
    written = "".join(path.read_text(encoding="utf-8") for path in room.glob("*.py"))
    codes = set(re.findall(r'RefusalError\(\s*\d+, "([a-z_]+)"', written))
    usual = {code for code, *_ in guard._WORDS.values()}
    assert {"key_unknown", "scope_missing", "invalid"} <= codes
    assert codes | usual <= reference.CODES.keys()


async def test_the_page_is_for_people_and_loads_nothing_from_elsewhere(world: World) -> None:
    page = await ask(world, "/docs")
    text = page.body.decode()
    assert page.status == 200
    assert "<script" not in text
    assert " style=" not in text
    assert not re.search(r'(?:src|href)="(?!/|#)', text)
    assert all(f"{row.method} {row.path}" in text for row in api.ENDPOINTS)
    assert all(f'id="error-{code}"' in text for code in reference.CODES)
    assert len(page.body) < 100_000


def shown(page: bytes) -> list[list[str]]:
    """The words of every call with curl that the page shows."""
    calls = re.findall(r'<code class="curl">([^<]*)</code>', page.decode())
    return [shlex.split(unescape(one).replace("\\\n", " ")) for one in calls]


def request_of(words: list[str]) -> tuple[str, str, dict[str, Any]]:
    """Method, address and body of a call with curl."""
    method, body = "GET", None
    rest = iter(words[1:])
    for word in rest:
        match word:
            case "-X":
                method = next(rest)
            case "-H":
                assert next(rest) == "Authorization: Bearer $SIGNALSTACK_KEY"
            case "--json":
                body = json.loads(next(rest))
            case _:
                url = word
    return method, url, {} if body is None else {"json": body}


async def test_every_example_on_the_page_works(world: World) -> None:
    number = await tools.opened(world)
    await tools.with_candles(world)
    paying, buying = await tools.reader(world, "signals"), await tools.reader(world)
    calls = shown((await ask(world, "/docs")).body)
    assert len(calls) == len(api.ENDPOINTS)
    # In an order in which what is asked for is there.
    told = {}
    for words, endpoint in sorted(zip(calls, by_tag(), strict=True), key=lambda one: one[1].method, reverse=True):
        method, url, options = request_of(words)
        path = world.local(url).removeprefix(world.url)
        key = buying if endpoint.name == "checkout_session" else paying
        told[endpoint.name] = (await ask(world, path, key, method=method, **options)).status
    assert number == 1
    assert {name for name, status in told.items() if status not in {200, 201, 202}} == set()


def by_tag() -> list[frame.Endpoint]:
    """The endpoints in the order of the page."""
    order = list(describe._TAGS)
    return sorted(api.ENDPOINTS, key=lambda row: order.index(row.tag))


@pytest.mark.parametrize("row", ROWS)
def test_every_python_example_compiles(row: frame.Endpoint) -> None:
    compile(reference._python(row, "https://signals.example"), row.name, "exec")


async def test_errors_are_problem_details_with_our_own_words_in_them(world: World) -> None:
    for path, status in (("/api/v1/nowhere", 404), ("/api/v1/signals/latest", 401)):
        answer = await ask(world, path)
        assert answer.headers["Content-Type"].startswith("application/problem+json")
        assert (answer.status, answer.said["status"]) == (status, status)
        assert answer.said["title"] == http.HTTPStatus(status).phrase
        assert answer.said["detail"] == answer.said["error"]["message"]
        assert answer.said["type"] == f"/docs#error-{answer.said['error']['code']}"


async def test_what_has_not_changed_is_not_sent_again(world: World) -> None:
    key = await tools.reader(world, "signals")
    for path in ("/api/v1/signals/latest", "/api/v1/subscription", "/api/v1/record"):
        first = await ask(world, path, key)
        tag = first.headers["ETag"]
        assert not tag.startswith("W/")
        assert first.headers["Cache-Control"] == "private, no-cache"
        again = await ask(world, path, key, headers={"If-None-Match": f'"other", {tag}'})
        assert (again.status, again.body, again.headers["ETag"]) == (304, b"", tag)
        assert (await ask(world, path, key, headers={"If-None-Match": '"other"'})).status == 200
    await tools.opened(world)
    changed = await ask(world, "/api/v1/signals/latest", key, headers={"If-None-Match": tag})
    assert changed.status == 200


async def test_other_methods_are_refused_with_those_that_there_are(world: World) -> None:
    key = await tools.reader(world, "signals")
    for path, known in (
        ("/api/v1/signals/latest", {"GET", "HEAD", "OPTIONS"}),
        ("/api/v1/signals/refresh", {"POST", "OPTIONS"}),
    ):
        refused = await ask(world, path, key, method="DELETE")
        asked = await ask(world, path, method="OPTIONS")
        assert (refused.status, asked.status) == (405, 204)
        assert set(refused.headers["Allow"].split(",")) == set(asked.headers["Allow"].split(",")) == known
    head, got = [await ask(world, "/api/v1/signals/latest", key, method=one) for one in ("HEAD", "GET")]
    assert (head.status, head.body, head.headers["ETag"]) == (200, b"", got.headers["ETag"])
    assert head.headers["Content-Length"] == str(len(got.body))


async def test_a_key_that_may_only_look_sets_nothing_going(world: World) -> None:
    key = await tools.key(world, await tools.member(world, "signals"), ["read"])
    assert (await ask(world, "/api/v1/signals/latest", key)).status == 200
    refused = await ask(world, "/api/v1/signals/refresh", key, method="POST")
    assert (refused.status, refused.said["error"]["code"]) == (403, "scope_missing")
    assert "“act”" in refused.said["error"]["message"]


async def test_all_keys_of_a_member_share_what_sets_work_going(world: World) -> None:
    anna = await tools.member(world, "signals")
    made = [await tools.key(world, anna) for _ in range(4)]
    statuses = [(await ask(world, "/api/v1/signals/refresh", one, method="POST")).status for one in made]
    assert statuses == [202, 202, 202, 429]
