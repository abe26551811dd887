"""A platform without an adapter of its own is told by signed callbacks what to do."""

from __future__ import annotations

import json

from standardwebhooks import Webhook

from assent.core.values import Action
from tests.acting import SECRET, Acting
from tests.platform_api import Api, Fault
from tests.web import Answer


def test_it_is_told_to_act_and_told_to_undo(acting: Acting, api: Api) -> None:
    acting.decide("app", "photo-1", ["hide"])
    acting.settle()
    acting.decide("app", "photo-1", [], Action.allow)
    acting.settle()
    told = [Webhook(SECRET).verify(body, headers) for body, headers in zip(api.bodies, api.headers, strict=True)]
    assert [one["type"] for one in told] == ["action.requested", "action.withdrawn"]
    (row,) = acting.rows()
    assert told[0]["data"] == {
        "id": str(row["id"]),
        "act": "hide",
        "source": "app",
        "media": "photo-1",
        "rule": "rule-1",
        "reason": "Nudity in public posts",
    }
    assert json.loads(api.bodies[0])["timestamp"].endswith("Z")


def test_a_repetition_has_the_same_id_and_a_later_round_another(acting: Acting, api: Api) -> None:
    api.faults = iter([Fault(Answer(500), took_effect=True)])
    acting.decide("app", "photo-1", ["hide"])
    acting.settle()
    for action in (Action.allow, Action.block):
        acting.decide("app", "photo-1", ["hide"] if action else [], action)
        acting.settle()
    ids = [headers["webhook-id"] for headers in api.headers]
    assert len(ids) == 4
    assert ids[0] == ids[1]
    assert len(set(ids)) == 3
