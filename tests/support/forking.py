"""Snakemake in a process that has imported it: each call forks that one, which spares most of what a call costs.

What is forked has nothing of the project in it: the workflow's own code is imported anew from where the call is made.
"""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path


class Forking:
    """Calls of Snakemake, as ``python -m snakemake`` in a folder would make them."""

    def __init__(self) -> None:
        command = [sys.executable, str(Path(__file__)), "serve"]
        self._server = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def run(self, arguments: list[str], folder: Path, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
        """Return the finished call with its text output."""
        with tempfile.NamedTemporaryFile("r", encoding="utf-8", errors="replace") as output:
            call = {"arguments": arguments, "folder": str(folder), "environment": environment, "output": output.name}
            self._server.stdin.write(json.dumps(call) + "\n")
            self._server.stdin.flush()
            return subprocess.CompletedProcess(arguments, int(self._server.stdout.readline()), output.read())


def serve() -> None:
    """Fork for each call that a line of the standard input describes; write its exit status."""
    from snakemake import cli

    # Loads the plugins.
    cli.get_argument_parser()
    for line in sys.stdin:
        child = os.fork()
        if not child:
            call(cli.main, **json.loads(line))
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)


def call(main, arguments: list[str], folder: str, environment: dict[str, str], output: str) -> None:
    """Become what a new process would be; end with Snakemake's exit."""
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(os.open(output, os.O_WRONLY), 1)
    os.dup2(1, 2)
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(folder)
    sys.path[0] = folder
    sys.argv[1:] = arguments
    tempfile.tempdir = None
    main()


if __name__ == "__main__":
    serve()
