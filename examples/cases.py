"""Fills the review console of the demo: stories that wait for a moderator, of the photos that installed packages carry.

There are forty. Many are near-duplicates, as platforms get them: saved again, made smaller, brighter, cut by a few
pixels. One is on a list that nobody may look at, and in one somebody is recognised who agreed to that.
"""

from __future__ import annotations

import json
import subprocess
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from hashlib import sha256
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryDirectory

import httpx2
from PIL import Image, ImageEnhance

from examples.photos import Cast, Photo, package_photo
from examples.platform.feed import Feed, NotConnected, add_photo
from examples.send_event import make_event, post_event
from examples.server import Assent, DemoFailed, Place, command

POLICY = Path(__file__).with_name("console_policy.yaml")
CASES = 40
DECIDED_WITHIN_SECONDS = 120
LOOKED_AT = {
    "astronaut.png": 6, "coffee.png": 7, "chelsea.png": 6, "rocket.jpg": 7, "motorcycle_left.png": 5,
    "hubble_deep_field.jpg": 4, "moon.png": 3,
}  # fmt: skip
WITHHELD = "coins.png"  # on a list marked severe: nobody sees it in the console


@dataclass(frozen=True, slots=True)
class Story:
    """A story to be: the file, who posts it, and who follows them."""

    name: str
    author: str
    data: bytes = field(repr=False)
    followed_by: tuple[str, ...] = ()


def fill_console(place: Place, assent: Assent, feed: Feed, base: str, cast: Cast) -> int:
    """Posts the stories and waits until each is a case; returns how many wait. Raises DemoFailed."""
    stories = list(stories_of(cast))
    run(place, "policy", "activate", str(POLICY), "--tenant", "demo")
    with TemporaryDirectory() as folder:
        known = Path(folder) / "known.csv"
        known.write_text("".join(f"{sha256(one.data).hexdigest()}\n" for one in stories if one.name == WITHHELD))
        run(place, "hash-lists", "import", str(known), "--name", "not-to-be-seen", "--type", "sha256", "--severe",
            "--tenant", "demo")  # fmt: skip
    waiting = {_post(feed, base, story) for story in stories}
    with feed.changed:
        feed.changed.wait_for(lambda: waiting <= feed.newest.keys(), DECIDED_WITHIN_SECONDS)
        missing = len(waiting - feed.newest.keys())
    if missing:
        raise DemoFailed(f"{missing} stories were not decided within {DECIDED_WITHIN_SECONDS} s")
    cases = assent.client.get("/v1/reviews", params={"limit": 200}).json()["reviews"]
    return sum(case["media"] in waiting for case in cases)


def stories_of(cast: Cast) -> Iterator[Story]:
    """Yields the forty, or of a folder of one's own every photo."""
    named = next((photo for photo in cast.photos if photo.expected.matched), None)
    if named is None:
        yield from (Story(photo.name, photo.author, photo.data) for photo in cast.photos if photo.data is not None)
        return
    yield _named(named, cast)
    yield Story(WITHHELD, "mallory", package_photo(WITHHELD))
    for name, count in LOOKED_AT.items():
        original = Image.open(BytesIO(package_photo(name))).convert("RGB")
        yield from (Story(name, f"friend-{n}", altered(original, n)) for n in range(count))


def altered(original: Image.Image, n: int) -> bytes:
    """Returns the photo as it is passed around: the n-th time saved again, smaller, cut and brightened by a little."""
    cut = 2 * (n // 3)
    image = original.crop((cut, cut, original.width - cut, original.height - cut))
    scale = 1 - 0.06 * (n % 3)
    image = image.resize((round(image.width * scale), round(image.height * scale)))
    out = BytesIO()
    ImageEnhance.Brightness(image).enhance(1 + 0.02 * (n % 4)).save(out, "JPEG", quality=92 - 5 * n)
    return out.getvalue()


def run(place: Place, *words: str) -> str:
    """Runs `assent` beside the demo's server; returns what it printed. Raises DemoFailed when it fails."""
    done = subprocess.run([command(), *words], env=place.environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise DemoFailed(f"`assent {' '.join(words[:2])}`: {done.stderr.strip() or done.stdout.strip()}")
    return done.stdout


def console_link(place: Place) -> str | None:
    """Returns the link that sets up the first account; None where this version has none."""
    try:
        return run(place, "console", "link", "--role", "admin", "--role", "senior", "--tenant", "demo").strip()
    except DemoFailed:
        return None


def check_console(place: Place) -> tuple[bool, str]:
    """Tells whether the console answers as it should somebody who is not signed in, and what it answered."""
    url = f"http://localhost:{place.port}/console"
    with httpx2.Client(follow_redirects=False, timeout=20) as client:
        desk, sign_in = client.get(url), client.get(f"{url}/sign-in")
    led = desk.status_code == httpx2.codes.SEE_OTHER and desk.headers["location"].startswith("/console/sign-in")
    return led and sign_in.status_code == httpx2.codes.OK, f"{desk.status_code}, the sign-in {sign_in.status_code}"


def _named(photo: Photo, cast: Cast) -> Story:
    followed_by = tuple(sorted(person.name for person in cast.people if photo.author in person.follows))
    return Story(photo.name, photo.author, photo.data or b"", followed_by)


def _post(feed: Feed, base: str, story: Story) -> str:
    """Posts a story; the platform's id of it. Raises DemoFailed unless its webhook was taken."""
    if (connection := feed.connection) is None:
        raise NotConnected
    media = f"story-{uuid.uuid4()}"
    event = json.loads(
        make_event(
            media_id=media,
            picture_url=base + add_photo(feed, story.name.rpartition(".")[0] + ".jpg", story.data),
            author=story.author,
            connections=story.followed_by,
        )
    )
    body = json.dumps({**event, "surface": "story"}).encode()
    answer = post_event(connection.events_url, connection.events_secret, f"msg_{uuid.uuid4()}", body)
    if answer.status_code != httpx2.codes.ACCEPTED:
        raise DemoFailed(f"the webhook of a story was answered with {answer.status_code}")
    return media
