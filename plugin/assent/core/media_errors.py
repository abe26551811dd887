"""Defines the errors about media items and their events."""

from __future__ import annotations

from assent.core.errors import AssentError


class MediaAmbiguous(AssentError):
    code, status = "media_ambiguous", 409
    remedy = "Several sources brought a media item of that id: say which with `source`."


class DeletionsWait(AssentError):
    code, status, retryable = "deletions_wait", 503, True
    remedy = "Send the deletion again: others wait already until something of their pictures was sent."


class UnexpectedFailure(AssentError):
    code, status = "unexpected_failure", 500
    remedy = (
        "Something failed that nobody foresaw, several times: the worker's log says what kind. Look at the picture."
    )


class DecoderUnconfined(AssentError):
    code, status = "decoder_unconfined", 500
    remedy = (
        "Permit seccomp filters and no_new_privs to this process, see `assent doctor`; or accept that strangers' files "
        "are decoded without them: ASSENT_UNSAFE_UNCONFINED_DECODER=true"
    )
