"""Defines the errors of the machine and the services that an installation runs on."""

from __future__ import annotations

from assent.core.errors import AssentError, GalleryUnavailable


class MatchingUnavailable(GalleryUnavailable):
    code = "matching_unavailable"
    remedy = "Make room for the in-memory gallery as the detail says; until then images are decided without matching."


class PoolerUnsupported(AssentError):
    code, status = "pooler_unsupported", 500
    remedy = "Point ASSENT_DATABASE_URL at PostgreSQL itself, or set the pooler to sessions (PgBouncer: pool_mode)."


class ProcessorUnsupported(AssentError):
    code, status = "processor_unsupported", 500
    remedy = "Choose packs without dlib, such as `assent models use compact`, or a machine whose processor has AVX."


class MetricsUnavailable(AssentError):
    code, status = "metrics_unavailable", 500
    remedy = "Set ASSENT_METRICS_HOST and the port of this process's metrics to what is free on this machine."
