"""Holds the texts of the person's page, in plain words that assume no knowledge of Assent."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime

from assent.core.values import Band, Box
from assent.subjects.access import PERSON

SCOPE_TEXTS: Mapping[str, str] = {
    "own": "Only in what you post yourself",
    "connections": "In what you post, and in posts by accounts that you chose",
    "anyone": "In posts by anybody",
}
CERTAINTY: Mapping[Band, str] = {"strong": "very sure", "likely": "fairly sure"}
STATES: Mapping[str, str] = {
    "suggested": "Waits for your answer",
    "published": "Your name is shown",
}
# What has just been done, by the word in the address after it was done.
MESSAGES: Mapping[str, str] = {
    "agreed": "You have agreed.",
    "withdrawn": "Done. Nobody recognises you any more, and what was made from your photos is deleted. Within an hour "
    "old copies of it can no longer be read.",
    "enrolled": "Thank you. From now on you can be recognised by the photos that you sent.",
    "waiting": "Your photos have arrived. They are looked at soon; come back in a minute.",
    "shown": "Thank you. Your name is shown with that picture.",
    "refused": "Thank you. You are not named in that picture.",
    "ended": "Done. Nobody else has your page open, and no older link opens it.",
}
# What was done with somebody's data, by the log's action; beginning with `own` where they did it on their page.
ACCESSES: Mapping[str, str] = {
    "subject.exported": "The platform fetched what is kept about you",
    "own subject.exported": "This page gave out the file with all your data",
    "link.made": "The platform made a link to this page",
    "own link.visited": "This page was opened with a link",
    "links.ended": "The platform ended all links to this page",
    "own links.ended": "All other visits to this page were ended here",
    "subject.searched": "Somebody who runs this service looked for faces as if you had posted the pictures",
    "subject.found": "Somebody who runs this service looked for faces, and found yours",
}
_PHOTO_ADVICE = {
    "no_face": "Send a photo that shows your face.",
    "multiple_faces": "Send a photo that shows only you.",
    "face_too_small": "Send one in which your face is larger.",
    "face_blurred": "Send a sharp one: hold still, with more light on your face.",
    "face_turned": "Send one in which you look at the camera, with your head upright.",
    "face_not_live": "Send one straight from a camera, with room around your head; no photo of a photo or a screen.",
    "face_mismatch": "Send photos of yourself only.",
    "photo_refused": "Send another photo.",
}
# What went wrong, by the error's code: a title and what to do.
WRONG: Mapping[str, tuple[str, str]] = {
    "link_gone": (
        "This link cannot be used any more",
        "A link opens the page once and for a few days only. Ask for a new one where you got this one.",
    ),
    "session_over": (
        "Your page is closed",
        "It closes 30 minutes after it was opened, and when everything was deleted. Ask for a new link where you got "
        "the last one.",
    ),
    "csrf_failed": ("That did not work", "The form came from somewhere else. Go back to your page and try again."),
    "notice_changed": (
        "The text has changed",
        "What you would agree to has changed since you opened the page. Please read it again.",
    ),
    "not_found": ("Nothing is here", "What you asked for is not here, or no longer."),
    "guardian_missing": (
        "Somebody has to agree for you",
        "Who is under 18, or does not say, needs a parent or guardian. Please fill in that field.",
    ),
    "anyone_undeclared": ("That cannot be chosen here", "Choose one of the other places where you may be recognised."),
    "consent_missing": ("You have not agreed", "That can be done only after you have agreed, under My choice."),
    "enrolment_waiting": (
        "Your photos are still waiting",
        "The photos that you sent before are not looked at yet. Wait a minute, and send others then.",
    ),
    "forms_waiting": ("Many photos are coming in", "Wait a minute, and send your photos again."),
    "template_limit_reached": (
        "That is enough photos",
        "No more photos of you are needed; those that you sent are used.",
    ),
    "body_too_large": ("That is too large", "A photo may have 20 MB, and all of them together 64 MB."),
    "media_unsupported": ("No photo", "One of the files is no photo that can be read. Send JPEG, PNG, WebP or HEIC."),
    "undecodable": ("No photo", "One of the photos is damaged and cannot be read. Send another one."),
    "picture_too_large": ("The photo is too large", "Send a photo of at most 50 megapixels."),
    "decoder_died": ("The photo cannot be read", "One of the photos could not be read. Send another one."),
    "decoders_disagree": ("The photo cannot be read", "One of the photos has a fault. Save it anew and send it again."),
    "not_calibrated": ("Not yet", "Faces are not compared here yet, so your photos were not kept. Try again later."),
    "rate_limited": ("Slower, please", "That was very often in a short time. Wait a few seconds and try again."),
    "request_too_slow": ("That took too long", "It did not arrive in time. Try again, perhaps with fewer photos."),
    "bad_request": ("That did not work", "Something in the form is missing or not as it has to be. Try again."),
}
_OTHERWISE = ("That did not work", "The reason lies with us, not with you. Try again in a few minutes.")


def wrong(code: str, detail: str) -> tuple[str, str]:
    """Returns a title and a text for an error.

    For an error in a photo the text names the photo, as the error's detail does.
    """
    advice = _PHOTO_ADVICE.get(code)
    if advice is None:
        return WRONG.get(code, _OTHERWISE)
    return "That photo cannot be used", f"{detail[:1].upper()}{detail[1:].rstrip('.')}. {advice}"


def access(action: str, said: Mapping[str, object]) -> str:
    """Describes an act that the audit log records about the person."""
    own = "own " if said.get("by") == PERSON else ""
    text = ACCESSES.get(own + action, action)
    return f"{text}, with the numbers made from your photos." if said.get("vectors") and not own else f"{text}."


def quality_words(value: float) -> str:
    """Describes a photo's quality, 0 to 1, in words."""
    return "good" if value >= 0.5 else "fair" if value >= 0.25 else "weak, a sharper one helps"


def date(moment: datetime) -> str:
    """Returns the date as `24 November 2026`, UTC."""
    return f"{moment.astimezone(UTC):%-d %B %Y}"


def time(moment: datetime) -> str:
    """Returns the time as `24 November 2026, 14:05 UTC`."""
    return f"{date(moment)}, {moment.astimezone(UTC):%H:%M} UTC"


def face_place(box: Box) -> str:
    """Describes the position of a face in the image, in pixels."""
    x, y, width, height = box
    return f"{width} × {height} pixels, {max(x, 0)} from the left edge and {max(y, 0)} from the top"
