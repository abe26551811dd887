"""Defines the errors that only the HTTP server answers: it is not ready, or a body that it does not decode.

They belong to the tree in `core/errors.py`.
"""

from __future__ import annotations

from assent.core.errors import AssentError


class ContentCodingUnsupported(AssentError):
    code, status = "content_coding_unsupported", 415
    remedy = "Send the body as it is, without Content-Encoding."


class FormsWaiting(AssentError):
    code, status, retryable = "forms_waiting", 503, True
    remedy = "Send it again in a minute: large forms are read a few at a time, and others were before this one."


class DiskFull(AssentError):
    code, status, retryable = "disk_full", 503, True
    remedy = "Make room on the disk that the detail names; what cannot be stored is not acknowledged."


class ClocksDiffer(AssentError):
    code, status, retryable = "clocks_differ", 503, True
    remedy = "Synchronise this machine's clock and the database's by NTP; `assent doctor` shows the difference."


class WorkerNotRunning(AssentError):
    code, status, retryable = "worker_not_running", 503, True
    remedy = "Look at the log for why the worker ended; another one is started, and events are accepted meanwhile."
