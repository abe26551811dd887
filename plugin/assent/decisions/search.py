"""Finds a tenant's media items by the labels, action and time of their newest decisions, and by the PDQ hash.

What is found by is what the platform reads in a decision. Nobody is found by a face, a match or a person.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from dataclasses import dataclass
from datetime import datetime
from difflib import get_close_matches
from typing import Any, NamedTuple

from assent.core.clock import rfc3339
from assent.core.errors import BadRequest, LabelUnknown
from assent.core.taxonomy import BY_NAME
from assent.core.values import ActionName
from assent.db.pool import Conn, Row, execute, fetch, fetch_one
from assent.db.queries import named_queries
from assent.decisions.document import from_json
from assent.decisions.search_index import ALL, near_parts, pdq_bits
from assent.hashlists.search import DISTANCE
from assent.keys.keystore import TenantKeys
from assent.policy.input import above

MOST = 200  # media items of one page
_LAST_ID = 2**63 - 1
_MAC_BYTES = 16
_Q = named_queries("search")


@dataclass(frozen=True, slots=True)
class Search:
    """Describes what to look for; every part that is given must hold.

    `labels`: labels or groups; `since` ≤ a decision's time < `until`; `pdq`: 64 hex digits, within 31 bits.
    """

    labels: tuple[str, ...] = ()
    action: ActionName | None = None
    since: datetime | None = None
    until: datetime | None = None
    pdq: str | None = None


class Found(NamedTuple):
    """A page, as JSON values: `media`, `next` (the cursor of the next page or None) and `complete`."""

    media: list[dict[str, Any]]
    next: str | None
    complete: bool

    def document(self) -> dict[str, Any]:
        return self._asdict()


class _Place(NamedTuple):
    """The last media item of a page: its decision's time or its distance, and its number in the index."""

    by: str | int
    id: int


def search_media(conn: Conn, keys: TenantKeys, search: Search, limit: int = 50, cursor: str | None = None) -> Found:
    """Returns a page of what fits: the nearest first where a PDQ hash is given, else the newest.

    A page goes on behind the last media item of the one before, whatever was decided meanwhile. Raises LabelUnknown,
    BadRequest for a cursor of another search, DecisionUnreadable.
    """
    _check_labels(conn, keys.tenant, search.labels)
    place = _open_cursor(keys, search, cursor) if cursor is not None else None
    complete = fetch_one(conn, _Q["is_backlog_left"], tenant=keys.tenant) is None
    rows = first_rows(conn, keys.tenant, search, limit + 1, place)
    shown = rows[:limit]
    return Found(
        _documents(conn, keys.tenant, shown),
        _cursor(keys, search, shown[-1]) if len(rows) > limit else None,
        complete,
    )


def _check_labels(conn: Conn, tenant: str, labels: tuple[str, ...]) -> None:
    """Raises LabelUnknown, with the nearest name, for what neither the taxonomy nor a decision has."""
    known = {group for name, label in BY_NAME.items() if label.category != "face" for group in above(name)}
    for label in labels:
        used = label and fetch_one(conn, _Q["is_label_used"], tenant=tenant, label=label) is not None
        if label not in known and not used:
            close = get_close_matches(label, sorted(known), n=1, cutoff=0.5)
            raise LabelUnknown(f"{label!r} is no label" + (f"; did you mean {close[0]}?" if close else ""))


def first_rows(conn: Conn, tenant: str, search: Search, most: int, place: _Place | None = None) -> list[Row]:
    """Returns what fits behind a place, as rows of the index."""
    execute(conn, _Q["set_planner_by_index"])
    return (_near if search.pdq else _newest)(conn, tenant, search, place, most)


def _newest(conn: Conn, tenant: str, search: Search, place: _Place | None, most: int) -> list[Row]:
    rarest, *others = _rarest_first(conn, tenant, search.labels)
    after = {"after_at": place.by if place else "infinity", "after_id": place.id if place else _LAST_ID}
    values = {"tenant": tenant, "label": rarest, "others": others, "most": most, **_times(search), **after}
    if search.action is None:
        return fetch(conn, _Q["list_found"], **values)
    return fetch(conn, _Q["list_found_of_action"], **values, action=search.action)


def _rarest_first(conn: Conn, tenant: str, labels: tuple[str, ...]) -> list[str]:
    """Returns the labels, that of the fewest media items first: its rows are walked through."""
    distinct = sorted(set(labels)) or [ALL]
    if len(distinct) == 1:
        return distinct
    counts = {label: fetch(conn, _Q["count_label"], tenant=tenant, label=label)[0]["count"] for label in distinct}
    return sorted(distinct, key=lambda label: int(counts[label]))


def _near(conn: Conn, tenant: str, search: Search, place: _Place | None, most: int) -> list[Row]:
    pdq = search.pdq or ""
    after = {"after_distance": place.by if place else -1, "after_id": place.id if place else _LAST_ID}
    hashes = {"pdq": pdq_bits(pdq), "bands": near_parts(pdq), "distance": DISTANCE}
    values = {"labels": sorted(set(search.labels)), "action": search.action, "most": most}
    return fetch(conn, _Q["list_near"], tenant=tenant, **values, **hashes, **_times(search), **after)


def _times(search: Search) -> dict[str, Any]:
    return {"since": search.since or "-infinity", "until": search.until or "infinity"}


def _documents(conn: Conn, tenant: str, found: list[Row]) -> list[dict[str, Any]]:
    sources, ids = [row["source"] for row in found], [row["media_id"] for row in found]
    decisions = fetch(conn, _Q["list_newest_decisions"], tenant=tenant, sources=sources, ids=ids)
    distances = {(row["source"], row["media_id"]): row["distance"] for row in found}
    return [_document(row, distances[row["source"], row["media_id"]]) for row in decisions]


def _document(row: Row, distance: int | None) -> dict[str, Any]:
    decision = from_json(row["document"])
    return {
        "media": row["media_id"],
        "source": row["source"],
        "revision": row["revision"],
        "action": decision.action,
        "tags": sorted({tag.name for tag in decision.tags}),
        "decided_at": rfc3339(row["decided_at"]),
        **({} if distance is None else {"distance": distance}),
    }


def _cursor(keys: TenantKeys, search: Search, last: Row) -> str:
    by = last["decided_at"].isoformat() if last["distance"] is None else last["distance"]
    payload = json.dumps([by, last["id"]]).encode()
    return urlsafe_b64encode(_mac(keys, search, payload) + payload).decode()


def _open_cursor(keys: TenantKeys, search: Search, cursor: str) -> _Place:
    """Reads a cursor of the same search. Raises BadRequest for any other."""
    try:
        sent = urlsafe_b64decode(cursor.encode("ascii"))
    except ValueError:
        sent = b""
    mac, payload = sent[:_MAC_BYTES], sent[_MAC_BYTES:]
    if not hmac.compare_digest(mac, _mac(keys, search, payload)):
        raise BadRequest("cursor: it is not the `next` of this search")
    return _Place(*json.loads(payload))


def _mac(keys: TenantKeys, search: Search, payload: bytes) -> bytes:
    times = [at.timestamp() if at else None for at in (search.since, search.until)]
    asked = json.dumps([sorted(set(search.labels)), search.action, *times, search.pdq])
    message = b"search\x00" + asked.encode() + b"\x00" + payload
    return hmac.digest(keys.pseudonym_key, message, hashlib.sha256)[:_MAC_BYTES]
