"""Finds contact and payment details in a line of text. Pure; it returns their kinds, never the text.

Numbers count where their check digits or their country's plan confirm them. Text that a machine read has spaces where
there were none: addresses and account numbers are searched for without them too.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from hashlib import sha256

import phonenumbers
from linkify_it import LinkifyIt
from stdnum import bitcoin, iban

EMAIL, HANDLE, LINK = "text.contact.email", "text.contact.handle", "text.contact.link"
PHONE, PAYMENT = "text.contact.phone", "text.payment"

_EMAIL = re.compile(r"[\w.%+-]+@(?:[a-z0-9-]+\.)+[a-z]{2,24}(?![\w@])", re.IGNORECASE)
# As people write it who hide it from machines: anna (at) example (dot) org.
_AT = re.compile(r"\s*[(\[{]\s*at\s*[)\]}]\s*|\s+@\s*|\s*@\s+", re.IGNORECASE)
_DOT = re.compile(r"\s*[(\[{]\s*(?:dot|punkt|punto|point)\s*[)\]}]\s*", re.IGNORECASE)
_HANDLE = re.compile(r"(?<![\w.@/])@(?=[\w.]*[a-z])[a-z0-9_](?:[\w.]{1,30})(?![\w@]|\.\w)", re.IGNORECASE)
_NETWORKS = (
    r"insta(?:gram)?|ig|snap(?:chat)?|telegram|tg|kik|whats?app|wechat|weixin|discord|tiktok|twitter|mastodon"
    r"|onlyfans|skype|viber|facebook|threema"
)
_ON_NETWORK = re.compile(rf"\b(?:{_NETWORKS})\b\s*(?:id|name|handle)?\s*[:=@]\s*@?[\w.+-]{{3,}}", re.IGNORECASE)
# Dates and times, which cameras print on photos and some numbering plans would take.
_DATE = re.compile(
    r"(?<![\d./-])(?:(?:0?[1-9]|[12]\d|3[01])[./-](?:0?[1-9]|1[0-2])[./-](?:19|20)?\d\d"
    r"|(?:19|20)\d\d[./-](?:0?[1-9]|1[0-2])[./-](?:0?[1-9]|[12]\d|3[01]))(?![./-]?\d)"
    r"|(?<![\d:])\d{1,2}:\d\d(?::\d\d)?(?![\d:])"
)
_PAYMENT_NAME = re.compile(
    r"(?<![\w$])\$[a-z][a-z0-9_]{2,19}(?!\w)"
    r"|\b(?:paypal|venmo|cash\s?app|revolut|zelle|bizum|twint|swish|pix)\b\s*[:=@]\s*[@$]?[\w.+-]{3,}",
    re.IGNORECASE,
)
_PAYMENT_PLACE = re.compile(
    r"(?:paypal\.me|paypal\.com/paypalme|cash\.app|venmo\.com|revolut\.me|ko-fi\.com|buymeacoffee\.com|patreon\.com"
    r"|gofundme\.com|monzo\.me|wise\.com/pay)/\$?[\w.-]+",
    re.IGNORECASE,
)
_IBAN = re.compile(r"(?<![A-Z0-9])[A-Z]{2}\d{2}(?:[ -]?[A-Z0-9]){11,30}")
_BASE58 = re.compile(r"(?<![A-Za-z0-9])[1-9A-HJ-NP-Za-km-z]{26,35}(?![A-Za-z0-9])")
_BECH32 = re.compile(r"(?<![A-Za-z0-9])bc1[a-z0-9]{11,71}(?![A-Za-z0-9])", re.IGNORECASE)
_ETHEREUM = re.compile(r"(?<![A-Za-z0-9])0x[0-9a-f]{40}(?![A-Za-z0-9])", re.IGNORECASE)
_ACCOUNT_BYTES, _CHECK_BYTES = 25, 4  # of an address in base58: version, hash, checksum

_LINKS = LinkifyIt().set({"fuzzy_email": False, "fuzzy_ip": False})


def kinds(text: str, region: str | None = None) -> frozenset[str]:
    """Returns the labels `text.contact.*` and `text.payment` that apply to the text.

    `region`: two letters of the country whose telephone numbers may stand without their country code.
    """
    tight = _DOT.sub(".", _AT.sub("@", text))
    applies = {
        EMAIL: _EMAIL.search(tight) is not None,
        HANDLE: _HANDLE.search(text) is not None or _ON_NETWORK.search(text) is not None,
        LINK: has_link(text),
        PHONE: _has_phone(text, region),
        PAYMENT: _has_payment(text),
    }
    return frozenset(kind for kind, holds in applies.items() if holds)


def has_link(text: str) -> bool:
    """Tells whether the text has a web address, with its scheme or as a name that can only be one."""
    return any(_is_link(match) for match in _LINKS.match(text) or ())


def _is_link(match: object) -> bool:
    schema, raw = str(getattr(match, "schema", "")), str(getattr(match, "raw", ""))
    # Without a scheme a name has to be written as one: "the end.It was" is a full stop without a space.
    return schema in {"http:", "https:", "ftp:", "//"} or (schema == "" and raw == raw.lower())


def _has_phone(text: str, region: str | None) -> bool:
    country = region.upper() if region and len(region) == 2 else None
    undated = _DATE.sub(";", text)
    return phonenumbers.PhoneNumberMatcher(undated, country, phonenumbers.Leniency.VALID).has_next()


def _has_payment(text: str) -> bool:
    if _PAYMENT_NAME.search(text) or _PAYMENT_PLACE.search(text) or _ETHEREUM.search(text):
        return True
    if any(_is_account(match.group()) for match in _BASE58.finditer(text)):
        return True
    if any(bitcoin.is_valid(match.group()) for match in _BECH32.finditer(text)):
        return True
    return any(iban.is_valid(number) for match in _IBAN.finditer(text.upper()) for number in _beginnings(match.group()))


def _beginnings(text: str) -> Iterator[str]:
    """Yields the beginnings of the text of each length that some country's account number has.

    Such a number may be followed by words."""
    compact = re.sub(r"[ -]", "", text)
    yield from (compact[:length] for length in range(15, min(len(compact), 34) + 1))


def _is_account(text: str) -> bool:
    """Tells whether the text is an address of Bitcoin or a coin made like it (Litecoin, Dogecoin, Dash, Tron).

    Such an address is base58 with four check bytes."""
    decoded = bitcoin.b58decode(text)
    body, check = decoded[:-_CHECK_BYTES], decoded[-_CHECK_BYTES:]
    return len(decoded) == _ACCOUNT_BYTES and sha256(sha256(body).digest()).digest()[:_CHECK_BYTES] == check
