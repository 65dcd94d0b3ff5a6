"""A local receiver of notifications and pings: it lives for one `with` block, on 127.0.0.1, and keeps what it was told."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class Receiver:
    """`answers` are given in turn, the last one for ever: a status, "silence" (never answers) or "close"."""

    port: int
    answers: list[int | str]
    told: list[tuple[str, str, bytes]] = field(default_factory=list)  # method, path, body
    over: threading.Event = field(default_factory=threading.Event)

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self.port}"

    @property
    def paths(self) -> list[str]:
        return [path for _, path, _ in self.told]


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that went away is no news."""


@contextmanager
def receiving(*answers: int | str) -> Iterator[Receiver]:
    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

        def _answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            here.told.append((self.command, self.path, body))
            answer = here.answers.pop(0) if len(here.answers) > 1 else here.answers[0]
            if answer == "silence":
                here.over.wait(60)
            elif isinstance(answer, int):
                self.send_response(answer)
                self.send_header("Content-Length", "0")
                self.end_headers()
            self.close_connection = True

        do_GET = do_POST = _answer  # noqa: N815

    server = _Server(("127.0.0.1", 0), Handler)
    here = Receiver(server.server_address[1], list(answers) or [200])
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield here
    finally:
        here.over.set()
        server.shutdown()
        server.server_close()
        thread.join()
