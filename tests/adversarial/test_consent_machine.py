"""People consent, narrow it, wait with photos, leave, come back and are set back with the whole database, in any order:
after an end nothing names them by what arose before it, and one rotation later nothing of it opens."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from uuid import UUID

import pytest

from assent.core.errors import ConsentMissing
from assent.db.pool import transaction
from assent.subjects.consent import open_subject
from assent.subjects.enrol import MOST_TEMPLATES
from tests.club import DAY, Club, Found, face_of, open_club, photo_of
from tests.events import leaves
from tests.fixtures.database import Drop
from tests.fixtures.figures import Figure
from tests.thief import Value, opened, steal, unwrapped, wrapped_in

REFS = ("ana", "bea", "cem")
PICTURES = 6  # which later posts replace
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


class People:
    """Three people in an empty installation, and one who draws what happens next."""

    def __init__(self, club: Club, counts: Counts, seed: int) -> None:
        self.club, self.counts, self.random = club, counts, random.Random(seed)
        self.model = Told()
        self.found: list[tuple[Found, Series | None, int]] = []
        self.short: dict[str, bool] = {}  # whether the newest consent was given for a day
        self.backups: list[Backup] = []
        self.thefts: list[Theft] = []
        self.wrapped: set[bytes] = set()  # whatever was ever seen that may be a key

    def run(self, steps: int) -> None:
        for _ in range(steps):
            (act,) = self.random.choices([*ACTS], [*ACTS.values()])
            act(self, self.random.choice(REFS))
            self.counts.did[act.__name__] += 1
        self.rotate(REFS[0])
        self.look()
        assert leaves(self.club.pool, "seal.broken") == [], "who leaves and comes back alters no row"

    # What people do

    def consent(self, who: str, scope: str | None = None) -> None:
        scope, self.short[who] = scope or self.random.choice(["own", "connections"]), self.random.random() < 0.3
        self.club.consent(who, scope, DAY if self.short[who] else 365 * DAY)
        self.model.series.setdefault(who, Series([])).scopes.append(scope)
        self.look(who)

    def be_known(self, who: str) -> None:
        """The usual way: opted in, enrolled, posted."""
        if who not in self.model.series:
            self.consent(who, "connections")
        if not self.club.templates(who):
            self.club.run_photo(self.club.send_photo(who))
        self.find(who)
        self.record(who)

    def wait(self, who: str) -> None:
        series = self.model.series.get(who)
        if series is None:
            with pytest.raises(ConsentMissing):
                self.club.send_photo(who)
        elif self.club.templates(who) + len(self.model.waiting) < MOST_TEMPLATES:
            self.model.waiting[self.club.send_photo(who)] = (who, series)

    def withdraw(self, who: str) -> None:
        self._steal(who)
        self.club.withdraw(who)
        self._end(who)

    def erase(self, who: str) -> None:
        self._steal(who)
        self.club.erase(who)
        self._end(who)

    def expire(self, _who: str) -> None:
        """The time of whoever consented for a day is over."""
        over = [who for who in self.model.series if self.short[who]]
        for who in over:
            self._steal(who)
        self.club.lapse()
        for who in over:
            self._end(who)

    def answer(self, _who: str) -> None:
        if self.model.pictures:
            media = self.random.choice(sorted(self.model.pictures))
            self.club.answer(self.model.pictures[media][0], media, yes=self.random.random() < 0.8)
            self._look_at(media)

    # What workers do

    def find(self, who: str) -> None:
        """Compares a face; what comes of it is recorded at another time, or never."""
        series = self.model.series.get(who)
        self.found.append((self.club.find(who), series, len(series.scopes) if series else 0))

    def record(self, _who: str) -> None:
        """Records the newest comparison, or one of before."""
        if not self.found:
            return
        found, series, consents = self.found.pop(self.random.choice([-1, 0]))
        name = f"picture {self.random.randrange(PICTURES)}"
        self.club.record(found, name, self.random.choice(["never", "always"]))
        # With another scope than it was compared under it does not count any more.
        holds = series is self.model.series.get(found.ref) and series and len(set(series.scopes[consents - 1 :])) == 1
        self.model.pictures[name] = (found.ref, series if series and holds else Series([], ended=True))
        self._look_at(name)

    def enrol(self, _who: str) -> None:
        if not self.model.waiting:
            return
        job = self.random.choice([*self.model.waiting])
        who, series = self.model.waiting.pop(job)
        before = self.club.templates(who)
        self.club.run_photo(job)
        grown = self.club.templates(who) > before
        assert grown == (self.model.series.get(who) is series), f"a photo that waited became a template of {who}"

    def work(self, _who: str) -> None:
        """Everything that waits is done: tags of those who left are retracted, photos are enrolled."""
        may = {who for who, series in self.model.waiting.values() if self.model.series.get(who) is series}
        before = {who: self.club.templates(who) for who in REFS}
        self.club.work()
        self.model.waiting.clear()
        grown = {who for who in REFS if self.club.templates(who) > before[who]}
        assert grown == may, "a photo that waited became a template of a later consent"
        self.look()

    # What the operator does

    def rotate(self, _who: str) -> None:
        self.club.rotate()
        keys = self.club.keys
        with transaction(self.club.pool) as conn:
            self.wrapped |= wrapped_in(steal(conn, keys))
        at_hand = {keys.epoch_key, keys.seal_key, keys.pseudonym_key}
        at_hand |= unwrapped(at_hand, self.wrapped)
        for theft in self.thefts:
            assert opened(theft.values, at_hand, planted(theft.ref)) == set(), f"what {theft.ref} left opens"
            self.counts.tried += len(theft.values)
        self.thefts = self.thefts[-KEPT:]

    def back_up(self, _who: str) -> None:
        model = Told(dict(self.model.series), dict(self.model.pictures), dict(self.model.waiting))
        self.backups.append(Backup(self.club.back_up(), model, {who: self.club.in_force(who) for who in REFS}))

    def restore(self, _who: str) -> None:
        """Goes on with a backup and the newest export of keys, by a rotation or by `assent keys export`."""
        if not self.backups:
            return
        n = self.random.randrange(len(self.backups))
        backup, self.backups = self.backups[n], self.backups[: n + 1]
        for who in REFS:
            if self.club.in_force(who) != backup.consents[who]:  # what the backup lacks is lost, not ended by anybody
                self.model.series.pop(who, Series([])).ended = True
        with TemporaryDirectory() as folder:
            rotated = self.random.random() < 0.5
            newest = self.club.rotate() if rotated else self.club.export(Path(folder) / "keys.json")
            self.club.restore(backup.name, newest)
        series = {who: one for who, one in self.model.series.items() if backup.consents[who] is not None}
        self.model = Told(series, dict(backup.model.pictures), dict(backup.model.waiting))
        assert {who for who in REFS if self.club.in_force(who)} == set(series)
        self.look()

    # What must hold

    def look(self, *people: str) -> None:
        """Looks at all that is said of these people, or of everybody."""
        people = people or REFS
        for media in (media for media, (who, _) in self.model.pictures.items() if who in people):
            self._look_at(media)
        for who in people:
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
        self.look(who)

    def _steal(self, who: str) -> None:
        keys = self.club.keys
        with transaction(self.club.pool) as conn:
            stolen = steal(conn, keys)
            own = open_subject(conn, keys, self.club.pid(who)).key if who in self.model.series else b""
        self.wrapped |= wrapped_in(stolen)
        lying = (value for value in stolen if value.table in ("template", "match", "upload"))
        theirs = frozenset(value for value in lying if own and opened([value], [own], planted(who)))
        self.thefts.append(Theft(who, theirs))


# What happens, and how often.
ACTS = {
    People.be_known: 6,
    People.consent: 4,
    People.wait: 3,
    People.withdraw: 4,
    People.expire: 1,
    People.erase: 1,
    People.answer: 2,
    People.find: 2,
    People.record: 3,
    People.enrol: 2,
    People.work: 1,
    People.rotate: 1,
    People.back_up: 1,
    People.restore: 1,
}


@pytest.mark.parametrize(
    ("runs", "steps"),
    [
        pytest.param(1, 60, marks=pytest.mark.timeout(600)),
        pytest.param(200, 100, marks=[pytest.mark.slow, pytest.mark.timeout(3600)]),
    ],
)
def test_an_end_holds_whatever_comes_after(
    server_url: str, template: str, drop: Drop, data_folder: Path, figure: Figure, runs: int, steps: int
) -> None:
    counts = Counts()
    for seed in range(runs):
        with open_club(server_url, template, drop, data_folder / str(seed)) as club:
            try:
                People(club, counts, seed).run(steps)
            except BaseException as error:
                error.add_note(f"with seed {seed}")
                raise
    did = ", ".join(f"{name} {count}" for name, count in sorted(counts.did.items()))
    figure(f"{counts.did.total()} steps ({did}); {counts.named} names, {counts.tried} stolen values tried: 0 wrong")
    assert counts.named > 0
    assert counts.tried > 0
