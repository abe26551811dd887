"""People consent, narrow it, wait with photos, leave, come back and are set back with the whole database, in any order:
after an end nothing names them by what arose before it, and one rotation later nothing of it opens."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from uuid import UUID

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule, run_state_machine_as_test

from assent.core.errors import ConsentMissing
from assent.core.values import Approval
from assent.db.pool import transaction
from assent.subjects.consent import open_subject
from tests.club import DAY, Club, Found, face_of, open_club, photo_of
from tests.events import leaves
from tests.fixtures.database import Drop
from tests.fixtures.figures import Figure
from tests.thief import Value, opened, steal, unwrapped, wrapped_in

STEPS = 60  # of one run; a new one begins with an empty installation
REFS = ("ana", "bea", "cem")
WHO = st.sampled_from(REFS)
SHOWN = 6  # pictures at once, which later posts replace
KEPT = 6  # thefts that are tried again after each rotation


def planted(who: str) -> list[bytes]:
    """What shows that something of a person opens: their face, their photo, a match."""
    return [face_of(who).astype("<f2").tobytes(), photo_of(who), b'"band": "']


@dataclass(eq=False)
class Series:
    """Consents that follow each other without a gap, and whether that has ended."""

    scopes: list[str]
    ended: bool = False


@dataclass
class Told:
    """What may be said: each person's consents, the pictures they are in, the photos that wait."""

    series: dict[str, Series] = field(default_factory=dict)
    pictures: dict[str, tuple[str, Series]] = field(default_factory=dict)
    waiting: dict[UUID, tuple[str, Series]] = field(default_factory=dict)


@dataclass(frozen=True)
class Backup:
    name: str
    model: Told
    consents: dict[str, UUID | None]


@dataclass(frozen=True)
class Theft:
    """What was stolen of somebody just before they left, which the next rotation has to make worthless."""

    ref: str
    values: frozenset[Value]


@dataclass
class Counts:
    did: Counter[str] = field(default_factory=Counter)
    named: int = 0
    tried: int = 0


class People(RuleBasedStateMachine):
    """`begin` and `counts` are set by the test."""

    begin: Callable[[], AbstractContextManager[Club]]
    counts: Counts

    def __init__(self) -> None:
        super().__init__()
        self.running = type(self).begin()
        self.club = self.running.__enter__()
        self.model = Told()
        self.found: list[tuple[Found, Series | None, int]] = []
        self.short: dict[str, bool] = {}  # whether the newest consent was given for a day
        self.backups: list[Backup] = []
        self.thefts: list[Theft] = []
        self.wrapped: set[bytes] = set()  # whatever was ever seen that may be a key

    def teardown(self) -> None:
        try:
            self.look()
            assert leaves(self.club.pool, "seal.broken") == [], "who leaves and comes back alters no row"
        finally:
            self.running.__exit__(None, None, None)

    # What people do

    @rule(who=WHO, scope=st.sampled_from(["own", "connections"]), short=st.booleans())
    def consent(self, who: str, scope: str, short: bool) -> None:
        self.club.consent(who, scope, DAY if short else 365 * DAY)
        series = self.model.series.setdefault(who, Series([]))
        series.scopes.append(scope)
        self.short[who] = short
        self._did("narrow" if series.scopes[-2:] == ["connections", "own"] else "consent")

    @precondition(lambda self: len(self.model.series) < len(REFS))
    @rule(who=WHO)
    def be_known(self, who: str) -> None:
        """The usual way: opted in, enrolled, posted."""
        if who not in self.model.series:
            self.consent(who, "connections", False)
        if not self.club.templates(who):
            self.club.run_photo(self.club.send_photo(who))
        self.find(who)
        self.record(len(self.found) - 1, len(self.model.pictures) % SHOWN, "never")

    @rule(who=WHO)
    def wait(self, who: str) -> None:
        series = self.model.series.get(who)
        if series is None:
            with pytest.raises(ConsentMissing):
                self.club.send_photo(who)
            return
        self.model.waiting[self.club.send_photo(who)] = (who, series)
        self._did("wait")

    @rule(who=WHO)
    def withdraw(self, who: str) -> None:
        if who in self.model.series:
            self._steal(who)
            self.club.withdraw(who)
            self._end(who)
            self._did("withdraw")

    @rule(who=WHO)
    def erase(self, who: str) -> None:
        self._steal(who)
        self.club.erase(who)
        self._end(who)
        self._did("erase")

    @rule()
    def lapse(self) -> None:
        """The time of whoever consented for a day is over."""
        over = [who for who in self.model.series if self.short[who]]
        for who in over:
            self._steal(who)
        self.club.lapse()
        for who in over:
            self._end(who)
            self._did("expire")

    @precondition(lambda self: self.model.pictures)
    @rule(data=st.data(), yes=st.booleans())
    def answer(self, data: st.DataObject, yes: bool) -> None:
        media = data.draw(st.sampled_from(sorted(self.model.pictures)))
        self.club.answer(self.model.pictures[media][0], media, yes=yes)
        self._did("approve" if yes else "refuse")
        self._look_at(media)

    # What workers do

    @rule(who=WHO)
    def find(self, who: str) -> None:
        """Compares a face; what comes of it is recorded at another time, or never."""
        series = self.model.series.get(who)
        found = self.club.find(who)
        self.found.append((found, series, len(series.scopes) if series else 0))

    @precondition(lambda self: self.found)
    @rule(n=st.integers(0), media=st.integers(0, SHOWN - 1), approval=st.sampled_from(["never", "always"]))
    def record(self, n: int, media: int, approval: Approval) -> None:
        found, series, consents = self.found.pop(n % len(self.found))
        name = f"picture {media}"
        self.club.record(found, name, approval)
        now = self.model.series.get(found.ref)
        # With another scope than it was compared under it does not count any more.
        holds = series is not None and now is series and len(set(series.scopes[consents - 1 :])) == 1
        self.model.pictures[name] = (found.ref, series if series and holds else Series([], ended=True))
        self._did("record")
        self._look_at(name)

    @precondition(lambda self: self.model.waiting)
    @rule(data=st.data())
    def enrol(self, data: st.DataObject) -> None:
        job = data.draw(st.sampled_from(sorted(self.model.waiting)))
        who, series = self.model.waiting.pop(job)
        before = self.club.templates(who)
        self.club.run_photo(job)
        if self.model.series.get(who) is not series:
            assert self.club.templates(who) == before, f"a photo that waited became a template of {who} later"
        self._did("enrol")

    @rule()
    def work(self) -> None:
        """Everything that waits is done, tags of those who left are retracted, photos are enrolled."""
        may = {who for who, series in self.model.waiting.values() if self.model.series.get(who) is series}
        before = {who: self.club.templates(who) for who in REFS}
        self.club.work()
        self.model.waiting.clear()
        grown = {who for who in REFS if self.club.templates(who) > before[who]}
        assert grown <= may, "a photo that waited became a template later"
        self._did("work")
        self.look()

    # What the operator does

    @rule()
    def rotate(self) -> None:
        self.club.rotate()
        self._did("rotate")
        keys = self.club.keys
        with transaction(self.club.pool) as conn:
            self.wrapped |= wrapped_in(steal(conn, keys))
        at_hand = {keys.epoch_key, keys.seal_key, keys.pseudonym_key}
        at_hand |= unwrapped(at_hand, self.wrapped)
        for theft in self.thefts:
            assert opened(theft.values, at_hand, planted(theft.ref)) == set(), f"what {theft.ref} left opens"
            self.counts.tried += len(theft.values)
        self.thefts = self.thefts[-KEPT:]

    @rule()
    def take_backup(self) -> None:
        model = Told(dict(self.model.series), dict(self.model.pictures), dict(self.model.waiting))
        self.backups.append(Backup(self.club.back_up(), model, {who: self.club.in_force(who) for who in REFS}))
        self._did("back up")

    @precondition(lambda self: self.backups)
    @rule(n=st.integers(0), rotated=st.booleans())
    def restore(self, n: int, rotated: bool) -> None:
        """Goes on with a backup and the newest export of keys, once by a rotation and once by command."""
        n %= len(self.backups)
        backup, self.backups = self.backups[n], self.backups[: n + 1]
        for who in REFS:
            if self.club.in_force(who) != backup.consents[who]:
                self.model.series.pop(who, Series([])).ended = True
        with TemporaryDirectory() as folder:
            self.club.restore(
                backup.name, self.club.rotate() if rotated else self.club.export(Path(folder) / "keys.json")
            )
        series = {who: one for who, one in self.model.series.items() if backup.consents[who] is not None}
        self.model = Told(series, dict(backup.model.pictures), dict(backup.model.waiting))
        self._did("restore, rotated" if rotated else "restore")
        assert {who for who in REFS if self.club.in_force(who)} == set(series)
        self.look()

    # What must hold

    def look(self) -> None:
        for media in self.model.pictures:
            self._look_at(media)
        for who in REFS:
            shown = self.club.shown(who)
            assert shown <= {media for media in self.model.pictures if self._may_name(media) == {who}}, who

    def _look_at(self, media: str) -> None:
        told = self.club.told(media)
        assert told <= self._may_name(media), f"{media} names {told}"
        self.counts.named += len(told)

    def _may_name(self, media: str) -> set[str]:
        who, series = self.model.pictures[media]
        return {who} if not series.ended and self.model.series.get(who) is series else set()

    def _end(self, who: str) -> None:
        """Acknowledges an end: from here on it holds."""
        self.model.series.pop(who, Series([])).ended = True
        self.look()

    def _steal(self, who: str) -> None:
        keys = self.club.keys
        with transaction(self.club.pool) as conn:
            stolen = steal(conn, keys)
            own = open_subject(conn, keys, self.club.pid(who)).key if who in self.model.series else b""
        self.wrapped |= wrapped_in(stolen)
        lying = (value for value in stolen if value.table in ("template", "match", "upload"))
        theirs = frozenset(value for value in lying if own and opened([value], [own], planted(who)))
        self.thefts.append(Theft(who, theirs))

    def _did(self, what: str) -> None:
        self.counts.did[what] += 1


@pytest.mark.parametrize(
    "runs",
    [
        pytest.param(2, marks=pytest.mark.timeout(600)),  # the first one always draws the simplest
        pytest.param(350, marks=[pytest.mark.slow, pytest.mark.timeout(3600)]),
    ],
)
def test_an_end_holds_whatever_comes_after(
    server_url: str, template: str, drop: Drop, tmp_path: Path, figure: Figure, runs: int
) -> None:
    counts, numbers = Counts(), iter(range(10**6))

    def begin() -> AbstractContextManager[Club]:
        return open_club(server_url, template, drop, tmp_path / str(next(numbers)))

    kind = type("People", (People,), {"begin": staticmethod(begin), "counts": counts})
    run_state_machine_as_test(
        kind,
        settings=settings(
            max_examples=runs,
            stateful_step_count=STEPS,
            deadline=None,
            database=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        ),
    )
    steps = ", ".join(f"{name} {count}" for name, count in sorted(counts.did.items()))
    figure(f"{counts.did.total()} steps ({steps}); {counts.named} names, {counts.tried} stolen values tried: 0 wrong")
    assert counts.named > 0
    assert counts.tried > 0
