"""Puts Assent beside a small social platform on this machine, posts real photos, and checks what comes back.

    python -m examples.demo            (or: make demo)

`PHOTOS=folder` posts your own photos: those in the folder, with one subfolder of enrolment photos per person who opts
in. `OUT=folder` is where the page and its pictures go; default: out/demo. On a terminal everything stays up until
Ctrl-C; otherwise the demo ends with 0, or 1 when something was not as expected.
"""

from __future__ import annotations

import os
import signal
import sys
import time
import uuid
from base64 import b64decode
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx2
from rich.console import Console
from rich.markup import escape
from rich.table import Column, Table

from examples.cases import CASES, check_console, console_link, fill_console
from examples.circle import SOURCE, check_circle, connect_mastodon, go_round
from examples.outcome import Check, Circle, Outcome, Proof, Told, check_told
from examples.page import build
from examples.photos import Cast, Person, Photo, folder_cast, packaged_cast
from examples.platform.app import running
from examples.platform.feed import Connection, Feed, Post, add_photo, send, write_post
from examples.platform.instance import Account, Instance, add_account
from examples.platform.webhooks import make_webhook
from examples.send_event import make_event, post_event
from examples.server import Assent, DemoFailed, Place, free_listener, initialise, started, temporary_data
from examples.witness import Checkpoint, ProofRefused, check_inclusion, open_checkpoint

NOTICE = "We look for your face in posts, to tag you. You can withdraw at any time."
DECIDED_WITHIN_SECONDS = 120
ENROLMENT_TRIES = 3


def main() -> int:
    console = Console(highlight=False)
    folder = Path(os.environ.get("OUT") or "out/demo").absolute()
    folder.mkdir(parents=True, exist_ok=True)
    log = folder / "assent.log"
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    log.unlink(missing_ok=True)
    try:
        return _run(console, folder, log)
    except (DemoFailed, FileNotFoundError) as error:
        console.print(f"[bold red]The demo failed:[/] {escape(str(error))}", soft_wrap=True)
        if log.exists():
            console.print(f"The server's log: {escape(str(log))}", soft_wrap=True)
        return 1
    except KeyboardInterrupt:
        console.print("Stopped.")
        return 130


def _run(console: Console, folder: Path, log: Path) -> int:
    began = time.monotonic()
    photos = os.environ.get("PHOTOS")
    cast = folder_cast(Path(photos)) if photos else packaged_cast()
    with ExitStack() as stack:
        feed, listener = Feed(follows=_accounts(cast)), free_listener()
        base = f"http://127.0.0.1:{listener.getsockname()[1]}"
        instance = Instance(base, feed)
        account, bot = add_account(instance, "alice"), add_account(instance, "assent", staff=True)
        data = stack.enter_context(temporary_data())
        stack.enter_context(running(feed, listener, instance))
        console.print(f"A platform with {len(feed.follows)} accounts runs at {base}.", soft_wrap=True)
        with console.status("Assent starts: its own database, keys, models …"):
            place = initialise(data, base, log)
            assent = stack.enter_context(started(place, log))
        feed.connection = Connection(assent.events_url, assent.events_secret, assent.deliveries_secret)
        console.print(f"Assent is ready at {assent.url}, after {time.monotonic() - began:.0f} s.", soft_wrap=True)
        with console.status("People opt in …"):
            connect_mastodon(place, instance, make_webhook(f"{assent.url}/v1/webhooks/{SOURCE}"), bot)
            for person in cast.people:
                opt_in(assent, person)
        _tell_enrolment(console, cast)
        with console.status("Posts go out, Assent looks at them …"):
            posted = [_publish(feed, base, photo) for photo in cast.photos]
            refusals = _try_what_must_fail(assent, feed, posted[0][1])
            told = _await_decisions(feed, posted)
        with console.status("Stories go out, which wait for moderators …"):
            waiting = fill_console(place, assent, feed, base, cast)
        with console.status("A post at Mastodon's API, a report, and both taken back …"):
            circle, rounds = _go_round(assent, instance, account, cast)
        checks = [*refusals, *rounds, *_check_cases(place, cast, waiting)]
        outcome = replace(_conclude(assent, feed, cast, told, checks, began), circle=circle)
        page = build(outcome, folder)
        _tell(console, outcome, page)
        failed = [check for check in outcome.checks if not check.ok]
        if failed:
            raise DemoFailed("; ".join(f"{check.what} ({check.seen})" for check in failed))
        if sys.stdin.isatty() and sys.stdout.isatty():
            _stay(console, place, assent, base, cast)
    return 0


def _accounts(cast: Cast) -> dict[str, tuple[str, ...]]:
    """Every account and whom it follows."""
    accounts: dict[str, tuple[str, ...]] = {photo.author: () for photo in cast.photos}
    accounts.update({person.name: person.follows for person in cast.people})
    return accounts


def opt_in(assent: Assent, person: Person) -> str:
    """Records the person's consent, then enrols the photos. The consent's id; raises DemoFailed when it is refused."""
    consent = {
        "subject": person.name,
        "purpose": "face-match",
        "scope": person.scope,
        "notice": NOTICE,
        "notice_version": "1",
        "jurisdiction": "DE",
        "method": "settings-page",
        "age": "adult",
    }
    files = [("photos", (f"{n}.jpg", data, "image/jpeg")) for n, data in enumerate(person.photos)]
    given = _created(person, assent.client.post("/v1/consents", json=consent))
    for _ in range(ENROLMENT_TRIES):
        # 202: the worker has not come to it yet, as on a slow machine that still prepares its models.
        answer = assent.client.post(f"/v1/subjects/{quote(person.name, safe='')}/templates", files=files)
        if answer.status_code != httpx2.codes.ACCEPTED:
            break
    _created(person, answer)
    return str(given["id"])


def _created(person: Person, answer: httpx2.Response) -> dict[str, Any]:
    if answer.status_code != httpx2.codes.CREATED:
        raise DemoFailed(f"{person.name} could not opt in: {answer.status_code} {answer.text[:300]}")
    return dict(answer.json())


def _go_round(assent: Assent, instance: Instance, account: Account, cast: Cast) -> tuple[Circle | None, list[Check]]:
    """Goes the whole circle at Mastodon's API with the photo in which alice is named; nothing with photos of yours."""
    photo = cast.photos[0]
    if not photo.expected.matched or photo.data is None:
        return None, []
    consent = opt_in(assent, replace(cast.people[0], name=account.id))
    circle = go_round(assent, instance, account, consent, photo.data)
    return circle, check_circle(circle, account, photo.expected.matched["alice"])


def _publish(feed: Feed, base: str, photo: Photo) -> tuple[Photo, Post]:
    """Posts one photo. Raises DemoFailed unless its webhook was taken."""
    path = add_photo(feed, photo.name, photo.data) if photo.data is not None else f"/photos/{uuid.uuid4()}.jpg"
    post = send(feed, write_post(feed, author=photo.author, title=photo.title, url=base + path))
    if post.status != httpx2.codes.ACCEPTED:
        raise DemoFailed(f"the webhook of {photo.title!r} was answered with {post.status}")
    return photo, post


def _try_what_must_fail(assent: Assent, feed: Feed, first: Post) -> list[Check]:
    """One webhook again under its old id, and one signed with a secret that is not the source's."""
    again = send(feed, first)
    same = (again.status, again.event) == (httpx2.codes.ACCEPTED, first.event) and first.event is not None
    body = make_event(media_id=f"forged-{uuid.uuid4()}", picture_url=first.url, author=first.author)
    forged = post_event(assent.events_url, assent.deliveries_secret, f"msg_{uuid.uuid4()}", body)
    return [
        Check("The same webhook again: taken for the event it was", same, f"{again.status}, the same event: {same}"),
        Check(
            "A webhook with a wrong signature: refused",
            forged.status_code == httpx2.codes.UNAUTHORIZED,
            f"answered {forged.status_code}",
        ),
    ]


def _await_decisions(feed: Feed, posted: Sequence[tuple[Photo, Post]]) -> tuple[Told, ...]:
    """What was told about every post. Raises DemoFailed, naming the missing ones, when the time is over."""
    with feed.changed:
        feed.changed.wait_for(lambda: all(post.id in feed.newest for _, post in posted), DECIDED_WITHIN_SECONDS)
        newest = dict(feed.newest)
    missing = [photo.title for photo, post in posted if post.id not in newest]
    if missing:
        raise DemoFailed(f"no decision within {DECIDED_WITHIN_SECONDS} s about: {', '.join(missing)}")
    return tuple(Told(photo, post, newest[post.id]) for photo, post in posted)


def _conclude(
    assent: Assent, feed: Feed, cast: Cast, told: tuple[Told, ...], refusals: list[Check], began: float
) -> Outcome:
    first = told[0].post.id
    times = sum(1 for media in feed.seen.values() if media == first)
    proofs, proof_check = _prove_all(assent, told)
    checks = [
        Check(
            "Every post was answered by a webhook whose signature verified",
            feed.refused == 0,
            f"{len(told)} of {len(told)}, {feed.refused} refused",
        ),
        *(check for each in told for check in check_told(each)),
        *refusals,
        Check("The webhook sent twice: decided and delivered once", times == 1, f"{times} delivered"),
        proof_check,
    ]
    return Outcome(cast, told, proofs[0], len(proofs), None, tuple(checks), time.monotonic() - began)


def _prove_all(assent: Assent, told: Sequence[Told]) -> tuple[list[Proof], Check]:
    """Finds every decision in the log. Raises DemoFailed when one is not there as its webhook said."""
    proofs = []
    for each in told:
        try:
            proofs.append(_prove(assent, each))
        except ProofRefused as error:
            raise DemoFailed(f"the audit proof of {each.photo.title!r} does not hold: {error}") from None
    seen = f"{len(proofs)} of {len(told)}"
    return proofs, Check("Every decision is in the log that its webhook's checkpoint signs", True, seen)


def _prove(assent: Assent, told: Told) -> Proof:
    audit: dict[str, Any] = told.data["audit"]
    checkpoint: Checkpoint = open_checkpoint(audit["checkpoint"], assent.audit_key)
    answer = assent.client.get(f"/v1/audit/proof/{audit['leaf']}", params={"size": checkpoint.size})
    if answer.status_code != httpx2.codes.OK:
        raise DemoFailed(f"no audit proof: {answer.status_code} {answer.text[:300]}")
    given = answer.json()
    leaf, path = b64decode(given["leaf"]), [b64decode(step) for step in given["hashes"]]
    check_inclusion(leaf, audit["leaf"], path, checkpoint)
    return Proof(told, leaf, audit["leaf"], path, checkpoint)


def _tell_enrolment(console: Console, cast: Cast) -> None:
    for person in cast.people:
        console.print(
            f"[bold]{escape(person.name)}[/] opted in, scope {person.scope}, with {len(person.photos)} photos."
        )
    if cast.people:
        console.print(cast.enrolment, style="dim")


def _tell(console: Console, outcome: Outcome, page: Path) -> None:
    """The story as a table, what did not hold, and where the page is."""
    table = Table(
        "Posted",
        "by",
        "faces",
        "named",
        Column("tags", overflow="fold"),
        "action",
        "ms",
        box=None,
        header_style="bold",
        padding=(0, 1),
    )
    for told in outcome.told:
        tags = sorted({tag["name"] for tag in told.data.get("tags") or []})
        table.add_row(
            escape(told.photo.title),
            escape(told.photo.author),
            str(len(told.faces)),
            f"[green]{escape(', '.join(sorted(told.matched)))}[/]",
            told.error.get("code") or ", ".join(tags[:4]) + (" …" if len(tags) > 4 else ""),
            told.action,
            f"{told.milliseconds:.0f}",
        )
    console.print(table)
    for check in outcome.checks:
        if not check.ok:
            console.print(f"[bold red]not as expected:[/] {escape(check.what)} ({escape(check.seen)})", soft_wrap=True)
    held = sum(check.ok for check in outcome.checks)
    console.print(
        f"{held} of {len(outcome.checks)} expectations held, {outcome.proofs_held} audit proofs verified, "
        f"{outcome.seconds:.0f} s in all.\nThe page: {escape(str(page))}",
        soft_wrap=True,
    )


def _check_cases(place: Place, cast: Cast, waiting: int) -> Iterator[Check]:
    """The review console answers, and what was to wait for a moderator does."""
    if cast.photos[0].expected.matched:
        yield Check("Every story waits for a moderator", waiting == CASES, f"{waiting} of {CASES}")
    ok, seen = check_console(place)
    yield Check("The review console leads whoever is not signed in to its sign-in", ok, seen)


def _stay(console: Console, place: Place, assent: Assent, base: str, cast: Cast) -> None:
    """Keeps everything up until Ctrl-C."""
    console.print(f"The review console: http://localhost:{place.port}/console", soft_wrap=True)
    link = console_link(place)
    console.print(
        f"Set up an account for it, once, within 15 minutes: {link}" if link else "This version sets up no account.",
        soft_wrap=True,
    )
    for person in cast.people[:1]:
        link = assent.client.post(f"/v1/subjects/{quote(person.name, safe='')}/links").json()["url"]
        console.print(f"{escape(person.name)}'s own page, opened once: {assent.url}{link}", soft_wrap=True)
    console.print(f"Post a photo of your own: {base}/\nAssent: {assent.url}   Ctrl-C ends the demo.", soft_wrap=True)
    with suppress(KeyboardInterrupt):
        signal.pause()


if __name__ == "__main__":
    raise SystemExit(main())
