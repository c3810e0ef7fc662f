from __future__ import annotations

import hashlib
import subprocess

from models_ml.provenance import code_commit, provenance


def git(folder, *arguments):
    identity = ["-c", "user.name=Test", "-c", "user.email=test@example.org"]
    return subprocess.run(
        ["git", "-C", str(folder), *identity, *arguments],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.strip()


def test_a_commit_is_marked_when_files_differ_from_it(tmp_path):
    git(tmp_path, "init", "--quiet")
    (tmp_path / "code.py").write_text("a = 1\n")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "--quiet", "--message", "first")
    head = git(tmp_path, "rev-parse", "HEAD")
    code_commit.cache_clear()
    assert code_commit(tmp_path) == head
    (tmp_path / "code.py").write_text("a = 2\n")
    code_commit.cache_clear()
    assert code_commit(tmp_path) == f"{head}+dirty"


def test_without_a_repository_or_git_the_value_says_so(tmp_path, monkeypatch):
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert code_commit(tmp_path) == "no-git"
    code_commit.cache_clear()
    monkeypatch.setenv("PATH", str(tmp_path))
    assert code_commit(tmp_path) == "no-git"
    code_commit.cache_clear()


def test_the_lock_file_is_hashed(tmp_path):
    assert provenance(tmp_path).lock_sha256 == "no-lock"
    (tmp_path / "requirements.lock").write_text("duckdb==1.5.4\n")
    assert provenance(tmp_path).lock_sha256 == hashlib.sha256(b"duckdb==1.5.4\n").hexdigest()
