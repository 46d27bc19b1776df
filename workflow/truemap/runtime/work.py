"""What a job makes sure of around its work.

Its code and inputs stay what they were planned as; its outputs are still its own when it writes them; it does not
outlive the Snakemake that started it.
"""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import signal
import sys
import threading
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import psutil

from truemap.runtime import made as record
from truemap.runtime import sourcecode
from truemap.runtime.files import DataError, checksum, guards, signature, write_json

#: What a Snakemake hands to its jobs: its own process, and the code and config that it planned with.
SCHEDULER = "TRUEMAP_SCHEDULER"
CODE = "TRUEMAP_CODE"
CONFIG = "TRUEMAP_CONFIG"
#: Seconds between two looks at the scheduler, and from the order to end to the end.
INTERVAL = 1.0
GRACE = 20.0


def announce(code: Mapping[str, Any], main: bool) -> None:
    """Tell the jobs of this process who starts them, and of the run's first process what code it planned with.

    A process that a cluster starts keeps what the first one said of the code. Jobs import this code first: what a
    user's PYTHONPATH names would come before the folder that Snakemake adds.
    """
    own, others = str(sourcecode.WORKFLOW), os.environ.get("PYTHONPATH", "").split(os.pathsep)
    os.environ["PYTHONPATH"] = os.pathsep.join([own, *(path for path in others if path not in ("", own))])
    process = psutil.Process()
    os.environ[SCHEDULER] = f"{process.pid} {process.create_time()}"
    if main or not os.environ.get(CODE):
        os.environ[CODE] = json.dumps(code)
    if main:
        os.environ.pop(record.REMADE, None)


def check_config(config: str, main: bool) -> None:
    """Refuse another config than the one that the run's first process planned with: a cluster's jobs read it anew.

    Raises
    ------
    DataError
        If it was edited.
    """
    digest = hashlib.sha256(config.encode()).hexdigest()
    if main:
        os.environ[CONFIG] = digest
    elif os.environ.get(CONFIG, digest) != digest:
        raise DataError("the config was edited after this run was planned. Run again; edit after a run, or a copy.")


class Work:
    """A job's hold on its code, inputs and outputs.

    Parameters
    ----------
    snakemake : object
        What Snakemake gives a script.

    Raises
    ------
    DataError
        If the code is not what the run was planned with.
    """

    def __init__(self, snakemake: Any) -> None:
        self._refuse_other_clone(snakemake)
        self.outputs = [str(path) for path in snakemake.output]
        self.token = secrets.token_hex(8)
        labels = [value.rpartition("@")[0] for value in snakemake.params if sourcecode.is_named_hash(value)]
        self._code: dict[Path, list[int] | None] = {}
        self._check_code([*map(sourcecode.file_of, labels), *_loaded()])
        self._inputs = {str(path): signature(path) for path in dict.fromkeys(map(str, snakemake.input))}
        self._read = record.contents(path for path, found in self._inputs.items() if found)
        old = record.read_entry(self.outputs[0])
        remade = record.short(self.outputs[0]) in os.environ.get(record.REMADE, "").split()
        self._entry = {"job": self.token, "of": self.outputs[0], "value": record.value(old, remade)}
        write_json(record.place(self.outputs[0]), self._entry)
        guards.append(self._check_owner)

    def finish(self) -> None:
        """Write the record of the outputs.

        Raises
        ------
        DataError
            If code or an input has been written since the job began, or another job has taken over.
        """
        # What a method imported since.
        self._check_code([file for file in _loaded() if file not in self._code])
        for file, before in self._code.items():
            if signature(file) != before:
                raise DataError(
                    f"{file}: was edited while this job ran: what it ran cannot be told. Run again; edit after a run."
                )
        for path, before in self._inputs.items():
            if signature(path) != before:
                raise DataError(f"{path}: was written while this job read it. Run again; change inputs after a run.")
        self._check_owner()
        guards.remove(self._check_owner)
        for path in self.outputs:
            if Path(path).is_file():
                entry: record.Entry = {"job": self.token, "of": self.outputs[0], "sha256": checksum(path)}
                if path == self.outputs[0]:
                    entry = {**self._entry, **entry, "inputs": self._read}
                write_json(record.place(path), entry)

    def _refuse_other_clone(self, snakemake: Any) -> None:
        here, wanted = sourcecode.WORKFLOW.resolve(), Path(snakemake.scriptdir).resolve().parent
        if here != wanted:
            raise DataError(
                f"{here}: code of another copy of truemap runs here, not that of {wanted}. Take that folder out of "
                "PYTHONPATH, or uninstall truemap from this environment."
            )

    def _check_code(self, files: Iterable[Path]) -> None:
        """Compare the code that was imported with what the run's first process planned with: whole files."""
        planned = _planned()
        found_now = {path: signature(path) for path in files}
        self._code |= found_now
        begun = psutil.Process().create_time() * 1e9
        for path, found in found_now.items():
            wanted, seen = planned.get(sourcecode.key_of(path), (None, None))
            if found is not None and (found == seen or not planned):
                continue
            if found is None or sourcecode.code_hash(path) != wanted:
                raise DataError(f"{path}: was edited after this run was planned. Run again; edit after a run.")
            if seen and found[2] > begun:
                raise DataError(f"{path}: was edited while this job started: what it runs cannot be told. Run again.")

    def _check_owner(self) -> None:
        now = record.read_entry(self.outputs[0])
        if now is None or now["job"] != self.token:
            raise DataError(
                f"{self.outputs[0]}: another job makes this by now, and what this one made is dropped. Nothing to "
                "mend: the Snakemake that started this job is gone."
            )


def _loaded() -> list[Path]:
    """Return the files of modules that were imported, as far as the run's first process read them."""
    planned = {os.path.join(sourcecode.WORKFLOW, key) for key in _planned()}  # noqa: PTH118  (a user's is absolute)
    files = {str(getattr(module, "__file__", None)) for module in list(sys.modules.values())}
    return sorted(map(Path, files & planned))


def _planned() -> dict[str, Any]:
    """Return what `truemap.runtime.sourcecode.hashed` was in the run's first process."""
    return json.loads(os.environ.get(CODE) or "{}")


def end_with_scheduler() -> None:
    """End this process when the Snakemake that started it has ended, however it did; shells between may live on."""
    number, _, created = os.environ.get(SCHEDULER, "").partition(" ")
    if number:
        threading.Thread(target=_watch, args=(int(number), float(created)), daemon=True).start()


def _watch(number: int, created: float) -> None:
    while _runs(number, created):
        time.sleep(INTERVAL)
    # As a scheduler ends a job: what is half-written is removed. A library's call that takes long may not let it.
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(GRACE)
    os._exit(128 + signal.SIGTERM)


def _runs(number: int, created: float) -> bool:
    try:
        process = psutil.Process(number)
        return process.create_time() == created and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
