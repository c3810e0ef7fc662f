"""Where a model version comes from: the code and the locked dependencies."""

import hashlib
import subprocess
from dataclasses import dataclass
from functools import cache
from pathlib import Path

__all__ = ["Provenance", "code_commit", "provenance"]

PROJECT = Path(__file__).resolve().parent.parent
NO_GIT = "no-git"
NO_LOCK = "no-lock"


@dataclass(frozen=True)
class Provenance:
    """What a rebuild must find again."""

    code_commit: str
    lock_sha256: str


@cache
def code_commit(project: Path = PROJECT) -> str:
    """Return the commit of the code, with `+dirty` when files differ from it.

    It is ``no-git`` where there is no git, no repository or no commit: such a version cannot be
    rebuilt from its commit, and says so.
    """
    try:
        commit = _git(project, "rev-parse", "HEAD")
        changes = _git(project, "status", "--porcelain")
    except (OSError, subprocess.CalledProcessError):
        return NO_GIT
    return f"{commit}+dirty" if changes else commit


def lock_sha256(project: Path = PROJECT) -> str:
    """Return the sha256 of ``requirements.lock``; ``no-lock`` where there is none."""
    lock = project / "requirements.lock"
    return hashlib.sha256(lock.read_bytes()).hexdigest() if lock.is_file() else NO_LOCK


def provenance(project: Path = PROJECT) -> Provenance:
    """Return the provenance of what this process does."""
    return Provenance(code_commit(project), lock_sha256(project))


def _git(project: Path, *arguments: str) -> str:
    command = ["git", "-C", str(project), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return done.stdout.strip()
