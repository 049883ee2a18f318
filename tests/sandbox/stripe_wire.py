"""The wire format of Stripe's API: nested forms in, errors, pages of lists and expanded objects out."""

import re
from collections.abc import Callable, Iterable
from typing import Any
from urllib.parse import parse_qsl

Obj = dict[str, Any]

_TOKEN = re.compile(r"\[([^\]]*)\]")
_TERM = re.compile(r"(\w+)(?:\[['\"]([^'\"]+)['\"]\])?\s*:\s*['\"]([^'\"]*)['\"]")


class ApiError(Exception):
    """An answer in Stripe's error shape, with its HTTP status."""

    def __init__(self, status: int, message: str, **fields: str | None) -> None:
        super().__init__(message)
        self.status = status
        self.body: Obj = {"error": {"message": message, "type": fields.pop("type", "invalid_request_error"), **fields}}


def missing(kind: str, object_id: str, param: str = "id", status: int = 404) -> ApiError:
    """Stripe answers 404 for an object named in the path, 400 for one named in a parameter."""
    name = kind.rsplit(".", maxsplit=1)[-1]
    return ApiError(status, f"No such {name}: '{object_id}'", code="resource_missing", param=param)


def need(params: Obj, *names: str) -> None:
    """All these parameters are there and not empty, or ApiError 400 parameter_missing."""
    for name in names:
        if params.get(name) in (None, "", [], {}):
            raise ApiError(400, f"Missing required param: {name}.", code="parameter_missing", param=name)


def pairs(text: str) -> list[tuple[str, str]]:
    return parse_qsl(text, keep_blank_values=True)


def tokens(key: str) -> list[str]:
    """`line_items[0][price]` as its parts: line_items, 0, price."""
    return [key.split("[", 1)[0], *_TOKEN.findall(key)]


def nest(flat: Iterable[tuple[str, str]]) -> Obj:
    """The nested object that the bracketed form stands for; leaves stay strings."""
    root: Obj = {}
    for key, value in flat:
        *path, last = tokens(key)
        node = root
        for part in path:
            child = node.setdefault(part or str(len(node)), {})
            node = child if isinstance(child, dict) else node.setdefault(part, {})
        node[last or str(len(node))] = value
    result = _lists(root)
    return result if isinstance(result, dict) else {}


def _lists(value: Any, name: str = "") -> Any:
    if not isinstance(value, dict):
        return value
    done = {key: _lists(item, key) for key, item in value.items()}
    if done and name not in {"metadata", ""} and all(key.isdigit() for key in done):
        return [done[key] for key in sorted(done, key=int)]
    return done


def whole(params: Obj, name: str, default: int | None = None) -> int | None:
    """The parameter as an integer, or ApiError 400 parameter_invalid_integer."""
    raw = params.get(name)
    if raw in (None, ""):
        return default
    try:
        return int(str(raw))
    except ValueError:
        raise ApiError(400, f"Invalid integer: {raw}", code="parameter_invalid_integer", param=name) from None


def truth(params: Obj, name: str, default: bool = False) -> bool:
    """The parameter as a boolean, or ApiError 400."""
    raw = params.get(name)
    if raw in (None, ""):
        return default
    if raw not in ("true", "false"):
        raise ApiError(400, f"Invalid boolean: {raw}", param=name)
    return bool(raw == "true")


def merge_metadata(target: Obj, params: Obj) -> None:
    """The object's metadata has the new values; an empty value unsets a key, an empty `metadata` unsets all."""
    if "metadata" not in params:
        return
    if not isinstance(params["metadata"], dict):
        target["metadata"] = {}
        return
    for key, value in params["metadata"].items():
        if value == "":
            target["metadata"].pop(key, None)
        else:
            target["metadata"][key] = value


def within(value: int, wanted: Any) -> bool:
    """The time stands inside a filter such as created[gte]=1, or equals a plain one."""
    if not isinstance(wanted, dict):
        return value == int(wanted)
    tests: dict[str, Callable[[int], bool]] = {
        "gt": lambda limit: value > limit,
        "gte": lambda limit: value >= limit,
        "lt": lambda limit: value < limit,
        "lte": lambda limit: value <= limit,
    }
    return all(tests[op](int(limit)) for op, limit in wanted.items() if op in tests)


def limit_of(params: Obj) -> int:
    """How many a page may hold, or ApiError 400."""
    limit = whole(params, "limit", 10) or 0
    if not 1 <= limit <= 100:
        raise ApiError(400, "Invalid limit: must be between 1 and 100", code="parameter_invalid_integer", param="limit")
    return limit


def page(rows: list[Obj], params: Obj, url: str) -> Obj:
    """One page of the rows, which come newest first, in Stripe's list shape."""
    limit = limit_of(params)
    if after := params.get("starting_after"):
        start = _place([row["id"] for row in rows], after, "starting_after") + 1
        chosen, more = rows[start : start + limit], start + limit < len(rows)
    else:
        chosen, more = rows[:limit], limit < len(rows)
    return {"object": "list", "data": chosen, "has_more": more, "url": url}


def _place(names: list[str], wanted: str, param: str) -> int:
    try:
        return names.index(wanted)
    except ValueError:
        raise missing("object", wanted, param, 400) from None


def found(rows: list[Obj], params: Obj, url: str) -> Obj:
    """The rows that satisfy a search query of AND-ed `field:'value'` and `metadata['key']:'value'` terms."""
    need(params, "query")
    terms = _TERM.findall(str(params["query"]))
    if not terms:
        raise ApiError(400, "We were unable to parse your search query.", param="query")
    hits = [row for row in rows if all(_holds(row, *term) for term in terms)]
    result = page(hits, {"limit": params.get("limit", "10")}, url)
    return {**result, "object": "search_result", "next_page": None}


def _holds(row: Obj, field: str, key: str, value: str) -> bool:
    held = row.get(field)
    if key:
        return isinstance(held, dict) and bool(held.get(key) == value)
    return (str(held).lower() if isinstance(held, bool) else str(held)) == value


def copied(value: Any) -> Any:
    """A copy that shares nothing with the original; of what JSON knows only, and therefore fast."""
    if isinstance(value, dict):
        return {key: copied(item) if isinstance(item, (dict, list)) else item for key, item in value.items()}
    if isinstance(value, list):
        return [copied(item) if isinstance(item, (dict, list)) else item for item in value]
    return value


def expanded(answer: Obj, paths: Any, lookup: Callable[[str], Obj | None], extra: Callable[[Obj, str], Any]) -> Obj:
    """A copy of the answer in which the ids at these dotted paths are replaced by their objects.

    `lookup` finds an object by id; `extra` gives includable fields that stand in no object until asked for.
    """
    result: Obj = copied(answer)
    for path in paths or []:
        if str(path).removeprefix("data.").count(".") >= 4:
            raise ApiError(400, f"You cannot expand more than 4 levels of a property ({path}).", param="expand")
        _expand(result, str(path).split("."), str(path), lookup, extra)
    return result


def _expand(
    node: Any, parts: list[str], path: str, lookup: Callable[[str], Obj | None], extra: Callable[[Obj, str], Any]
) -> None:
    if isinstance(node, list):
        for item in node:
            _expand(item, parts, path, lookup, extra)
        return
    if not isinstance(node, dict) or not parts:
        return
    name, rest = parts[0], parts[1:]
    if name not in node:
        node[name] = copied(extra(node, name))
        if node[name] is None:
            raise ApiError(400, f"This property cannot be expanded ({path}).", param="expand")
    node[name] = _opened(node[name], lookup)
    _expand(node[name], rest, path, lookup, extra)


def _opened(value: Any, lookup: Callable[[str], Obj | None]) -> Any:
    if isinstance(value, str):
        return copied(lookup(value)) or value
    if isinstance(value, list):
        return [_opened(item, lookup) for item in value]
    return value
