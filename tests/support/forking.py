"""Snakemake and its jobs as forks of processes that have imported what they need, which is most of what they cost.

What is forked has nothing of the project in it: the workflow's own code is imported anew from where the call is made.
Snakemake starts jobs with `sys.executable`; here that is a small program, which hands the job to a second process that
waits with PyTorch and the like imported. matplotlib is not: what it reads when it is imported is tested.
"""

import atexit
import json
import os
import runpy
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path

#: What is asked to start Python. It becomes a true one for all but jobs' scripts in a common environment.
PYTHON = """#!{python} -IS
import json, os, socket, sys
environment = dict(os.environ)
ours = [name for name in environment if name.startswith("PYTHON") and name not in {common}]
if ours or len(sys.argv) != 2 or "/.snakemake/scripts/" not in sys.argv[1]:
    os.execv({python!r}, [{python!r}, *sys.argv[1:]])
call = json.dumps([sys.argv[1], os.getcwd(), environment, os.getpgid(0)]).encode()
with socket.socket(socket.AF_UNIX) as there:
    there.connect({address!r})
    socket.send_fds(there, [len(call).to_bytes(8, "big")], [0, 1, 2])
    there.sendall(call)
    # Without a status it was killed.
    sys.exit(int(there.recv(8) or 137))
"""


class Forking:
    """Calls of Snakemake, as ``python -m snakemake`` in a folder would make them."""

    def __init__(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self._folder = folder  # lives as long as this
        python, address = Path(folder.name) / "python", f"{folder.name}/jobs"
        common = {name for name in os.environ if name.startswith("PYTHON")} | {"PYTHONPATH"}
        python.write_text(PYTHON.format(python=sys.executable, address=address, common=common))
        python.chmod(0o700)
        self._servers = [self._serve("jobs", address), self._serve("snakemake", str(python))]

    def _serve(self, *words: str) -> "subprocess.Popen[str]":
        command = [sys.executable, str(Path(__file__)), *words]
        return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def run(self, arguments: list[str], folder: Path, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
        """Return the finished call with its text output."""
        server = self._servers[1]
        with tempfile.NamedTemporaryFile("r", encoding="utf-8", errors="replace") as output:
            call = {"arguments": arguments, "folder": str(folder), "environment": environment, "output": output.name}
            server.stdin.write(json.dumps(call) + "\n")
            server.stdin.flush()
            return subprocess.CompletedProcess(arguments, int(server.stdout.readline()), output.read())


def serve_snakemake(python: str) -> None:
    """Fork for each call that a line of the standard input describes; write its exit status."""
    from snakemake import cli

    # Loads the plugins.
    cli.get_argument_parser()
    for line in sys.stdin:
        child = os.fork()
        if not child:
            sys.executable = python
            call(cli.main, **json.loads(line))
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)


def call(main, arguments: list[str], folder: str, environment: dict[str, str], output: str) -> None:
    """Become what a new process would be; end with Snakemake's exit."""
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(os.open(output, os.O_WRONLY), 1)
    os.dup2(1, 2)
    become(environment, folder, folder)
    sys.argv[1:] = arguments
    finish(ended_by(main))


def become(environment: dict[str, str], folder: str, first: str) -> None:
    """Have what Python would have, started in a folder with these variables."""
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(folder)
    tempfile.tempdir = None
    others = [path for path in environment.get("PYTHONPATH", "").split(os.pathsep) if path]
    sys.path[:1] = [first, *others]
    for path in others:
        if (own := Path(path) / "sitecustomize.py").is_file():
            exec(compile(own.read_text(), own, "exec"), {"__name__": "sitecustomize"})
            break


def serve_jobs(address: str) -> None:
    """Fork for each script that is sent; ends with the process that started this one."""
    server = socket.socket(socket.AF_UNIX)
    server.bind(address)
    server.listen()
    os.environ |= dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    import nibabel  # noqa: F401
    import nilearn.datasets  # noqa: F401
    import pandas as pd  # noqa: F401
    import pyarrow.parquet  # noqa: F401
    import pydantic  # noqa: F401
    import scipy.ndimage
    import scipy.optimize
    import scipy.stats  # noqa: F401
    import snakemake.script  # noqa: F401
    import torch

    # Loads what the first optimiser of a process loads.
    torch.optim.Adam([torch.zeros(1, requires_grad=True)]).zero_grad()
    threading.Thread(target=lambda: (os.read(0, 1), os._exit(0)), daemon=True).start()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    while True:
        there, _ = server.accept()
        if not os.fork():
            server.close()
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            return run(there)
        there.close()


def run(there: socket.socket) -> None:
    """Become the job that is sent; say how it ended."""
    size, files, _, _ = socket.recv_fds(there, 8, 3)
    script, folder, environment, group = json.loads(there.recv(int.from_bytes(size, "big"), socket.MSG_WAITALL))
    for number, file in enumerate(files):
        os.dup2(file, number)
        os.close(file)
    # Signals to the group reach it.
    os.setpgid(0, group)
    sys.argv[:] = [script]
    sys.orig_argv[1:] = [script]
    status, ended = 1, threading.Event()

    def watch() -> None:
        # Nothing comes: whoever asked has ended.
        if not there.recv(1) and not ended.is_set():
            os.kill(os.getpid(), signal.SIGTERM)

    def tell() -> None:
        ended.set()
        there.sendall(str(status).encode())

    threading.Thread(target=watch, daemon=True).start()
    # Registered first, it runs last.
    atexit.register(tell)
    become(environment, folder, str(Path(script).parent))
    status = ended_by(lambda: runpy.run_path(script, run_name="__main__"))
    finish(status)


def ended_by(main: Callable[[], object]) -> int:
    """Run it; return the status with which Python would end."""
    try:
        main()
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:
        sys.excepthook(*sys.exc_info())
        return 1
    return 0


def finish(status: int) -> None:
    """End as Python does, but without taking apart what it holds.

    That would touch each page of the memory that forks share, and cost more than most jobs.
    """
    threading._shutdown()
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


if __name__ == "__main__":
    {"snakemake": serve_snakemake, "jobs": serve_jobs}[sys.argv[1]](*sys.argv[2:])
