"""A record is right, or the first entry that is wrong is named, whoever changed what."""

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.signals import entries, proof
from tests.core.signals import ledger

STORIES = st.integers(0, 30).map(ledger.story)


def checked(lines: list[bytes], wanted: str = "") -> proof.Report:
    chain = proof.Chain(wanted)
    for line in lines:
        chain.take(line)
    return chain.end()


def broken(lines: list[bytes]) -> proof.BrokenError:
    with pytest.raises(proof.BrokenError) as found:
        checked(lines)
    return found.value


def as_read(content: bytes) -> list[bytes]:
    """Lines as they come out of a file: only a line feed ends one."""
    pieces = content.split(b"\n")
    return [piece + b"\n" for piece in pieces[:-1]] + ([pieces[-1]] if pieces[-1] else [])


@given(STORIES)
def test_a_record_as_the_product_writes_it_is_right(made: ledger.Ledger) -> None:
    report = checked(made.whole)
    assert (report.entries, report.head) == (len(made.entries), made.head)
    assert (report.open, report.closed) == (len(made.secrets), sum("closing" in entry for entry in made.entries))
    assert report.oldest == (ledger.AT if made.secrets else "")
    assert report.r == sum((Decimal(e["closing"]["r"]) for e in made.entries if "closing" in e), Decimal(0))


def test_an_empty_record_is_right() -> None:
    report = checked(ledger.Ledger().whole)
    assert (report.entries, report.head, report.first) == (0, entries.NOTHING, "")


@settings(max_examples=400)
@given(STORIES, st.data())
def test_any_changed_byte_is_found_in_its_entry(made: ledger.Ledger, data: st.DataObject) -> None:
    content = b"".join(made.whole)
    place = data.draw(st.integers(0, len(content) - 1))
    byte = data.draw(st.integers(0, 255).filter(lambda byte: byte != content[place]))
    changed = content[:place] + bytes([byte]) + content[place + 1 :]
    entry = content[:place].count(b"\n") + 1
    found = broken(as_read(changed))
    # A last line that counts fewer entries than there are makes the first of the others the wrong one.
    assert found.n == entry or (entry > len(made.entries) and found.n >= len(made.entries) - 9)
    assert str(found).startswith(f"Entry {found.n} ")


@settings(max_examples=200)
@given(STORIES, st.data())
def test_a_removed_entry_is_missing(made: ledger.Ledger, data: st.DataObject) -> None:
    gone = data.draw(st.integers(1, len(made.entries)))
    lines = made.whole
    del lines[gone - 1]
    found = broken(lines)
    assert found.n == gone
    assert "is missing" in str(found)


@given(STORIES, st.data())
def test_a_record_that_was_cut_off_is_not_whole(made: ledger.Ledger, data: st.DataObject) -> None:
    kept = data.draw(st.integers(0, len(made.entries)))
    assert broken(made.whole[:kept]).n == kept + 1
    content = b"".join(made.whole)
    cut = data.draw(st.integers(0, len(content) - 1))
    assert broken(as_read(content[:cut])).n == content[:cut].count(b"\n") + 1


@settings(max_examples=200)
@given(STORIES, st.data())
def test_entries_in_another_order_are_found(made: ledger.Ledger, data: st.DataObject) -> None:
    one, other = sorted(data.draw(st.lists(st.integers(0, len(made.entries) - 1), min_size=2, max_size=2, unique=True)))
    lines = made.whole
    lines[one], lines[other] = lines[other], lines[one]
    assert broken(lines).n == one + 1


@settings(max_examples=200)
@given(STORIES, st.data())
def test_an_entry_that_stands_there_twice_is_found(made: ledger.Ledger, data: st.DataObject) -> None:
    which = data.draw(st.integers(0, len(made.entries) - 1))
    where = data.draw(st.integers(which + 1, len(made.entries)))
    lines = made.whole
    lines.insert(where, lines[which])
    assert broken(lines).n == where + 1


@given(STORIES, st.data())
def test_an_entry_that_was_slipped_in_is_found(made: ledger.Ledger, data: st.DataObject) -> None:
    where = data.draw(st.integers(1, len(made.entries)))
    before = made.entries[where - 1]
    forged = entries.sealed(
        {
            "n": where + 1,
            "at": ledger.AT,
            "signal": 99,
            "kind": "opened",
            "previous": before["hash"],
            "commitment": "a" * 64,
        }
    )
    lines = made.whole
    lines.insert(where, entries.canonical(forged) + b"\n")
    # The forged one is right in itself; what the chain says against it is the true one after it, or the last line.
    assert broken(lines).n == (where + 2 if where < len(made.entries) else where + 1)


@given(STORIES, st.data())
def test_an_entry_whose_hash_was_made_anew_breaks_the_next_one(made: ledger.Ledger, data: st.DataObject) -> None:
    which = data.draw(st.integers(0, len(made.entries) - 1))
    entry = {name: value for name, value in made.entries[which].items() if name != "hash"}
    lines = made.whole
    lines[which] = entries.canonical(entries.sealed(entry | {"at": "2026-01-15T11:00:00.000Z"})) + b"\n"
    assert broken(lines).n == min(which + 2, len(made.entries))


def test_something_behind_the_end_is_found() -> None:
    made = ledger.story(3)
    for more in (b"\n", b" ", made.whole[-1], made.lines[0]):
        assert "behind the line that ends" in str(broken([*made.whole, more]))


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"\n",
        b"[]\n",
        b"7\n",
        b"null\n",
        b"\xff\n",
        b'{"n":1}\n',
        b'{"entries":-1,"head":"' + b"0" * 64 + b'"}\n',
        b'{"entries":0}\n',
        b'{"entries":1e400,"head":""}\n',
        b"[" * 60_000 + b"]" * 5000 + b"\n",
        b'{"reveal":' + b"[" * 900 + b"]" * 900 + b"}\n",
        b"x" * 70_000 + b"\n",
    ],
)
def test_whatever_stands_in_a_line_is_answered_with_one_sentence(line: bytes) -> None:
    found = broken([line])
    assert found.n == 1
    assert len(str(found)) < 400


@given(st.binary(max_size=300))
def test_no_bytes_make_the_check_stumble(line: bytes) -> None:
    assert broken(as_read(line) or [b""]).n == 1


@given(STORIES, st.data())
def test_a_head_that_was_seen_elsewhere_is_found_by_its_beginning(made: ledger.Ledger, data: st.DataObject) -> None:
    entry = data.draw(st.sampled_from(made.entries))
    assert checked(made.whole, entry["hash"][:12]).seen == entry["n"]
    assert checked(made.whole, "f" * 64).seen is None


# --- a keeper who writes a new chain from the beginning cannot make a lie about a signal follow


def lied(kind: str, price: str, **changed: Any) -> str:
    made = ledger.Ledger()
    made.open(5)
    made.reach(5, 1, "105.0", "0.5", "100.0")
    made.close(5, kind, price, "0.5", **changed)
    found = broken(made.whole)
    assert found.n == 3
    return str(found)


HALF = {"price": "105.0", "share": "0.5"}


def reveal(made: ledger.Ledger) -> list[dict[str, Any]]:
    return [{"n": n, **secret} for n, secret in made.secrets[5]]


def test_details_that_were_not_committed_to_are_found() -> None:
    made = ledger.Ledger()
    made.open(5)
    for name, value in {"entry": "99.0", "direction": "short", "symbol": "ETH/USDT", "fee": "0", "late": True}.items():
        copy = ledger.Ledger()
        copy.entries, copy.secrets = list(made.entries), dict(made.secrets)
        (told,) = reveal(copy)
        copy.close(5, "expired", "103.0", reveal=[told | {"details": told["details"] | {name: value}}])
        assert "reveals other details" in str(broken(copy.whole))


def test_an_end_reveals_everything_before_it() -> None:
    assert "does not reveal exactly" in lied("target", "110.0", reveal=[])
    made = ledger.Ledger()
    made.open(5)
    made.reach(5, 1, "105.0", "0.5", "100.0")
    first, second = reveal(made)
    for told in ([first], [second], [second, first], [first, second, second]):
        assert "does not reveal exactly" in lied("target", "110.0", reveal=told)


@pytest.mark.parametrize(
    ("kind", "price", "closing", "words"),
    [
        ("target", "110.0", {"r": "9.99"}, "names 9.99 as its result (r), but"),
        ("target", "110.0", {"percent": "9.99"}, "names 9.99 as its result (percent), but"),
        ("target", "110.0", {"filled": "90.0"}, "as its result"),
        ("target", "110.0", {"filled": "0"}, "figures with which nobody can compute"),
        ("target", "110.0", {"average_exit": "120.0"}, "does not follow from its exits"),
        ("target", "109.9", {}, "counts a target at 110.0 as reached"),
        ("target", "110.0", {"candle": 6}, "in another order than that of time"),
        ("stopped", "101.0", {}, "better than any stop that was set"),
        ("target", "110.0", {"exits": [{"price": "110.0", "share": "1"}]}, "other exits"),
        ("expired", "101.0", {"exits": [HALF, {"price": "101.0", "share": "0.4"}]}, "do not add up to the whole"),
    ],
)
def test_results_follow_from_what_happened(kind: str, price: str, closing: dict[str, Any], words: str) -> None:
    assert words in lied(kind, price, closing=closing)


def test_a_signal_ends_once_and_begins_once() -> None:
    made = ledger.Ledger()
    made.open(5)
    made.open(5)
    assert "once too often" in str(broken(made.whole))
    made = ledger.Ledger()
    made.open(5)
    made.close(5, "expired", "103.0")
    made.open(5)
    assert "was closed before" in str(broken(made.whole))


def test_a_signal_from_before_the_record_shows_its_details_at_its_end() -> None:
    made = ledger.Ledger()
    made.open(6)
    told = {"details": ledger.details(), "published": "2026-01-15T11:00:00.000Z"}
    made.close(5, "expired", "103.0", unsealed=told)
    report = checked(made.whole)
    assert (report.closed, report.unsealed) == (1, 1)
    made.close(7, "expired", "103.0", unsealed=told | {"published": "2026-01-15T13:00:00.000Z"})
    assert "from before the record" in str(broken(made.whole))


def test_a_signal_without_details_is_found() -> None:
    made = ledger.Ledger()
    closing = ledger.ended(ledger.details(), [{"price": "103.0", "share": "1"}])
    made.add(5, "expired", closing=closing, reveal=[])
    assert "has no details" in str(broken(made.whole))
    for given_ in ({"commitment": "a" * 64}, {"closing": closing}, {"closing": None, "reveal": None}):
        made = ledger.Ledger()
        made.add(5, "expired", **given_)
        assert "has not what an entry of the kind expired has" in str(broken(made.whole))
