"""Runs the example platform beside an Assent of your own.

    python -m examples.platform --init init.json --photos a-folder

serves the folder's pictures at /photos/NAME, takes photos on its page, and prints what it is told about them.
"""

from __future__ import annotations

import argparse
import json
import threading
from pathlib import Path

import uvicorn

from examples.platform.app import create_platform
from examples.platform.feed import SERVED_AS, Connection, Feed, Served, action_of


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m examples.platform", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--init", type=Path, required=True, help="what `assent init --json` printed")
    parser.add_argument("--url", default="http://127.0.0.1:8400", help="where `assent serve` runs")
    parser.add_argument("--port", type=int, default=8500)
    parser.add_argument("--photos", type=Path, help="a folder whose pictures are served under their own names")
    args = parser.parse_args()
    printed = json.loads(args.init.read_text())
    source, endpoint = printed["source"], printed["endpoint"]
    feed = Feed(
        follows={"alice": (), "bob": ("alice",), "carol": ("alice", "bob")},
        connection=Connection(args.url + source["path"], source["secret"], endpoint["secret"]),
    )
    for path in sorted(args.photos.iterdir()) if args.photos else ():
        if path.suffix.lower() in SERVED_AS:
            feed.photos[f"/photos/{path.name}"] = Served(path.read_bytes(), SERVED_AS[path.suffix.lower()])
    threading.Thread(target=_tell, args=(feed,), daemon=True).start()
    uvicorn.run(create_platform(feed), host="127.0.0.1", port=args.port, log_level="warning")


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
