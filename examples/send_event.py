"""Signs one event about one picture and posts it: what a platform does when somebody posts a photo.

    python -m examples.send_event --init init.json --picture https://example.org/photo.jpg --author alice

Prints the event's id, for `assent event`.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
import uuid
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import httpx2
from standardwebhooks import Webhook

RETRY_AFTER_SECONDS = (0.2, 1.0, 4.0)
PAUSE_WANTED = frozenset({408, 425, 429, 500, 502, 503, 504})


def make_event(
    *, media_id: str, picture_url: str, author: str | None, connections: Sequence[str] = (), revision: int = 1
) -> bytes:
    """The body of an `assent.event/1` about one public post. `connections` are the accounts that chose the author."""
    event: dict[str, object] = {
        "schema": "assent.event/1",
        "type": "media.created",
        "media": [{"id": media_id, "url": picture_url}],
        "connections": list(connections),
        "visibility": "public",
        "surface": "post",
        "revision": revision,
    }
    if author is not None:
        event["author"] = author
    return json.dumps(event).encode()


def signed_headers(secret: str, delivery: str, body: bytes) -> dict[str, str]:
    """Standard Webhooks headers for one attempt, signed for the present moment."""
    now = datetime.now(UTC)
    return {
        "content-type": "application/json",
        "webhook-id": delivery,
        "webhook-timestamp": str(int(now.timestamp())),
        "webhook-signature": Webhook(secret).sign(delivery, now, body.decode()),
    }


def post_event(url: str, secret: str, delivery: str, body: bytes) -> httpx2.Response:
    """Posts until the answer is final: a retry keeps the delivery's id and signs the new time.

    Returns the last answer whatever its status. Raises httpx2.TransportError when no attempt got an answer.
    """
    for pause in (*RETRY_AFTER_SECONDS, None):
        try:
            answer = httpx2.post(url, content=body, headers=signed_headers(secret, delivery, body), timeout=20)
        except httpx2.TransportError:
            if pause is None:
                raise
        else:
            if pause is None or answer.status_code not in PAUSE_WANTED:
                return answer
        time.sleep(pause)
    raise AssertionError("the last attempt returns or raises")


def main(argv: Sequence[str] | None = None) -> int:
    """Posts one event; 0 when the server took it (202), 1 otherwise."""
    parser = argparse.ArgumentParser(prog="python -m examples.send_event", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--init", type=Path, required=True, help="what `assent init --json` printed")
    parser.add_argument("--url", default="http://127.0.0.1:8400", help="where `assent serve` runs")
    parser.add_argument("--picture", required=True, help="where the picture is served")
    parser.add_argument("--author", help="who posted it; without an author nobody is matched")
    parser.add_argument(
        "--connection", action="append", default=[], help="an account that chose the author; repeatable"
    )
    parser.add_argument("--id", default=None, help="the platform's id of the picture; default: a new one")
    parser.add_argument("--revision", type=int, default=1)
    args = parser.parse_args(argv)
    body = make_event(
        media_id=args.id or f"photo-{uuid.uuid4()}",
        picture_url=args.picture,
        author=args.author,
        connections=args.connection,
        revision=args.revision,
    )
    source = json.loads(args.init.read_text())["source"]
    try:
        answer = post_event(args.url + source["path"], source["secret"], f"msg_{uuid.uuid4()}", body)
    except httpx2.TransportError as error:
        print(f"no answer from {args.url}: {error}", file=sys.stderr)
        return 1
    if answer.status_code != httpx2.codes.ACCEPTED:
        print(f"{answer.status_code} {answer.text.strip()}", file=sys.stderr)
        return 1
    print(answer.json()["event"])
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
