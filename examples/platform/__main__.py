"""Runs the example platform beside an Assent of your own.

    python -m examples.platform --init init.json --photos a-folder

serves the folder's pictures at /photos/NAME, takes photos on its page, and prints what it is told about them.

    python -m examples.platform --mastodon a-folder

speaks Mastodon's API and sends its webhooks to the source `mastodon`. Into the folder it writes what Mastodon shows in
its preferences: the webhook's signing secret and access tokens of two users and of a moderator's account.
"""

from __future__ import annotations

import argparse
import json
import threading
from contextlib import ExitStack
from pathlib import Path

import uvicorn

from examples.platform.app import create_platform
from examples.platform.feed import SERVED_AS, Connection, Feed, Served, action_of
from examples.platform.instance import Instance, add_account, issue_token
from examples.platform.webhooks import delivering, make_webhook

USER_SCOPES = "read write"
# What acting at Mastodon needs, trends and accounts included.
MODERATOR_SCOPES = (
    "read write:reports admin:read:reports admin:write:reports admin:write admin:read:accounts admin:write:accounts"
)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m examples.platform", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--init", type=Path, help="what `assent init --json` printed")
    parser.add_argument("--url", default="http://127.0.0.1:8400", help="where `assent serve` runs")
    parser.add_argument("--port", type=int, default=8500)
    parser.add_argument("--photos", type=Path, help="a folder whose pictures are served under their own names")
    parser.add_argument(
        "--mastodon", type=Path, help="speak Mastodon's API; secret and tokens are written to this folder"
    )
    args = parser.parse_args()
    if args.init is None and args.mastodon is None:
        parser.error("--init, --mastodon or both are needed")
    feed = Feed({})
    if args.init:
        printed = json.loads(args.init.read_text())
        source, endpoint = printed["source"], printed["endpoint"]
        feed.connection = Connection(args.url + source["path"], source["secret"], endpoint["secret"])
        if args.mastodon is None:
            feed.follows = {"alice": (), "bob": ("alice",), "carol": ("alice", "bob")}
    for path in sorted(args.photos.iterdir()) if args.photos else ():
        if path.suffix.lower() in SERVED_AS:
            feed.photos[f"/photos/{path.name}"] = Served(path.read_bytes(), SERVED_AS[path.suffix.lower()])
    threading.Thread(target=_tell, args=(feed,), daemon=True).start()
    with ExitStack() as stack:
        instance = None
        if args.mastodon:
            instance = Instance(f"http://127.0.0.1:{args.port}", feed, make_webhook(f"{args.url}/v1/webhooks/mastodon"))
            _set_up(instance, args.mastodon)
            stack.enter_context(delivering(instance))
        uvicorn.run(create_platform(feed, instance), host="127.0.0.1", port=args.port, log_level="warning")


def _set_up(instance: Instance, folder: Path) -> None:
    """Signs everybody up and writes the secret and the tokens into the folder, for its owner's eyes alone."""
    folder.mkdir(parents=True, exist_ok=True)
    written = {
        f"{name}.token": issue_token(instance, add_account(instance, name), USER_SCOPES) for name in ("ana", "ben")
    }
    bot = add_account(instance, "assent", staff=True)
    written["assent.token"] = issue_token(instance, bot, MODERATOR_SCOPES)
    if instance.webhook is not None:
        written["webhook.secret"] = instance.webhook.secret
    for name, text in written.items():
        file = folder / name
        file.touch(mode=0o600)
        file.write_text(text + "\n")


def _tell(feed: Feed) -> None:
    """Prints every delivery once, when it is the newest about its picture."""
    told: set[str] = set()
    while True:
        with feed.changed:
            feed.changed.wait_for(lambda: any(delivery.id not in told for delivery in feed.newest.values()))
            fresh = {media: delivery for media, delivery in feed.newest.items() if delivery.id not in told}
        for media, delivery in fresh.items():
            told.add(delivery.id)
            print(f"{delivery.type} {media}: {action_of(delivery)}, signature verified", flush=True)


if __name__ == "__main__":
    main()
