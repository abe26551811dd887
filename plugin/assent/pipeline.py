"""Runs the stages of the pipeline on one image. Start reading here.

    1 fetch → 2 decode → 3 fingerprint → 4 perceive → 5 match → 6 decide → 7 record

Stages 1 to 6 turn values into values; `analyse` runs them and stores nothing. Stage 7 is `record` of `decisions.store`,
which the worker runs in one transaction and `assent tag` leaves out.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace

from assent.core.errors import NotFound
from assent.core.host_errors import MatchingUnavailable
from assent.core.settings import AllowedHost
from assent.core.values import (
    HASH_SEVERE,
    Analysis,
    Event,
    Face,
    Match,
    MediaRef,
    Perception,
    Picture,
    Quarantined,
    Rule,
)
from assent.hashlists.search import Hit, hash_tags
from assent.media.fetch import fetch_media
from assent.media.fingerprint import fingerprinted
from assent.media.sandbox import Decoder
from assent.policy.decide import decide
from assent.policy.model import Policy


def no_lists(_tenant: str, _picture: Picture) -> tuple[Hit, ...]:
    """Returns no hits, for an installation without hash lists."""
    return ()


def nothing_read(_picture: Picture, _region: str | None) -> Perception:
    """Returns an empty perception, for an installation that reads no text in images."""
    return Perception((), (), ())


def all_live(_picture: Picture, _face: Face) -> bool:
    """Returns True for every face of an enrolment photo, where no pack tells whether a face is live."""
    return True


def shipped_heads(_tenant: str, perception: Perception) -> Perception:
    """Returns the perception unchanged, where no tenant has heads of its own."""
    return perception


def _no_turn(_tenant: str) -> AbstractContextManager[None]:
    return nullcontext()


@dataclass(frozen=True, slots=True)
class Stages:
    """The functions and settings that the stages get from outside, the same for every tenant."""

    decoder: Decoder
    perceive: Callable[[Picture, bool], Perception]  # the second argument: whether faces are to be compared
    candidate_count: Callable[[str, Event], int]  # tenant, event → how many templates its faces may be compared with
    match: Callable[[str, Event, Perception], tuple[Match, ...]]
    allow: Sequence[AllowedHost] = ()
    # tenant, perception → with what the tenant's own heads say
    heads: Callable[[str, Perception], Perception] = shipped_heads
    alike: float = math.inf  # cosine from which two photos may show one person; without a calibration none do
    model_turn: Callable[[str], AbstractContextManager[None]] = _no_turn  # while a tenant's image is in the models
    find_listed: Callable[[str, Picture], tuple[Hit, ...]] = no_lists  # the tenant's hash lists that hold the image
    read: Callable[[Picture, str | None], Perception] = nothing_read  # the second argument: the event's region
    live: Callable[[Picture, Face], bool] = all_live  # whether the face in an enrolment photo is a living person's


def analyse(
    stages: Stages, policy: Policy, tenant: str, event: Event, media: MediaRef, upload: bytes | None = None
) -> Analysis | Quarantined:
    """Runs stages 1 to 6 for one image of a tenant's event, by the policy that decides for the tenant.

    `upload` is its file where the bytes came with the request. Raises the errors of its stages; those that are
    `retryable` may go away by themselves.
    """
    data = upload if upload is not None else _fetch(stages, media)  # 1 fetch
    picture = fingerprinted(stages.decoder.decode(data, tenant))  # 2 decode, 3 fingerprint
    listed = hash_tags(hits := stages.find_listed(tenant, picture))
    if any(hit.severe for hit in hits):
        return quarantine(picture, hits)
    comparable, unmatched = _comparable(stages, policy, tenant, event)
    with stages.model_turn(tenant):
        seen = stages.perceive(picture, comparable)  # 4 perceive
    perception = stages.heads(tenant, seen)
    text = stages.read(picture, event.region)
    perception = replace(perception, tags=listed + perception.tags + text.tags, models=perception.models + text.models)
    matches = stages.match(tenant, event, perception) if comparable else ()  # 5 match
    verdict = decide(policy, event, picture, perception, {match.face for match in matches})  # 6 decide
    return Analysis(picture, perception, matches, verdict, unmatched=unmatched)


def _comparable(stages: Stages, policy: Policy, tenant: str, event: Event) -> tuple[bool, bool]:
    """Tells whether the event's faces are to be compared, and whether that cannot be told for want of a gallery."""
    if not policy.recognises or event.author is None:
        return False, False
    try:
        return stages.candidate_count(tenant, event) > 0, False
    except MatchingUnavailable:
        return False, True


def quarantine(picture: Picture, hits: Sequence[Hit]) -> Quarantined:
    """Returns the outcome for an image on a severe list: its hash tags, the rule, and the file's sha256."""
    severe = [hit for hit in hits if hit.severe]
    because = f"on the list {', '.join(hit.list for hit in severe)}, which is marked severe"
    return Quarantined(hash_tags(severe), (Rule(HASH_SEVERE, because),), picture.sha256)


def nobody(_tenant: str, _event: Event) -> int:
    """Returns 0, the number of candidates in an installation that compares no faces."""
    return 0


def no_match(_tenant: str, _event: Event, _perception: Perception) -> tuple[Match, ...]:
    """Returns no matches: stage 5 of an installation that compares no faces."""
    return ()


def _fetch(stages: Stages, media: MediaRef) -> bytes:
    if media.url is None:
        raise NotFound("the picture that came with this request is no longer stored")
    return fetch_media(media.url, stages.allow)
