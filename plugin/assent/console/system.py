"""Shows what decides here: policies, models, hash lists, endpoints, keys. No secret is shown and nothing is changed."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from fastapi import APIRouter, Response

from assent.console import words
from assent.console.desk import inside
from assent.console.visit import ConsoleRoute, SignedIn, Visit
from assent.db.pool import Conn, Row, fetch, fetch_one, transaction
from assent.db.queries import named_queries
from assent.hashlists.lists import list_hash_lists
from assent.outbox.actions import list_actions
from assent.outbox.endpoints import list_endpoints
from assent.policy.versions import list_activations

router = APIRouter(prefix="/console", include_in_schema=False, route_class=ConsoleRoute)
MOST_ACTS = 50
MODELS_USED = b'"action":"models.used"'
_Q, _POLICY = named_queries("browse"), named_queries("policy")


@dataclass(frozen=True, slots=True)
class ShownEndpoint:
    """An endpoint without its address's path and query, which may be secret; `state` is a key of the words."""

    name: str
    host: str
    audience: str
    waiting: int
    state: str


@router.get("/system")
def show_system(me: SignedIn) -> Response:
    """Shows policies, models, lists, endpoints, messages given up, acts at platforms and the keys' epochs."""
    keys = me.keys.now()
    with transaction(me.state.pool) as conn:
        values: dict[str, Any] = {
            "activations": list_activations(conn, keys.tenant)[::-1],
            "shadow": fetch_one(conn, _POLICY["read_shadow"], tenant=keys.tenant),
            "lists": list_hash_lists(conn, keys.tenant),
            "endpoints": shown_endpoints(list_endpoints(conn, keys.tenant)),
            "dead": fetch(conn, _Q["count_dead_letters"], tenant=keys.tenant),
            "acts": list_actions(conn, keys.tenant, most=MOST_ACTS),
            "rotated": fetch_one(conn, _Q["read_rotated_at"], tenant=keys.tenant),
            "models": _models(conn, me),
        }
    values |= {"epoch": keys.epoch, "retiring": sorted(keys.retiring)}
    return inside("system", me, words.WORDS["system"]["title"], **values)


def shown_endpoints(rows: Iterable[Row]) -> list[ShownEndpoint]:
    """Returns the endpoints with their hosts only."""
    return [
        ShownEndpoint(row["name"], urlsplit(row["url"]).hostname or "", row["audience"], row["waiting"], _state(row))
        for row in rows
    ]


def _state(row: Row) -> str:
    if row["disabled_at"]:
        return "disabled"
    if row["rests_until"]:
        return "rests"
    return "failing" if row["failing_since"] else "works"


def _models(conn: Conn, me: Visit) -> Mapping[str, Any] | None:
    """Returns what the newest leaf about the models says; None before a worker ran."""
    row = fetch_one(conn, _Q["read_newest_of_action"], tenant=me.keys.tenant, mark=MODELS_USED)
    if row is None:
        return None
    used: dict[str, Any] = {"packs": [], "files": [], "heads": [], **json.loads(bytes(row["leaf"])), "leaf": row["seq"]}
    return used
