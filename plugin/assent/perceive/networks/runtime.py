"""Opens ONNX Runtime sessions, with every setting they have."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import structlog
from numpy.typing import NDArray

# From 1.29 on ONNX Runtime's official Linux builds send usage events to Microsoft and keep a device id in the home
# folder, unless this stands in the environment before the library is loaded (its Privacy.md, "Disabling Telemetry").
os.environ["ORT_DISABLE_TELEMETRY"] = "1"

import onnxruntime
from onnxruntime.capi import onnxruntime_pybind11_state as _state

onnxruntime.disable_telemetry_events()  # for builds that do not know the variable

# Best first. kSameAsRequested: the arena grows by what a batch needs instead of doubling.
_PROVIDERS: tuple[tuple[str, dict[str, str]], ...] = (
    ("CUDAExecutionProvider", {"arena_extend_strategy": "kSameAsRequested", "cudnn_conv_algo_search": "HEURISTIC"}),
    ("CPUExecutionProvider", {}),
)

# What a session raises while it is opened or run; the library has no common class for them.
ONNX_ERRORS: tuple[type[Exception], ...] = (
    _state.Fail,
    _state.InvalidArgument,
    _state.InvalidGraph,
    _state.InvalidProtobuf,
    _state.NotImplemented,
    _state.RuntimeException,
)

# Largest batches by provider. Of frames few at a time: what a batch needs is never given back. On a CPU 16 frames are
# no faster each and need 228 MB for 63; 32 chips are no faster either and need 61 for 10.
FRAME_BATCH = {"CPUExecutionProvider": 4, "CUDAExecutionProvider": 16}
CHIP_BATCH = {"CPUExecutionProvider": 8, "CUDAExecutionProvider": 32}

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, eq=False)
class Net:
    """An open network with one input; `provider`: the one it runs on, `batch`: its largest batch."""

    name: str
    session: Any  # onnxruntime ships no types
    provider: str
    batch: int


def open_net(name: str, model: bytes, threads: int, batch: Mapping[str, int]) -> Net:
    """Opens an ONNX model (bytes that were verified) on the best provider that works.

    `batch`: largest batch by provider; it bounds the arena, which never shrinks. A provider that onnxruntime offers
    but that does not start (no device, no driver) is logged, never passed over in silence.
    """
    offered = onnxruntime.get_available_providers()
    for provider, options in _PROVIDERS:
        if provider not in offered:
            continue
        session = _try_provider(model, threads, provider, options)
        if session is not None:
            return Net(name, session, provider, batch[provider])
        _log.warning("provider_unusable", model=name, provider=provider)
    raise RuntimeError(f"onnxruntime offers no provider for {name}: {offered}")


def session_options(threads: int) -> Any:
    """Returns the settings of every session: that many threads, which do not spin."""
    settings = onnxruntime.SessionOptions()
    settings.intra_op_num_threads = threads
    settings.inter_op_num_threads = 1
    # Spinning threads burn a core between batches and gain nothing here (measured: 13.4 against 13.7 ms a picture).
    settings.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return settings


def _try_provider(model: bytes, threads: int, provider: str, options: dict[str, str]) -> Any | None:
    settings = session_options(threads)
    try:
        session = onnxruntime.InferenceSession(model, settings, [(provider, options)], enable_fallback=0)
    except (RuntimeError, ValueError) as error:
        _log.warning("provider_failed", provider=provider, error=type(error).__name__)
        return None
    return session if session.get_providers()[0] == provider else None


def run_network(net: Net, inputs: NDArray[Any]) -> NDArray[np.float32]:
    """Returns the network's first output for any number (≥ 1) of inputs along the first axis.

    Inputs go through it in batches of at most `net.batch`."""
    return run_all(net, inputs)[0]


def run_all(net: Net, inputs: NDArray[Any]) -> tuple[NDArray[np.float32], ...]:
    """Returns all the network's outputs, in batches as `run_network` does."""
    feed = net.session.get_inputs()[0].name
    steps = range(0, len(inputs), net.batch)
    batches = [net.session.run(None, {feed: inputs[at : at + net.batch]}) for at in steps]
    return tuple(parts[0] if len(parts) == 1 else np.concatenate(parts) for parts in zip(*batches, strict=True))
