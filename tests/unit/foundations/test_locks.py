"""Locks: one run in a folder, and nobody beside the jobs a killed one left."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tme.errors import BusyError, ConfigError
from tme.locks import check_no_orphans, job_lock, run_lock


def test_a_lock_of_another_user_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def denied(*_: object) -> int:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    monkeypatch.setattr("os.open", denied)
    with pytest.raises(ConfigError, match="another user"), run_lock(tmp_path):
        pass


def test_a_locked_folder_refuses_a_second_run_and_a_dead_holder_frees_it(tmp_path: Path) -> None:
    code = (
        "import sys, time, pathlib, tme.locks as s\n"
        "with s.run_lock(pathlib.Path(sys.argv[1])):\n"
        "    print('held', flush=True); time.sleep(60)\n"
    )
    holder = subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE)
    try:
        assert holder.stdout is not None
        holder.stdout.readline()
        with pytest.raises(BusyError, match=f"process {holder.pid}"), run_lock(tmp_path):
            pass
    finally:
        holder.kill()
        holder.wait()
    with run_lock(tmp_path):
        pass


def test_jobs_share_the_folder_and_hold_off_a_new_run(tmp_path: Path) -> None:
    with job_lock(tmp_path), job_lock(tmp_path), pytest.raises(BusyError, match="interrupted run"):
        check_no_orphans(tmp_path)
    check_no_orphans(tmp_path)
