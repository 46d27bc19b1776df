"""A server of made-up files that nilearn's downloads are sent to, whatever address they ask for."""

import re
import threading
from collections import Counter
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

import requests

#: For a process of its own: Python runs it before all else (`sitecustomize`).
REDIRECT = """
import requests.adapters
from urllib.parse import urlsplit

def redirect(send, base="{base}"):
    def sent(self, request, *arguments, **named):
        if not request.url.startswith(base):
            parts = urlsplit(request.url)
            request.url = base + "/" + parts.netloc + parts.path
        return send(self, request, *arguments, **named)
    return sent

requests.adapters.HTTPAdapter.send = redirect(requests.adapters.HTTPAdapter.send)
"""


class Server(ThreadingHTTPServer):
    """Serves `files`, by host and path, in parts where asked to; what is asked for and sent is counted.

    An address's host is its first folder here. As OSF's do, addresses in `moved` answer with another one.
    """

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server_port}"
        self.files: dict[str, bytes] = {}
        self.moved: dict[str, str] = {}
        self.requests: Counter = Counter()
        #: Path -> bytes that were sent of it.
        self.sent: Counter = Counter()
        #: Path -> what goes wrong with the next requests of it: a status, or bytes after which the connection ends.
        self.faults: dict[str, list] = {}
        #: Path -> bytes after which its first answer waits for `go_on`.
        self.stalls: dict[str, int] = {}
        self.stalled, self.go_on = threading.Event(), threading.Event()
        self.ranges = True
        self.lock = threading.Lock()

    def __enter__(self):
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        return super().__enter__()

    def __exit__(self, *error):
        self.shutdown()
        super().__exit__(*error)

    def redirect(self, monkeypatch):
        """Send this process's requests here."""
        monkeypatch.setenv("no_proxy", "127.0.0.1")
        monkeypatch.setattr(requests.adapters.HTTPAdapter, "send", requests.adapters.HTTPAdapter.send)
        exec(REDIRECT.format(base=self.url), {})

    def redirected(self, folder):
        """Return environment variables with which other processes' requests come here."""
        folder.mkdir(exist_ok=True)
        (folder / "sitecustomize.py").write_text(REDIRECT.format(base=self.url))
        return {"PYTHONPATH": str(folder), "no_proxy": "127.0.0.1"}

    def content(self, path):
        return self.files.get(path)


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_GET(self):
        server, path = self.server, urlsplit(self.path).path.removeprefix("/")
        with server.lock:
            server.requests[path] += 1
            fault = server.faults[path].pop(0) if server.faults.get(path) else None
        content = server.content(path)
        if path in server.moved:
            self.answer(302, b"", {"Location": f"{server.url}/{server.moved[path]}"})
        elif isinstance(fault, str) or content is None:
            self.answer(int(fault or 404), b"none")
        else:
            asked = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", "")) if server.ranges else None
            start = int(asked[1]) if asked else 0
            if start >= len(content) > 0:
                self.answer(416, b"")
                return
            span = {"Content-Range": f"bytes {start}-{len(content) - 1}/{len(content)}"} if asked else {}
            self.answer(206 if asked else 200, content[start:], span, fault, path)

    def answer(self, status, body, headers=(), stop=None, path=None):
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **dict(headers)}.items():
            self.send_header(name, value)
        self.end_headers()
        body = body[:stop]
        pause = self.server.stalls.pop(path, 0)
        if pause:
            self.write(path, body[:pause])
            self.server.stalled.set()
            self.server.go_on.wait(60)
        self.write(path, body[pause:])
        if stop is not None:
            self.close_connection = True

    def write(self, path, piece):
        # Counted first: whoever has the piece finds it counted. Of a refusal the status alone is waited for.
        if path is not None:
            with self.server.lock:
                self.server.sent[path] += len(piece)
        self.wfile.write(piece)

    def handle(self):
        # The other side may be killed.
        with suppress(OSError):
            super().handle()

    def log_message(self, *arguments):
        pass
