"""Loads dlib where a chosen pack needs it, and says where it cannot run."""

from __future__ import annotations

from functools import cache
from typing import Any

from assent.core.host_errors import ProcessorUnsupported
from assent.core.processors import has_avx


@cache
def load_dlib() -> Any:  # dlib ships no types
    """Returns the module. Raises ProcessorUnsupported where its import would end the process by SIGILL."""
    if not has_avx():
        raise ProcessorUnsupported("this processor has no AVX, which dlib's wheel is built for")
    import dlib

    return dlib
