"""The servers people look at: Prefect and its worker, MLflow's UI, the docs site.

`python -m flows.services up` starts them on the loopback address and deploys; `down` ends what `up`
started, by process id. Nothing here knows of tasks or tables.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import click
import psutil

import flows
from warehouse.home import docs_folder, home, mlflow_folder, prefect_folder

__all__ = ["main"]

BIN = Path(sys.executable).parent
PROJECT = Path(flows.__file__).parent.parent
POOL = "weighhouse"
START_SECONDS = 90


def _pid_file(name: str) -> Path:
    return home() / "services" / f"{name}.pid"


def _running(name: str) -> psutil.Process | None:
    """Return the process that `up` started under this name, if it still runs."""
    file = _pid_file(name)
    if not file.exists():
        return None
    pid, created = file.read_text().split()
    try:
        process = psutil.Process(int(pid))
        # A process id may have been given to a stranger since.
        if abs(process.create_time() - float(created)) < 1:
            return process
    except psutil.NoSuchProcess:
        pass
    file.unlink()
    return None


def _start(name: str, *command: str, address: str | None = None) -> None:
    if _running(name) is None:
        if address is not None and _answers(address):
            raise click.ClickException(
                f"{address} is already served by something else; end it or choose another port"
            )
        log = home() / "services" / f"{name}.log"
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("wb") as output:
            started = subprocess.Popen(
                [str(BIN / command[0]), *command[1:]],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd=PROJECT,
                start_new_session=True,
            )
        created = psutil.Process(started.pid).create_time()
        _pid_file(name).write_text(f"{started.pid} {created}")
    if address is not None:
        _wait_for(name, address)
        click.echo(f"{name:8} {address}")


def _answers(address: str) -> bool:
    try:
        with urllib.request.urlopen(address, timeout=2):  # noqa: S310  always http on loopback
            return True
    except urllib.error.HTTPError:
        return True
    except OSError:
        return False


def _wait_for(name: str, address: str) -> None:
    end = time.monotonic() + START_SECONDS
    while not _answers(address):
        if _running(name) is None or time.monotonic() > end:
            log = home() / "services" / f"{name}.log"
            tail = "\n".join(log.read_text().splitlines()[-15:])
            raise click.ClickException(
                f"{name} does not answer at {address}; end of {log}:\n{tail}"
            )
        time.sleep(0.5)


def _prefect(*arguments: str) -> str:
    result = subprocess.run(
        [str(BIN / "prefect"), "--no-prompt", *arguments],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        check=False,
    )
    if result.returncode:
        raise click.ClickException(
            f"prefect {' '.join(arguments)} failed:\n{result.stdout}{result.stderr}"
        )
    return result.stdout


@click.group()
def main() -> None:
    """Start and end the servers of this project."""


@main.command()
@click.option("--prefect-port", default=4200, show_default=True)
@click.option("--mlflow-port", default=5000, show_default=True)
@click.option("--docs-port", default=8080, show_default=True)
def up(prefect_port: int, mlflow_port: int, docs_port: int) -> None:
    """Start the servers on the loopback address, deploy the flows, print the addresses."""
    api = f"http://127.0.0.1:{prefect_port}/api"
    os.environ["WEIGHHOUSE_PROJECT"] = str(PROJECT)
    os.environ["WEIGHHOUSE_DOCS_URL"] = f"http://127.0.0.1:{docs_port}/"  # of the pages' links
    os.environ.pop("PREFECT_API_URL", None)
    host = ("--host", "127.0.0.1", "--port")
    _start(
        "prefect", "prefect", "server", "start", *host, str(prefect_port), address=f"{api}/health"
    )
    # From now on, until `down`, every Prefect command of this project speaks to this server.
    _prefect("config", "set", f"PREFECT_API_URL={api}")
    _prefect("work-pool", "create", POOL, "--type", "process", "--overwrite")
    _prefect("work-pool", "set-concurrency-limit", POOL, "1")
    _prefect("deploy", "--all")
    if not (docs_folder() / "index.html").exists():
        click.echo("writing the docs site ...")
        subprocess.run([sys.executable, "-m", "flows.docs"], cwd=PROJECT, check=True)
    _start("worker", "prefect", "worker", "start", "--pool", POOL, "--type", "process")
    database = f"sqlite:///{mlflow_folder() / 'mlflow.db'}"
    _start(
        "mlflow",
        *("mlflow", "server", "--backend-store-uri", database),
        *("--artifacts-destination", str(mlflow_folder() / "artifacts"), "--workers", "1"),
        *(*host, str(mlflow_port)),
        address=f"http://127.0.0.1:{mlflow_port}/",
    )
    _start(
        "docs",
        *("python", "-m", "http.server", str(docs_port), "--bind", "127.0.0.1"),
        *("--directory", str(docs_folder())),
        address=f"http://127.0.0.1:{docs_port}/",
    )
    click.echo(
        f"Prefect's pages: http://127.0.0.1:{prefect_port}, what runs show: /artifacts; a run:\n"
        f"  export PREFECT_HOME={prefect_folder()}\n"
        "  .venv/bin/prefect deployment run 'daily/household-churn'"
    )


@main.command()
def down() -> None:
    """End what `up` started."""
    for name in ("worker", "docs", "mlflow", "prefect"):
        process = _running(name)
        if process is None:
            click.echo(f"{name:8} was not running")
            continue
        family = [process, *process.children(recursive=True)]
        process.terminate()
        _, alive = psutil.wait_procs(family, timeout=15)
        for left in alive:
            left.kill()
        _pid_file(name).unlink()
        click.echo(f"{name:8} ended")
    if "PREFECT_API_URL" in _prefect("config", "view"):
        _prefect("config", "unset", "--yes", "PREFECT_API_URL")


if __name__ == "__main__":
    main()
