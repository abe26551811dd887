"""A tenant whose decisions act at platforms: its sources, what is decided, and the attempts that follow."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any
from uuid import UUID, uuid4

from assent.core.settings import AllowedHost
from assent.core.values import (
    Action,
    Analysis,
    Event,
    MediaItem,
    MediaRef,
    Perception,
    Picture,
    PolicyRef,
    ReviewQueue,
    Rule,
    Verdict,
    WantedAct,
)
from assent.db.pool import Pool, transaction
from assent.decisions.media_items import MediaKey, forget
from assent.decisions.store import NewDecision, record
from assent.keys.keystore import TenantKeys
from assent.outbox.actions import ActionOutcome, attempt_action, list_actions
from assent.outbox.connections import connect_platform, switch_actions
from assent.platforms.calls import ActCredentials
from assent.policy.load import load_policy
from tests.platform_api import KEY, TOKEN, Api

SOURCES = {"social": "mastodon", "forum": "discourse", "app": "standard"}
SECRET = "whsec_" + "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="


@cache
def policy_ref() -> PolicyRef:
    return load_policy(None).ref


@dataclass
class Acting:
    """A tenant with a source for each platform, connected to one server that speaks for all of them."""

    pool: Pool
    keys: TenantKeys
    api: Api
    now: datetime = field(default_factory=lambda: datetime.now(UTC) + timedelta(seconds=1))
    allow: tuple[AllowedHost, ...] | None = None  # None: the server's own address

    def set_up(self, *, on: bool = True) -> None:
        with transaction(self.pool) as conn:
            for source, adapter in SOURCES.items():
                conn.execute(
                    "INSERT INTO source (tenant, name, adapter) VALUES (%s, %s, %s)",
                    [self.keys.tenant, source, adapter],
                )
        for source in SOURCES:
            self.connect(source, self.api.url, on=on)

    def connect(self, source: str, url: str, *, on: bool = True) -> None:
        credentials = {
            "social": ActCredentials(url, TOKEN),
            "forum": ActCredentials(url, KEY, "assent"),
            "app": ActCredentials(f"{url}/callback", SECRET),
        }
        with transaction(self.pool) as conn:
            connect_platform(conn, self.keys, source, credentials[source])
        if on:
            with transaction(self.pool) as conn:
                switch_actions(conn, self.keys, source, on=True)

    def decide(
        self,
        source: str,
        media: str,
        acts: Sequence[str],
        action: Action = Action.block,
        queue: ReviewQueue | None = None,
        author: str = "7",
    ) -> None:
        """A decision of models and policy, as a worker records it, on a picture of that account."""
        event = Event("media.created", (MediaRef(media, None),), "public", "post", author=author)
        wanted = tuple(WantedAct(act, "rule-1", "Nudity in public posts") for act in acts)
        picture = Picture(uuid4().hex * 2, "jpeg", 100, 100, 1, ())
        verdict = Verdict(action, (), (Rule("rule-1", ""),), review=queue, acts=wanted)
        analysis = Analysis(picture, Perception((), (), ()), (), verdict)
        with transaction(self.pool) as conn:
            media_key = self._event(conn, source, event)
            record(conn, self.keys, media_key, NewDecision(analysis, policy_ref()))

    def delete(self, source: str, media: str) -> None:
        """What happens once the platform says that the media item was deleted."""
        event = Event("media.deleted", (MediaRef(media, None),), "public", "post")
        with transaction(self.pool) as conn:
            forget(conn, self.keys, [self._event(conn, source, event)])

    def _event(self, conn: Any, source: str, event: Event) -> MediaKey:
        event_id = uuid4()
        conn.execute(
            "INSERT INTO event (tenant, id, source, lane, sealed) VALUES (%s, %s, %s, 'live', '')",
            [self.keys.tenant, event_id, source],
        )
        arrival = conn.execute("SELECT nextval('event_arrival')").fetchone()[0]
        return MediaKey(self.keys.tenant, event_id, source, 0, event, event.media[0], arrival)

    def item(self, source: str, media: str) -> MediaItem:
        return MediaItem(source, media)

    def rows(self) -> list[dict[str, Any]]:
        with transaction(self.pool) as conn:
            return list_actions(conn, self.keys.tenant, most=100_000)

    def states(self) -> list[str]:
        return sorted(row["state"] for row in self.rows())

    def attempt(self, action_id: UUID) -> ActionOutcome:
        allow = (self.api.allowed,) if self.allow is None else self.allow
        return attempt_action(self.pool, self.keys, action_id, allow, self.now)

    def step(self) -> list[ActionOutcome]:
        """One attempt of each action that is due at the test's own time."""
        with transaction(self.pool) as conn:
            due = conn.execute(
                "SELECT id FROM platform_action WHERE next_at <= %s ORDER BY created_at, id", [self.now]
            ).fetchall()
        return [self.attempt(one) for (one,) in due]

    def settle(self, most: int = 40) -> None:
        """Attempts what is due, at later and later times, until nothing is."""
        for _ in range(most):
            self.step()
            with transaction(self.pool) as conn:
                (at,) = conn.execute("SELECT min(next_at) FROM platform_action").fetchone() or (None,)
            if at is None:
                return
            self.now = max(self.now, at)
        raise AssertionError(f"it does not come to rest: {self.rows()}")
