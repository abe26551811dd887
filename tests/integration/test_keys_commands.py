"""`assent keys` beside a running installation: rotate, export, import, and what is said to the admin."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from base64 import b64encode
from pathlib import Path

from assent.core.settings import Settings
from assent.db.pool import Pool, transaction
from assent.keys.installation import instance
from assent.keys.keystore import Keystore, TenantKeys, open_keystore
from assent.keys.root import parse_root
from assent.tenants import init_tenant
from tests.command import assent, failing
from tests.integration.lives import erase, matches, recognise, templates
from tests.people import opt_in_all
from tests.waiting import until


def test_a_day_in_the_life_of_the_keys(
    pool: Pool, keystore: Keystore, keys: TenantKeys, environment: dict[str, str], tmp_path: Path
) -> None:
    init_tenant(pool, keystore, "other", "elsewhere", None)
    people = opt_in_all(pool, keys, "ana", "bea")
    recognise(pool, keys, people[1], "picture")
    old, new = tmp_path / "old", tmp_path / "new"
    assert "2 tenants" in assent(environment, "keys", "export", str(old))
    erase(pool, keys, "ana")
    said = assent(environment, "keys", "rotate-epoch", "--tenant", "default")
    assert "epoch 2 is live, 1 destroyed; 1 people, 1 matches" in said
    assert [keystore.tenant(name).epoch for name in ("default", "other")] == [2, 1]
    said = assent(environment, "keys", "rotate-root")
    assert not re.search(r"[A-Za-z0-9+/]{43}=", said)  # it is in root.key: nothing to show
    assert templates(pool, keys) == {"bea"}  # with a keystore that was open all the time
    assert matches(pool, keys, people) == {"picture": "strong"}
    assert "2 tenants" in assent(environment, "keys", "export", str(new))
    assert assent(environment, "keys", "import", str(new)).startswith("0 people's keys brought back, 0 people removed")
    refused = failing(environment, "keys", "import", str(old))
    assert "sealed under another root key" in refused
    assert templates(pool, keys) == {"bea"}


def test_an_import_after_a_restore_elsewhere(
    pool: Pool, keys: TenantKeys, environment: dict[str, str], tmp_path: Path
) -> None:
    """The database comes back as it was; here its rows do."""
    people = opt_in_all(pool, keys, "ana", "bea")
    for n, subject in enumerate(people):
        recognise(pool, keys, subject, f"picture {n}")
    tables = ("subject", "subject_key", "consent", "template", "match")
    with transaction(pool) as conn:
        for table in tables:
            conn.execute(f"CREATE TABLE before_{table} AS SELECT * FROM {table}")  # noqa: S608
    erase(pool, keys, "ana")
    assent(environment, "keys", "rotate-epoch")
    assent(environment, "keys", "export", str(tmp_path / "keys"))
    with transaction(pool) as conn:
        for table in reversed(tables):
            conn.execute(f"DELETE FROM {table}")  # noqa: S608
        for table in tables:
            conn.execute(f"INSERT INTO {table} SELECT * FROM before_{table}")  # noqa: S608
    assert templates(pool, keys) == set()
    said = assent(environment, "keys", "import", str(tmp_path / "keys"))
    assert said.startswith("1 people's keys brought back, 1 people removed")
    assert "2 pictures' tags taken back" in said
    assert templates(pool, keys) == {"bea"}
    assert assent(environment, "keys", "import", str(tmp_path / "keys")).startswith("0 people's keys brought back, 0")


def test_a_root_key_from_the_settings_is_shown_once(
    pool: Pool, keystore: Keystore, keys: TenantKeys, environment: dict[str, str], settings: Settings
) -> None:
    opt_in_all(pool, keys, "ana")
    (settings.keys_dir / "root.key").rename(settings.data_dir / "elsewhere.key")
    environment["ASSENT_ROOT_KEY"] = b64encode(keystore.root).decode()
    said = assent(environment, "keys", "rotate-root")
    found = re.search(r"^ +([A-Za-z0-9+/]{43}=)$", said, re.MULTILINE)
    assert found is not None
    assert "ASSENT_ROOT_KEY" in said
    assert "start all of Assent's processes again" in said
    assert not (settings.keys_dir / "root.key").exists()
    assert "root key is not the one" in failing(environment, "keys", "rotate-epoch")
    environment["ASSENT_ROOT_KEY"] = found[1]
    assent(environment, "keys", "rotate-epoch")
    again = open_keystore(settings.keys_dir, instance(pool), parse_root(found[1]))
    assert templates(pool, again.tenant("default")) == {"ana"}


def test_a_rotation_that_is_killed_is_ended_by_the_next(
    pool: Pool, keystore: Keystore, keys: TenantKeys, environment: dict[str, str]
) -> None:
    names = {f"person {n}" for n in range(3000)}
    opt_in_all(pool, keys, *sorted(names))

    def epochs() -> list[int]:
        with transaction(pool) as conn:
            return [row[0] for row in conn.execute("SELECT DISTINCT epoch FROM subject_key ORDER BY 1").fetchall()]

    with subprocess.Popen([sys.executable, "-m", "assent", "keys", "rotate-epoch"], env=environment) as rotating:
        until(lambda: len(epochs()) == 2 or rotating.poll() is not None, "it is at work")
        rotating.send_signal(signal.SIGKILL)
    assert rotating.returncode == -signal.SIGKILL
    assert set(keystore.tenant("default").retiring) == {1}
    assert templates(pool, keys) == names
    assent(environment, "keys", "rotate-epoch")
    assert (keystore.tenant("default").epoch, epochs()) == (3, [3])
    assert not keystore.tenant("default").retiring
    assert templates(pool, keys) == names
