"""Defines the errors of enrolment: what a photo was refused for. They belong to the tree in `core/errors.py`."""

from __future__ import annotations

from assent.core.errors import AssentError


class NoFace(AssentError):
    code, status = "no_face", 422
    remedy = "Send a photo that shows the person's face."


class MultipleFaces(AssentError):
    code, status = "multiple_faces", 422
    remedy = "Send a photo with exactly one face."


class FaceTooSmall(AssentError):
    code, status = "face_too_small", 422
    remedy = "Send a photo in which the face is at least 40 pixels wide."


class FaceBlurred(AssentError):
    code, status = "face_blurred", 422
    remedy = "Send a sharp photo: hold still, and let more light fall on the face."


class FaceTurned(AssentError):
    code, status = "face_turned", 422
    remedy = "Send a photo in which the person looks towards the camera, with the head upright."


class FaceNotLive(AssentError):
    code, status = "face_not_live", 422
    remedy = (
        "Send a photo of the person, not of a print or a screen, straight from a camera and with room around the head."
    )


class FaceMismatch(AssentError):
    code, status = "face_mismatch", 422
    remedy = "Send photos of the person themselves only; one of these resembles the others too little."


class NotCalibrated(AssentError):
    code, status = "not_calibrated", 503
    remedy = (
        "Measure the embedder in use with `assent eval faces PEOPLE --calibrate`; before that nobody can be matched."
    )


class PhotoRefused(AssentError):
    code, status = "photo_refused", 422
    remedy = "This photo cannot be used; send another one."


class TemplateLimitReached(AssentError):
    code, status = "template_limit_reached", 409
    remedy = "At most 10 templates a person are kept; what is stored already is used."


class EnrolmentWaiting(AssentError):
    code, status = "enrolment_waiting", 409
    remedy = "The person's photos of before are not looked at yet; send others when they are."


# What a photo, or a set of them, is refused for; each needs a line here and a sentence in `me/words.py`.
PHOTO_REFUSALS = (
    *(NoFace, MultipleFaces, FaceTooSmall, FaceBlurred, FaceTurned, FaceNotLive, FaceMismatch),
    *(PhotoRefused, TemplateLimitReached, NotCalibrated),
)
