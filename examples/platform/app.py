"""The platform over HTTP: serves its photos, takes posts, and listens for what Assent says of them."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlsplit

import httpx2
import uvicorn
from fastapi import FastAPI, Header, HTTPException, Request, Response
from fastapi.responses import HTMLResponse
from jinja2 import Environment, FileSystemLoader, select_autoescape
from starlette.concurrency import run_in_threadpool

from examples.platform.feed import (
    Feed,
    NotConnected,
    SignatureRefused,
    action_of,
    add_photo,
    receive,
    send,
    write_post,
)
from examples.platform.instance import ApiRefused, Draft, Instance, Status, attach, may_see, post_status
from examples.platform.mastodon_api import add_mastodon
from examples.platform.webhooks import delivering

MAX_PHOTO_BYTES = 20_000_000
MAX_HOOK_BYTES = 2_000_000
POLICY = (
    "default-src 'none'; img-src 'self' data:; connect-src 'self'; "
    "style-src 'unsafe-inline'; script-src 'unsafe-inline'"
)
PAGES = Environment(
    loader=FileSystemLoader(Path(__file__).parents[1] / "templates"), autoescape=select_autoescape(default=True)
)


def create_platform(feed: Feed, instance: Instance | None = None) -> FastAPI:
    """The platform's routes over that memory; with an instance it speaks Mastodon's API too."""
    app = FastAPI(title="Example platform", docs_url=None, redoc_url=None, openapi_url=None)
    if instance is not None:
        add_mastodon(app, instance)

    @app.get("/", response_class=HTMLResponse)
    def page() -> HTMLResponse:
        return HTMLResponse(_render(feed, instance), headers={"content-security-policy": POLICY})

    @app.get("/photos/{name}")
    def photo(name: str) -> Response:
        served = feed.photos.get(f"/photos/{name}")
        if served is None:
            raise HTTPException(404, "no such photo")
        return Response(served.data, media_type=served.content_type, headers={"x-content-type-options": "nosniff"})

    @app.post("/posts", status_code=201)
    async def publish(
        request: Request, author: str, name: str, x_from_page: Annotated[str, Header()]
    ) -> dict[str, str]:
        # The header makes a browser ask before another site's page may post here.
        del x_from_page
        data = await _read(request, MAX_PHOTO_BYTES)
        if instance is not None and author.startswith("@"):
            return await run_in_threadpool(_toot, instance, author, name, data)
        return await run_in_threadpool(_publish, feed, author, name, data, str(request.base_url).rstrip("/"))

    @app.post("/hooks/assent", status_code=204)
    async def hook(request: Request) -> None:
        body = await _read(request, MAX_HOOK_BYTES)
        try:
            receive(feed, request.headers, body)
        except SignatureRefused:
            raise HTTPException(401, "the signature does not fit") from None
        except NotConnected:
            raise HTTPException(503, "not connected yet") from None

    return app


@contextmanager
def running(feed: Feed, listener: socket.socket, instance: Instance | None = None) -> Iterator[None]:
    """Serves the platform on that listening socket, in a thread of its own, until the block ends."""
    app = create_platform(feed, instance)
    server = uvicorn.Server(uvicorn.Config(app, log_level="critical", lifespan="off", timeout_graceful_shutdown=2))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, name="platform")
    thread.start()
    with ExitStack() as stack:
        stack.callback(listener.close)
        stack.callback(thread.join)
        stack.callback(setattr, server, "should_exit", True)
        if instance is not None:
            stack.enter_context(delivering(instance))
        yield


async def _read(request: Request, limit: int) -> bytes:
    """The body, refused with 413 as soon as it is longer than `limit` bytes."""
    parts: list[bytes] = []
    length = 0
    async for part in request.stream():
        length += len(part)
        if length > limit:
            raise HTTPException(413, f"at most {limit} bytes")
        parts.append(part)
    return b"".join(parts)


def _publish(feed: Feed, author: str, name: str, data: bytes, base_url: str) -> dict[str, str]:
    if author not in feed.follows:
        raise HTTPException(422, "no such account")
    try:
        url = base_url + add_photo(feed, name, data)
        post = send(feed, write_post(feed, author=author, title=name, url=url))
    except ValueError as error:
        raise HTTPException(422, str(error)) from None
    except (NotConnected, httpx2.TransportError):
        raise HTTPException(503, "the post is kept back: its webhook could not be delivered") from None
    return {"id": post.id}


def _toot(instance: Instance, author: str, name: str, data: bytes) -> dict[str, str]:
    """Posts a photo as a status of the account that the page names."""
    account = next((one for one in list(instance.accounts.values()) if f"@{one.username}" == author), None)
    if account is None:
        raise HTTPException(422, "no such account")
    try:
        draft = Draft(name, (attach(instance, account, data, "").id,))
        return {"id": post_status(instance, account, draft).id}
    except ApiRefused as refused:
        raise HTTPException(refused.status, str(refused)) from None


def _render(feed: Feed, instance: Instance | None) -> str:
    with feed.changed:
        posts = [(post, feed.newest.get(post.id)) for post in reversed(feed.posts.values())]
        accounts = sorted(feed.follows)
        statuses = []
        if instance is not None:
            statuses = [_shown(instance, one) for one in reversed(instance.statuses.values()) if may_see(None, one)]
            accounts += [f"@{one.username}" for one in instance.accounts.values() if not one.staff]
    shown = [
        {
            "post": post,
            "path": urlsplit(post.url).path,
            "delivery": delivery,
            "action": delivery and action_of(delivery),
        }
        for post, delivery in posts
    ]
    return PAGES.get_template("feed.html").render(
        posts=shown, statuses=statuses, accounts=accounts, mastodon=instance is not None
    )


def _shown(instance: Instance, status: Status) -> dict[str, Any]:
    """What the page shows of a status: its author, each image with what was said of it, and reports."""
    attachments = [instance.attachments[one] for one in status.draft.media]
    return {
        "author": instance.accounts[status.account].username,
        "text": status.draft.text,
        "media": [(one, instance.feed.newest.get(f"status/{status.id}/{one.id}")) for one in attachments],
        "reports": [
            (instance.accounts[one.account].username, one)
            for one in instance.reports.values()
            if status.id in one.statuses
        ],
    }
