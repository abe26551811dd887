"""Moderators decide, undo and correct while pictures are posted anew and deleted and whoever is in them comes and goes:
what was undone is as it was before and was told to nobody, and names go at once."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest

from assent.core.errors import CaseOpen, NotFound
from assent.core.review_errors import UndoOver
from assent.core.values import Analysis, Event, Face, MediaRef, Perception, Picture, Tag
from assent.db.locks import lock_shared
from assent.db.pool import Conn, transaction
from assent.decisions.assemble import assemble, message_body
from assent.decisions.document import to_json
from assent.decisions.media_items import MediaKey, forget
from assent.decisions.retract import retract
from assent.decisions.statement import state_restriction
from assent.decisions.store import NewDecision, record
from assent.intake.accept import Origin, store_event
from assent.policy.decide import decide
from assent.policy.model import Policy
from assent.review.claims import claim_case
from assent.review.decide import Final, ReviewInput, correct, decide_case
from assent.review.history import with_history
from assent.review.undo import undo
from assent.review.veto import veto_match
from tests.club import Club, photo_of
from tests.events import SOURCE, media_item, rows
from tests.fixtures.figures import Figure
from tests.people import MODEL
from tests.unit.policy_files import policy, rule

WHO = "ana"
BREAST, FEET = "nudity.explicit.breast", "nudity.partial.feet"
MEDIA = ("first", "second", "third")
ACTIONS: tuple[Final, ...] = ("allow", "limit", "block")
HOLD = timedelta(seconds=30)
STATED = {"statement": {"ground": "Terms, nudity"}}
Document = dict[str, Any]


@pytest.fixture
def rules(tmp_path: Path) -> Policy:
    """What is bare waits for a moderator, feet are hidden behind a warning and stated."""
    bare = rule("bare", f'score["{BREAST}"] > 0.0', action="review")
    feet = {
        **rule("feet", f'score["{FEET}"] > 0.0', action="limit", redact=[FEET], **STATED),
        "reason": {"en": "Feet."},
    }
    statements = {"languages": ["en"], "for_actions": ["limit", "block"]}
    return policy(tmp_path, rules=[bare, feet], statements=statements)


@dataclass(frozen=True)
class Held:
    """A decision that may be undone: who made it, and what there was before and since."""

    by: str
    case: UUID
    before: Document
    after: Document


@dataclass
class Counts:
    did: Counter[str] = field(default_factory=Counter)
    told: int = 0


class Desk:
    """Two moderators, a platform and somebody in its pictures, and one who draws what happens next."""

    def __init__(self, club: Club, rules: Policy, counts: Counts, seed: int) -> None:
        self.club, self.rules, self.counts, self.random = club, rules, counts, random.Random(seed)
        self.prefix = f"{seed}-"
        self.held: dict[str, Held] = {}
        self.newest: dict[str, Document] = {}  # that the platform was told of
        self.consents = False

    def run(self, steps: int) -> None:
        self.come("")
        for media in MEDIA:
            self.post(media)
        for _ in range(steps):
            (act,) = self.random.choices([*ACTS], [*ACTS.values()])
            act(self, self.random.choice(MEDIA))
            self.counts.did[act.__name__] += 1
        self.wait("")
        self.deliver("")
        self.go("")
        self.deliver("")
        for media in MEDIA:
            now = self.document(media)
            assert (now is None) or lasting(self.newest[media]) == lasting(now), (
                f"{media}: the platform knows other things"
            )

    # What the platform does

    def post(self, media: str) -> None:
        """Posts a picture of one of two files, by which other models see other things each time."""
        ref, event_id = MediaRef(self.prefix + media, None), uuid4()
        event = Event("media.created", (ref,), "public", "post", WHO)
        digest = sha256(photo_of(WHO) + self.random.choice((b"", b"2")) + self.prefix.encode()).hexdigest()
        picture = Picture(digest, "jpeg", 90, 80, 1, ())
        tags = [(BREAST, 0.9)] * (self.random.random() < 0.9) + [(FEET, 0.8)] * (self.random.random() < 0.4)
        found = tuple(Tag(name, "safety", score, (1, 1, 20, 20), 0, "m") for name, score in tags)
        seen = Perception(found, (Face((40, 40, 30, 30), 0, 0.9, 0.8),), ("m",), MODEL)
        key = MediaKey("default", event_id, SOURCE, 0, event, ref)
        looked = Analysis(picture, seen, self.club.find(WHO).matches, decide(self.rules, event, picture, seen))
        with transaction(self.club.pool) as conn:
            store_event(conn, self.club.keys, event_id, event, Origin(SOURCE, "live"))
        with transaction(self.club.pool) as conn:
            outcome = with_history(conn, key, self.rules, looked)
            heeded = outcome.moderated
            read, verdict = (heeded.perception, heeded.verdict) if heeded else (seen, outcome.verdict)
            stated = state_restriction(self.rules, read, verdict)
            record(conn, self.club.keys, key, NewDecision(outcome, self.rules.ref, None, stated))
        self.held.pop(media, None)

    def delete(self, media: str) -> None:
        ref, event_id = MediaRef(self.prefix + media, None), uuid4()
        event = Event("media.deleted", (ref,), "public", "post", WHO)
        with transaction(self.club.pool) as conn:
            store_event(conn, self.club.keys, event_id, event, Origin(SOURCE, "live"))
        with transaction(self.club.pool) as conn:
            forget(conn, self.club.keys, [MediaKey("default", event_id, SOURCE, 0, event, ref)])
        self.held.pop(media, None)
        self.newest.pop(media, None)

    def deliver(self, _media: str) -> None:
        """Sends what is due, as the worker makes it."""
        columns = ("id", "source", "media_id", "revision", "type", "created_at", "audience")
        for row in rows(
            self.club.pool,
            "SELECT o.id, o.source, o.media_id, o.revision, o.type, o.created_at, e.audience"
            " FROM outbox o JOIN endpoint e ON e.tenant = o.tenant AND e.name = o.endpoint"
            " WHERE o.media_id LIKE %s AND o.state = 'waiting' AND o.next_at <= now() ORDER BY random()",
            self.prefix + "%",
        ):
            message = dict(zip(columns, row, strict=True))
            with transaction(self.club.pool) as conn:
                body = message_body(conn, self.club.keys, message, lock_shared)
                state = "delivered" if body else "superseded"
                conn.execute("UPDATE outbox SET state = %s, attempts = 1 WHERE id = %s", [state, message["id"]])
            if body and body["type"] != "tag.suggested":
                self._hear(body["data"])

    def _hear(self, told: Document) -> None:
        media = told["media"]["id"].removeprefix(self.prefix)
        self.counts.told += 1
        if media in self.held:
            before, after = (settled(one) for one in (self.held[media].before, self.held[media].after))
            assert before != after
            assert settled(told) == before, "what may be undone still was told"
        assert self.consents or not named(told), "somebody is named who left"
        # Of messages that go out in any order the highest revision counts.
        if told["revision"] >= self.newest.get(media, told)["revision"]:
            self.newest[media] = told

    # What whoever is in the pictures does

    def come(self, _media: str) -> None:
        if not self.consents:
            self.club.consent(WHO)
            self.club.run_photo(self.club.send_photo(WHO))
            self.consents = True

    def go(self, _media: str) -> None:
        """Leaves: names are retracted, and what was decided meanwhile stays as it is."""
        if self.consents:
            self.club.withdraw(WHO)
            self.consents = False
            retract(self.club.pool, self.club.keys, self.club.pid(WHO))
        for media in MEDIA:
            now = self.document(media)
            assert now is None or not named(now)

    # What moderators do

    def decide(self, media: str) -> None:
        """Decides on the picture's case, mostly so that it can be undone."""
        case, by = self._case(media), self.random.choice(("robin", "kim"))
        if case is None:
            return
        add, remove = self._labels()
        hold = HOLD if self.random.random() < 0.85 else timedelta()
        hide = ((5, 5, 9, 9),) if self.random.random() < 0.3 else ()
        action = self.random.choice(ACTIONS)
        before = self.state(media)
        with transaction(self.club.pool) as conn:
            claim = claim_case(conn, "default", by, case).token
            given = ReviewInput(action, add, remove, None, claim, hold, None, hide)
            decide_case(conn, self.club.keys, by, case, given)
        self.held.pop(media, None)
        if hold:
            self.held[media] = Held(by, case, before, self.state(media))

    def take_back(self, media: str) -> None:
        """Undoes the decision on it: everything is as it was but for names that went meanwhile."""
        media = self.random.choice([*self.held] or [media])
        held = self.held.pop(media, None)
        if held is None:
            return
        with transaction(self.club.pool) as conn:
            undo(conn, self.club.keys, held.by, held.case)
        now = self.state(media)
        assert settled(now) == settled(held.before)
        assert now["others"] == held.before["others"]
        assert named(now) <= named(held.before)
        assert self._case(media) == held.case
        self._too_late(held)
        self.counts.did["undone"] += 1

    def take_back_late(self, media: str) -> None:
        """Tries to undo what somebody else decided."""
        if media in self.held:
            self._too_late(replace(self.held[media], by="somebody else"))

    def put_right(self, media: str) -> None:
        """Another moderator corrects it without a case: what was decided before can no longer be undone."""
        add, remove = self._labels()
        given = ReviewInput(self.random.choice((None, "label")), add, remove, hide=((1, 2, 3, 4),))
        with transaction(self.club.pool) as conn:
            try:
                correct(conn, self.club.keys, "kim", media_item(self.prefix + media), given)
            except (CaseOpen, NotFound):
                return
        held = self.held.pop(media, None)
        if held:
            self._too_late(held)

    def veto(self, media: str) -> None:
        """Says that whoever was recognised in it is somebody else."""
        case, now = self._case(media), self.document(media)
        if case and now and named(now):
            self._in_one(lambda conn: veto_match(conn, self.club.keys, "robin", case, 0))
            after = self.document(media)
            assert after is not None
            assert not named(after)

    def wait(self, _media: str) -> None:
        """Half a minute passes."""
        with transaction(self.club.pool) as conn:
            conn.execute("UPDATE moderator_undo SET undo_until = undo_until - interval '31 s'")
            conn.execute("UPDATE outbox SET next_at = next_at - interval '31 s' WHERE state = 'waiting'")
            conn.execute(
                "UPDATE review_case SET claimed_at = NULL, claim = NULL, claimed_by = NULL, claimed_until = NULL"
            )
        for media, held in self.held.items():
            self._too_late(held)
            assert settled(self.state(media)) == settled(held.after)
        self.held.clear()

    # What there is

    def document(self, media: str) -> Document | None:
        with transaction(self.club.pool) as conn:
            found = assemble(conn, self.club.keys, media_item(self.prefix + media))
        return to_json(found) if found else None

    def state(self, media: str) -> Document:
        """The document, and under `others` corrections, statements and places of matches."""
        found, item = self.document(media), self.prefix + media
        assert found is not None
        corrections = rows(
            self.club.pool, "SELECT label, holds, by, at FROM correction WHERE media_id = %s ORDER BY label", item
        )
        stored = rows(self.club.pool, "SELECT puid, body, notice, at FROM statement ORDER BY puid")
        statements = [row for row in stored if row[0] == found["statement"]]
        views = rows(
            self.club.pool,
            "SELECT action, audiences, perceptions FROM decision WHERE media_id = %s ORDER BY revision DESC LIMIT 1",
            item,
        )
        labels = rows(
            self.club.pool,
            "SELECT l.label, l.action FROM media_label l JOIN media_search s USING (tenant, id) WHERE s.media_id = %s"
            " ORDER BY l.label",
            item,
        )
        return {**found, "others": [corrections, statements, views, labels]}

    def _case(self, media: str) -> UUID | None:
        """The picture's open case, which nobody works on any more."""
        self._in_one(lambda conn: conn.execute("UPDATE review_case SET claimed_until = now() WHERE claim IS NOT NULL"))
        found = rows(
            self.club.pool, "SELECT id FROM review_case WHERE media_id = %s AND closed_at IS NULL", self.prefix + media
        )
        return found[0][0] if found else None

    def _labels(self) -> tuple[tuple[str, ...], tuple[str, ...]]:
        add = (self.random.choice((FEET, BREAST)),) if self.random.random() < 0.5 else ()
        remove = (self.random.choice((FEET, BREAST)),) if self.random.random() < 0.5 else ()
        return add, tuple(label for label in remove if label not in add)

    def _too_late(self, held: Held) -> None:
        with pytest.raises(UndoOver):
            self._in_one(lambda conn: undo(conn, self.club.keys, held.by, held.case))

    def _in_one(self, act: Callable[[Conn], object]) -> None:
        with transaction(self.club.pool) as conn:
            act(conn)


def lasting(document: Document) -> Document:
    """All but the revision, its leaf and what was signed of the log."""
    return {name: value for name, value in document.items() if name not in ("revision", "audit", "others")}


def settled(document: Document) -> Document:
    """What lasts, without the names, which may go meanwhile."""
    return {name: value for name, value in lasting(document).items() if name != "faces"}


def named(document: Document) -> set[str]:
    return {face["match"]["subject"] for face in document["faces"] if face["match"]}


# What happens, and how often.
ACTS: dict[Callable[[Desk, str], None], int] = {
    Desk.decide: 14,
    Desk.take_back: 8,
    Desk.take_back_late: 1,
    Desk.post: 3,
    Desk.delete: 1,
    Desk.go: 2,
    Desk.come: 2,
    Desk.put_right: 2,
    Desk.veto: 1,
    Desk.deliver: 6,
    Desk.wait: 2,
}


def walk(club: Club, rules: Policy, figure: Figure, walks: int, steps: int) -> None:
    counts = Counts()
    for seed in range(walks):
        desk = Desk(club, rules, counts, seed)
        try:
            desk.run(steps)
        except BaseException as error:
            error.add_note(f"walk {seed}")
            raise
        finally:
            with transaction(club.pool) as conn:
                conn.execute("TRUNCATE moderator_undo")
    figure(
        f"{walks} walks of {steps} steps: {counts.did['undone']} decisions undone, everything as before;"
        f" {counts.told} messages, 0 of what was undone or could be"
    )


def test_what_is_undone_was_told_to_nobody_and_leaves_no_trace(club: Club, rules: Policy, figure: Figure) -> None:
    walk(club, rules, figure, walks=40, steps=12)


@pytest.mark.slow
def test_five_hundred_walks_leave_no_trace(club: Club, rules: Policy, figure: Figure) -> None:
    walk(club, rules, figure, walks=500, steps=20)
