"""Reads the webhooks of Discourse, without I/O: posts, posts that wait for approval, chat messages and avatars.

The body says what it is about by its one name, and whether a post was deleted: the headers are not signed. A retry has
a new id, so that a post is known by its id, its version and a hash of its text.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain, islice
from urllib.parse import urljoin, urlsplit

from assent.core.values import EventType, MediaRef, Visibility
from assent.platforms.delivery import (
    MAX_ALT,
    PREVIEW,
    Ignored,
    JsonFields,
    Parsed,
    PostedMedia,
    SourceSettings,
    as_delivery,
    hex_hmac,
    read_object,
    sub_id,
    sub_moment,
    sub_object,
    sub_objects,
    sub_text,
    verify_hex_hmac,
    web_address,
)
from assent.platforms.html_images import HtmlImage, html_images

MAX_IMAGE_TAGS = 10_000  # of a post; more is not looked through
_AVATAR_SIZE = "288"  # pixels
_TRANSPARENT = "/images/transparent.png"  # stands where an upload's address was not known
_OF_THE_SITE = ("/images/emoji/", "/user_avatar/", "/letter_avatar/", "/letter_avatar_proxy/")
_UPLOADS = re.compile(r"/(secure-)?uploads/(?P<path>.+)")
_SMALLER = re.compile(r"_\d+_\d+x\d+$")  # ends the name of an upload's smaller copy
_LINKS = re.compile(r"(?:https?|upload)://[^\s<>()\[\]\"'|]+")
_FILE = re.compile(r"\.(png|jpe?g|gif|webp|avif|heic|heif|jxl|tiff?|bmp|svg)$", re.IGNORECASE)


def verify_discourse(headers: Mapping[str, str], raw: bytes, live_secrets: Sequence[str]) -> None:
    """Checks `X-Discourse-Event-Signature`. Raises SignatureInvalid, also where the webhook has no secret."""
    verify_hex_hmac(headers.get("x-discourse-event-signature"), raw, live_secrets)


def sign_discourse(raw: bytes, secret: str, _delivery: str) -> dict[str, str]:
    """Signs a body as Discourse does."""
    return {"x-discourse-event-signature": hex_hmac(raw, secret)}


def parse_discourse(headers: Mapping[str, str], raw: bytes, settings: SourceSettings) -> Parsed:
    """Reads a verified delivery. Of a user no more than the id and the avatar is taken."""
    body = read_object(raw)
    if body is None:
        return Ignored("unreadable")
    if "ping" in body:
        return Ignored("ping")
    if post := sub_object(body, "post"):
        return _post(post, headers, settings)
    if reviewable := sub_object(body, "reviewable"):
        return _reviewable(reviewable, settings)
    if chat := sub_object(body, "chat_message"):
        return _chat(chat, headers, settings)
    if user := sub_object(body, "user"):
        return _user(user, headers, settings)
    if topic := sub_object(body, "topic"):
        # A first post that was edited along with its title comes as a topic, which has no text.
        edited = headers.get("x-discourse-event") == "topic_edited"
        return Ignored("no_text", sub_id(topic, "id") if edited else "")
    return Ignored("unwanted")


def parse_fetched_post(post: JsonFields, archetype: str, settings: SourceSettings) -> Parsed:
    """Reads a post as the API gives it, which lacks nothing of a webhook's but its topic's archetype."""
    return _post({**post, "topic_archetype": archetype}, {}, settings)


def _post(post: JsonFields, headers: Mapping[str, str], settings: SourceSettings) -> Parsed:
    number, version = sub_id(post, "id"), post.get("version")
    if not number or not isinstance(version, int) or not isinstance(post.get("cooked"), str):
        return Ignored("template")
    deleted = sub_moment(post, "deleted_at")
    # A deleted topic's post has no archetype.
    archetype = sub_text(post, "topic_archetype")
    visibility: Visibility = "public" if archetype in ("regular", "banner") else "direct"
    if visibility not in settings.visibilities and not (deleted and not archetype):
        return Ignored("visibility")
    cooked = sub_text(post, "cooked")
    recovered = headers.get("x-discourse-event") == "post_recovered"
    name = f"post/{number}"
    media, beyond = _named(name, html_images(cooked), settings)
    posted = PostedMedia(
        media,
        _event_type(post, version > 1),
        "post",
        visibility,
        author=sub_id(post, "user_id") or None,
        revision=None if deleted or not 1 <= version < 2**31 else version,
        at=deleted or (None if recovered else sub_moment(post, "updated_at")),
        beyond=beyond,
        post=name,
    )
    key = ["post", number, version, archetype, sub_text(post, "deleted_at"), _sha256(cooked)]
    return as_delivery(key + _once(headers, "post_recovered"), posted)


def _reviewable(reviewable: JsonFields, settings: SourceSettings) -> Parsed:
    number, payload = sub_id(reviewable, "id"), sub_object(reviewable, "payload")
    if sub_text(reviewable, "type") != "ReviewableQueuedPost":
        return Ignored("unwanted")
    if not number or not isinstance(payload.get("raw"), str):
        return Ignored("template")
    visibility: Visibility = "direct" if sub_text(payload, "archetype") == "private_message" else "public"
    if visibility not in settings.visibilities:
        return Ignored("visibility")
    raw = sub_text(payload, "raw")
    author = sub_id(reviewable, "target_created_by_id") or sub_id(sub_object(reviewable, "target_created_by"), "id")
    media, beyond = _named(f"reviewable/{number}", _images_of_markdown(raw), settings)
    posted = PostedMedia(media, "media.created", "post", visibility, author=author or None, beyond=beyond)
    return as_delivery(["reviewable", number, _sha256(raw)], posted)


def _chat(chat: JsonFields, headers: Mapping[str, str], settings: SourceSettings) -> Parsed:
    message, channel = sub_object(chat, "message"), sub_object(chat, "channel")
    number = sub_id(message, "id")
    if not number:
        return Ignored("template")
    visibility: Visibility = "public" if sub_text(channel, "chatable_type") == "Category" else "direct"
    if visibility not in settings.visibilities:
        return Ignored("visibility")
    deleted, cooked = sub_moment(message, "deleted_at"), sub_text(message, "cooked")
    uploads = [HtmlImage({"src": sub_text(upload, "url")}) for upload in sub_objects(message, "uploads")]
    images = [image for image in uploads if _FILE.search(urlsplit(image.attributes["src"]).path)]
    media, beyond = _named(f"chat/{number}", chain(images, html_images(cooked)), settings)
    posted = PostedMedia(
        media,
        _event_type(message, bool(message.get("edited"))),
        "message",
        visibility,
        author=sub_id(sub_object(message, "user"), "id") or None,
        at=deleted,
        beyond=beyond,
        post=f"chat/{number}",
    )
    key = ["chat", number, sub_text(message, "deleted_at"), _sha256(cooked), [media_ref.url for media_ref in media]]
    return as_delivery(key + _once(headers, "chat_message_restored"), posted)


def _user(user: JsonFields, headers: Mapping[str, str], settings: SourceSettings) -> Parsed:
    number, template = sub_id(user, "id"), sub_text(user, "avatar_template")
    if not number or not template:
        return Ignored("template")
    url = web_address(urljoin(settings.url + "/", template.replace("{size}", _AVATAR_SIZE)))
    drawn = "/letter_avatar" in template  # of the name's first letter
    media = [MediaRef(f"user/{number}/avatar", url)] if url and not drawn else []
    posted = PostedMedia(media, "media.updated", "avatar", "public", number, post=f"user/{number}")
    # A user may return to an earlier avatar, and nothing but the event's id tells that from a repetition.
    return as_delivery(["user", number, template, headers.get("x-discourse-event-id", "")[:64]], posted)


def _event_type(fields: JsonFields, edited: bool) -> EventType:
    if sub_moment(fields, "deleted_at"):
        return "media.deleted"
    return "media.updated" if edited else "media.created"


def _once(headers: Mapping[str, str], event: str) -> list[object]:
    """Tells apart what came back more than once: it is as it was. A redelivery keeps the event's id."""
    return [headers.get("x-discourse-event-id", "")[:64]] if headers.get("x-discourse-event") == event else []


def _images_of_markdown(raw: str) -> Iterator[HtmlImage]:
    """Yields the images that a text will show: those of its HTML, its uploads, and addresses of image files."""
    yield from html_images(raw)
    for link in _LINKS.findall(raw):
        if _FILE.search(urlsplit(link).path if link.startswith("http") else link):
            yield HtmlImage({"src": link})


def _named(owner: str, images: Iterator[HtmlImage], settings: SourceSettings) -> tuple[list[MediaRef], int]:
    """Names the images of a post, and tells whether any follow beyond MAX_IMAGE_TAGS, 1 or 0.

    The site's own emoji and small avatars are left out.
    """
    named: dict[str, MediaRef] = {}
    for image in islice(images, MAX_IMAGE_TAGS):
        url = _address(image, settings)
        if url is None or (_is_own(url, settings) and any(part in urlsplit(url).path for part in _OF_THE_SITE)):
            continue
        still = PREVIEW if image.still_of_video else ""
        media_id = f"{owner}/{_upload_name(url, settings)}{still}"
        if media_id in named and named[media_id].url != url:  # one upload under two addresses, or one that pretends to
            media_id = f"{owner}/{_hashed(url)}{still}"
        named[media_id] = MediaRef(media_id, url, image.attributes.get("alt", "")[:MAX_ALT] or None)
    return list(named.values()), sum(1 for _ in islice(images, 1))


def _address(image: HtmlImage, settings: SourceSettings) -> str | None:
    source, original = image.attributes.get("src", ""), image.attributes.get("data-orig-src", "")
    if original and (not source or source.endswith(_TRANSPARENT)):
        source = original
    url = _resolved(source, settings)
    larger = _resolved(image.lightbox, settings) if image.lightbox else None
    # A lightbox that leads to another image than it shows may hide the one that it shows.
    if url and larger and _is_own(url, settings) and _is_own(larger, settings):
        return larger if _stem(url) == _stem(larger) != "" else url
    return url


def _resolved(source: str, settings: SourceSettings) -> str | None:
    if source.startswith("upload://"):
        return web_address(f"{settings.url}/uploads/short-url/{source.removeprefix('upload://')}")
    try:
        return web_address(urljoin(settings.url + "/", source.strip())) if source.strip() else None
    except ValueError:
        return None


def _is_own(url: str, settings: SourceSettings) -> bool:
    return urlsplit(url).hostname in {urlsplit(settings.url).hostname, *settings.file_hosts}


def _stem(url: str) -> str:
    """Returns an upload's name without its ending and the size of a smaller copy, or an empty text."""
    found = _UPLOADS.search(urlsplit(url).path)
    stem = _SMALLER.sub("", found["path"].rpartition("/")[2].partition(".")[0]) if found else ""
    return stem if re.fullmatch(r"[A-Za-z0-9]{8,64}", stem) else ""


def _upload_name(url: str, settings: SourceSettings) -> str:
    """Names an image: an upload by its file's name, which is a hash of it, and all others by their address."""
    return (_stem(url) if _is_own(url, settings) else "") or _hashed(url)


def _hashed(url: str) -> str:
    return "url-" + _sha256(url)[:24]


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
