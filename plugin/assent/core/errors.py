"""Defines one tree of errors. Each class has its code, its HTTP status, whether a retry can help, and what to do.

The message of an instance describes this case; it never holds a secret, a full URL or an image byte.
"""

from __future__ import annotations

from typing import ClassVar


class AssentError(Exception):
    code: ClassVar[str] = "internal"
    status: ClassVar[int] = 500
    retryable: ClassVar[bool] = False
    remedy: ClassVar[str] = "Look at the server's log for this time and report it."

    def __init__(self, detail: str = "") -> None:
        super().__init__(detail or self.remedy)
        self.detail = detail or self.remedy


# Requests


class BadRequest(AssentError):
    code, status = "bad_request", 400
    remedy = "Correct the request; the detail names the field."


class Unauthorized(AssentError):
    code, status = "unauthorized", 401
    remedy = "Send `Authorization: Bearer <API key>`; `assent init` prints one."


class Forbidden(AssentError):
    code, status = "forbidden", 403
    remedy = "Use an API key that holds the scope named in the detail."


class NotFound(AssentError):
    code, status = "not_found", 404
    remedy = "Check the name; nothing is stored under it for this tenant."


class MethodNotAllowed(AssentError):
    code, status = "method_not_allowed", 405
    remedy = "Use a method that the Allow header names."


class SignatureInvalid(AssentError):
    code, status = "signature_invalid", 401
    remedy = "Sign the raw body with the source's secret, and keep the sender's clock within 5 minutes."


class DeliveryConflict(AssentError):
    code, status = "delivery_conflict", 409
    remedy = "Use a new webhook-id for a new body; this id was seen with another one."


class BodyTooLarge(AssentError):
    code, status = "body_too_large", 413
    remedy = "Send a smaller body."


class HeadTooLarge(AssentError):
    code, status = "head_too_large", 431
    remedy = "Send at most 16 KiB of request line and headers, in at most 64 fields."


class RequestTooSlow(AssentError):
    code, status = "request_too_slow", 408
    remedy = "Send the whole request within the time that the detail names."


class RateLimited(AssentError):
    code, status = "rate_limited", 429
    remedy = "Wait as long as Retry-After says, then send fewer requests a second."

    def __init__(self, wait_seconds: int) -> None:
        super().__init__(f"too many requests; the next one is welcome in {wait_seconds} s")
        self.wait_seconds = wait_seconds


class MediaUnsupported(AssentError):
    code, status = "media_unsupported", 415
    remedy = "Send JPEG, PNG, WebP, GIF, AVIF, HEIC, TIFF or BMP."


# Fetching a picture


class FetchRefused(AssentError):
    code, status = "fetch_refused", 422
    remedy = (
        "Serve the picture from a public address over http or https, or list the private host in ASSENT_ALLOW_PRIVATE."
    )


class FetchMissing(AssentError):
    code, status = "fetch_missing", 422
    remedy = "Check that the URL still serves the picture to anybody who asks."


class FetchTooLarge(AssentError):
    code, status = "fetch_too_large", 422
    remedy = "Serve a rendition of at most 20 MB."


class FetchFailed(AssentError):
    code, status, retryable = "fetch_failed", 422, True
    remedy = "The picture's server did not answer in time or failed; it is tried again before it goes to review."


# Decoding


class Undecodable(AssentError):
    code, status = "undecodable", 422
    remedy = "The file is no readable picture; a moderator has to look at it."


class PictureTooLarge(AssentError):
    code, status = "picture_too_large", 422
    remedy = "Send at most 50 megapixels, 12,000 pixels a side, 100 megapixels over all frames looked at."


class DecodersDisagree(AssentError):
    code, status = "decoders_disagree", 422
    remedy = "Programs show two pictures of this file; a moderator has to look at it, and the sender may save it anew."


# What the decode child finds in a file; each needs a line here.
DECODE_ERRORS = (MediaUnsupported, Undecodable, PictureTooLarge, DecodersDisagree)


class DecoderDied(AssentError):
    code, status = "decoder_died", 422
    remedy = "The picture took the decoder beyond its memory or time; a moderator has to look at it."


# Models, keys, stores


class ModelMissing(AssentError):
    code, status = "model_missing", 503
    remedy = "Run `assent doctor`: it names the missing file and the command that brings it."


class PackUnknown(AssentError):
    code, status = "pack_unknown", 500
    remedy = (
        "Name a pack and roles that there are: `assent models list` shows them, `assent models use` writes a choice."
    )


class ModelUnknown(AssentError):
    code, status = "model_unknown", 500
    remedy = "Use the file that its manifest, table or head describes; `assent models verify` compares them."


class LicenceNotAccepted(AssentError):
    code, status = "licence_not_accepted", 403
    remedy = (
        "Use a pack whose licence allows what you do, or accept this one in ASSENT_ACCEPT_LICENCE, in its own words."
    )


class ModelDownload(AssentError):
    code, status, retryable = "model_download", 502, True
    remedy = "Run `assent models pull` again: what has arrived is kept, and only the rest is fetched."


class KeyMissing(AssentError):
    code, status = "key_missing", 503
    remedy = "Run `assent init` on an empty database, or bring back the keystore that belongs to this one."


class SealBroken(AssentError):
    code, status = "seal_broken", 500
    remedy = "A sealed row does not open with its key: it was altered, moved or belongs to another database."


class DecisionUnreadable(AssentError):
    code, status = "decision_unreadable", 500
    remedy = "A stored decision is none: its row was altered. Send the media item again, or restore a backup."


class RotationUnderWay(AssentError):
    code, status, retryable = "rotation_under_way", 409, True
    remedy = "Another process is rotating or exporting this tenant's keys; try again when it is done."


class KeysOutdated(AssentError):
    code, status = "keys_outdated", 409
    remedy = (
        "Bring the newest export of the keys: an older one holds keys that were destroyed since, or lacks newer ones."
    )


class BackupRefused(AssentError):
    code, status = "backup_refused", 409
    remedy = "Do what the detail says, then try again."


class GalleryUnavailable(AssentError):
    code, status, retryable = "gallery_unavailable", 503, True
    remedy = "The in-memory gallery is not running; see `assent doctor`."


class GalleryTooLarge(AssentError):
    code, status = "gallery_too_large", 422
    remedy = "More templates than the embedder's calibration supports; install a stronger pack or narrow the scope."


class DatabaseUnavailable(AssentError):
    code, status, retryable = "database_unavailable", 503, True
    remedy = "Check ASSENT_DATABASE_URL, or the embedded server's log in the data folder; nothing was acknowledged."


class StoreUnsafe(AssentError):
    code, status = "store_unsafe", 500
    remedy = "Change the owner, mode or place of the file or folder as the detail says."


class NotInitialised(AssentError):
    code, status = "not_initialised", 503
    remedy = "Run `assent init` first."


class AlreadyInitialised(AssentError):
    code, status = "already_initialised", 409
    remedy = "Choose another name; what exists was shown once, when it was made."


# Training and measuring


class DatasetUnusable(AssentError):
    code, status = "dataset_unusable", 422
    remedy = "Give a folder with a folder for each class, or a CSV file with the columns path and label."


class LearnMissing(AssentError):
    code, status = "learn_missing", 503
    remedy = (
        "Install what training and measuring need: pip install --no-deps --require-hashes -r requirements-learn.txt"
    )


# Policy, consent, enrolment


class PolicyInvalid(AssentError):
    code, status = "policy_invalid", 500
    remedy = "Correct the policy file; without a valid policy nothing is decided."


class HashListInvalid(AssentError):
    code, status = "hash_list_invalid", 422
    remedy = (
        "Give a CSV or ThreatExchange-style JSON file with PDQ or SHA-256 hashes; docs/known-pictures.md shows both."
    )


class WordListInvalid(AssentError):
    code, status = "word_list_invalid", 500
    remedy = "Correct the folder that ASSENT_BLOCKED_WORDS names: a file a language, a word or phrase a line, UTF-8."


class ConsentMissing(AssentError):
    code, status = "consent_missing", 409
    remedy = "Record an active consent for purpose `face-match` first."


class GuardianMissing(AssentError):
    code, status = "guardian_missing", 422
    remedy = "Say in `guardian` how a parent or guardian agreed; without it only adults can consent."


class AnyoneUndeclared(AssentError):
    code, status = "anyone_undeclared", 422
    remedy = "Use scope `own` or `connections`; `anyone` needs the deployer's words in ASSENT_ANYONE_DECLARATION."


class TooManyConnections(AssentError):
    code, status = "too_many_connections", 422
    remedy = "Send at most 5,000 connections."


class IdempotencyConflict(AssentError):
    code, status = "idempotency_conflict", 409
    remedy = "Use a new Idempotency-Key for a new request; this one came with another within the last 24 hours."


# The person's own page


class LinkGone(AssentError):
    code, status = "link_gone", 410
    remedy = "Ask the platform for a new link; this one was used, has expired or never was."


class SessionOver(AssentError):
    code, status = "session_over", 401
    remedy = "Ask the platform for a new link; sessions last 30 minutes and end when everything is deleted."


class CsrfFailed(AssentError):
    code, status = "csrf_failed", 403
    remedy = "Send the form from the page itself."


class NoticeChanged(AssentError):
    code, status = "notice_changed", 409
    remedy = "Read the notice again: it changed after the page was opened."


class NoticeInvalid(AssentError):
    code, status = "notice_invalid", 500
    remedy = "Correct the file that ASSENT_NOTICE names; without it nobody can be told what they agree to."


# Asking for a picture


class SubjectLocked(AssentError):
    code, status, retryable = "subject_locked", 503, True
    remedy = "Somebody in this picture is changing their consent now; ask again in a few seconds."


class PictureNotKept(NotFound):
    code = "picture_not_kept"
    remedy = "Copies are kept of pictures that go to review, and of all with ASSENT_KEEP_FOR_REDACTION=true."


# Manual review


class LabelUnknown(AssentError):
    code, status = "label_unknown", 422
    remedy = "Use a label of the taxonomy, whole: not a group, and not `face`."


class CaseClosed(AssentError):
    code, status = "case_closed", 409
    remedy = "Read the picture's newest decision; where it waits for a moderator again, it has a new case."


class CaseOpen(AssentError):
    code, status = "case_open", 409
    remedy = "Decide the open case that the detail names; its corrections go with it."


class DecisionChanged(AssentError):
    code, status = "decision_changed", 409
    remedy = "Look at the newest decision before you correct it."


class PictureWithheld(NotFound):
    code = "picture_withheld"
    remedy = "It is on a list marked severe, so nobody is shown it; follow your procedure for such a find."


# Learning from corrections, heads on trial


class ExportRefused(AssentError):
    code, status = "export_refused", 409
    remedy = "Name a new or empty folder that can be written."


class InsufficientEvidence(AssentError):
    code, status = "insufficient_evidence", 409
    remedy = (
        "What is said of pictures changes only with figures: train it with `assent train`, and let it run in shadow."
    )


class HeadAlreadyActive(AssentError):
    code, status = "head_already_active", 409
    remedy = "Nothing has to be done, or roll it back first: `assent learn list` shows what runs."


# Audit


class AuditBroken(AssentError):
    code, status = "audit_broken", 500
    remedy = "The log, or a file from it, does not match what was signed: keep both, and find out who changed it."


class ProofUnreadable(AssentError):
    code, status = "proof_unreadable", 422
    remedy = "Give the whole file as Assent wrote it: this is no export, checkpoint, receipt or key of a log."


class WorkerLost(AssentError):
    code, status = "worker_lost", 500
    remedy = "The worker was lost several times on this event; a moderator has to look at it."
