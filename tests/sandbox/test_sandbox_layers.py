"""Where the surroundings forbid a layer the others act; without seccomp and no_new_privs nothing is decoded unasked."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any

import pytest

from assent.cli.doctor import _decode_child
from assent.core.settings import Settings
from assent.media.confine import REQUIRED
from assent.media.namespaces import NAMESPACES

ORDINARY = 61_234


def outcome(forbidden: str, uid: int = 0, **environment: str) -> Any:
    command = [sys.executable, "-m", "tests.sandbox.forbidding", forbidden, str(uid)]
    done = subprocess.run(command, capture_output=True, check=True, env=os.environ | environment)
    return json.loads(done.stdout)


def absent(told: Any) -> set[str]:
    assert told["decoded"]
    return {layer for layer, why in told["layers"].items() if why}


def test_where_nothing_is_forbidden_every_layer_acts() -> None:
    assert absent(outcome("")) == (set() if os.geteuid() == 0 else {"own uid"})


def test_in_a_container_that_forbids_namespaces_the_others_act() -> None:
    """Docker's default profile forbids unshare."""
    told = outcome("unshare")
    assert absent(told) - {"own uid"} == {*NAMESPACES, "empty root"}
    assert "Operation not permitted" in told["layers"]["user namespace"]


def test_on_a_kernel_without_landlock_the_others_act() -> None:
    assert absent(outcome("landlock")) - {"own uid"} == {"Landlock"}


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another")
def test_an_ordinary_user_gets_all_but_a_uid_of_its_own() -> None:
    assert absent(outcome("", ORDINARY)) == {"own uid"}
    assert absent(outcome("unshare,landlock", ORDINARY)) == {*NAMESPACES, "empty root", "own uid", "Landlock"}


def test_without_seccomp_nothing_is_decoded_but_on_request() -> None:
    told = outcome("seccomp")
    assert told["error"] == "decoder_unconfined"
    assert "seccomp: " in told["detail"]
    assert absent(outcome("seccomp", ASSENT_UNSAFE="1")) - {"own uid"} == {"seccomp"}


def test_the_doctor_says_which_layers_act() -> None:
    first, *others = _decode_child(Settings())
    assert first.ok
    assert all(layer in first.detail for layer in REQUIRED)
    assert {finding.what for finding in others} <= {"decode child, own uid"}
