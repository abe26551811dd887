"""A network runs on the best device that works, and whoever expected another one is told."""

from __future__ import annotations

import onnxruntime
import pytest
from structlog.testing import capture_logs

from assent.perceive.networks.runtime import open_net, session_options
from tests.unit.small_nets import net

BATCH = {"CPUExecutionProvider": 2, "CUDAExecutionProvider": 4}
MODEL = net(["n", 3, 8, 8], 2)


def test_the_cpu_is_the_default_and_nothing_is_said_of_it() -> None:
    with capture_logs() as logs:
        opened = open_net("net", MODEL, 1, BATCH)
    assert opened.provider == "CPUExecutionProvider"
    assert opened.batch == 2
    assert logs == []


@pytest.mark.filterwarnings("ignore:Specified provider:UserWarning")  # the runtime's own
def test_a_gpu_that_does_not_start_is_logged_before_the_cpu_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    if "CUDAExecutionProvider" in onnxruntime.get_available_providers():
        pytest.skip("here it would start")
    offered = ["CUDAExecutionProvider", "CPUExecutionProvider"]
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: offered)
    with capture_logs() as logs:
        opened = open_net("net", MODEL, 1, BATCH)
    assert opened.provider == "CPUExecutionProvider"
    said = [log for log in logs if log["event"] == "provider_unusable"]
    assert [(log["model"], log["provider"], log["log_level"]) for log in said] == [
        ("net", "CUDAExecutionProvider", "warning")
    ]


def test_without_any_provider_nothing_is_opened(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: ["SomeOtherProvider"])
    with pytest.raises(RuntimeError, match="no provider"):
        open_net("net", MODEL, 1, BATCH)


def test_every_session_has_the_threads_of_the_settings_and_none_that_spin() -> None:
    options = session_options(3)
    assert options.intra_op_num_threads == 3
    assert options.inter_op_num_threads == 1
    assert options.get_session_config_entry("session.intra_op.allow_spinning") == "0"
