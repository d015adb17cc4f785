"""A web server on this machine for one test: what it is told to answer, and whom it was asked by."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

Answer = Callable[[BaseHTTPRequestHandler], None]


@dataclass
class FileServer:
    """Answers by path; ``asked`` are the paths that were asked for."""

    port: int = 0
    answers: dict[str, Answer] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self.port}/{path}"

    def file(self, path: str, data: bytes, announced: int | None = None, length: bool = True) -> str:
        """Serve bytes; ``announced`` is a Content-Length that is not theirs."""

        def answer(request: BaseHTTPRequestHandler) -> None:
            request.send_response(200)
            if length:
                request.send_header("Content-Length", str(len(data) if announced is None else announced))
            request.end_headers()
            request.wfile.write(data)

        self.answers[f"/{path}"] = answer
        return self.url(path)

    def redirect(self, path: str, to: str) -> str:
        def answer(request: BaseHTTPRequestHandler) -> None:
            request.send_response(302)
            request.send_header("Location", to)
            request.send_header("Content-Length", "0")
            request.end_headers()

        self.answers[f"/{path}"] = answer
        return self.url(path)


@contextmanager
def serving() -> Iterator[FileServer]:
    """A server that is gone afterwards."""
    files = FileServer()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            files.asked.append(self.path)
            answer = files.answers.get(self.path.partition("?")[0])
            if answer is None:
                self.send_error(404)
            else:
                answer(self)

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    files.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield files
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
