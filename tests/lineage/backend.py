"""What events are delivered to."""

import http.server
import json
import threading
import time
from collections.abc import Callable
from typing import Any

Answer = Callable[[dict[str, Any]], int]


class Backend:
    """A real HTTP server on the loopback. `answer` decides the status of each event; it can be stopped and started."""

    def __init__(self) -> None:
        self.taken: list[dict[str, Any]] = []
        self.bodies: list[bytes] = []
        self.asked = 0
        self.paths: set[str] = set()
        self.answer: Answer = lambda _event: 200
        self.seconds = 0.0
        self._server: http.server.ThreadingHTTPServer | None = None
        self.port = 0
        self.start()

    def start(self) -> None:
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                event = json.loads(body)
                outer.asked += 1
                outer.paths.add(self.path)
                time.sleep(outer.seconds)
                status = outer.answer(event)
                if status == 200:
                    outer.taken.append(event)
                    outer.bodies.append(body)
                self.send_response(status)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, format: str, *args: Any) -> None:
                del format, args

        class Server(http.server.ThreadingHTTPServer):
            def handle_error(self, request: Any, client_address: Any) -> None:
                del request, client_address  # clients that give up or are killed are what this is about

        self._server = Server(("127.0.0.1", self.port), Handler)
        self.port = self._server.server_port
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()

    def stop(self) -> None:
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def order(self) -> list[tuple[str, str]]:
        return [(event["run"]["runId"], event["eventType"]) for event in self.taken]
