"""What every test may use: a state folder of its own, and the servers of the session."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[1]


def free_port() -> int:
    """Return a port of the loopback address that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def run_python(
    *arguments: str, state: Path, timeout: float = 600, project: Path = PROJECT, **environment: str
) -> subprocess.CompletedProcess[str]:
    """Run `python ARGUMENTS` in a project, with its state in a folder of its own."""
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=project,
        env={**os.environ, "WEIGHHOUSE_HOME": str(state), **environment},
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )


@pytest.fixture(scope="session")
def prefect_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """A Prefect server for the session: the environment that lets a process speak to it."""
    port, home = free_port(), tmp_path_factory.mktemp("prefect_server")
    api = f"http://127.0.0.1:{port}/api"
    with (home / "server.log").open("wb") as log:
        server = subprocess.Popen(
            [Path(sys.executable).parent / "prefect", "server", "start", "--port", str(port)],
            env={
                **os.environ,
                "PREFECT_HOME": str(home),
                "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
                "DO_NOT_TRACK": "1",
            },
            stdout=log,
            stderr=subprocess.STDOUT,
        )
        for _ in range(240):
            try:
                urllib.request.urlopen(f"{api}/health", timeout=1).close()
                break
            except OSError:
                time.sleep(0.5)
        else:
            server.terminate()
            pytest.fail(f"no Prefect server: {(home / 'server.log').read_text()[-2000:]}")
        yield {"PREFECT_API_URL": api}
        server.terminate()
        server.wait(timeout=30)


@pytest.fixture(scope="session")
def lived_in(tmp_path_factory: pytest.TempPathFactory, prefect_server: dict[str, str]) -> Path:
    """A state folder in which household_churn has lived through its first two weeks."""
    state = tmp_path_factory.mktemp("lived_in")
    done = run_python(
        *("-m", "flows.replay", "household_churn", "--until", "2017-07-09"),
        state=state,
        **prefect_server,
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    (state / "replay.txt").write_text(done.stdout)
    return state


@pytest.fixture
def state(lived_in: Path, tmp_path: Path) -> Path:
    """A copy of the lived-in state folder that a test may change."""
    return Path(shutil.copytree(lived_in, tmp_path / "state"))
