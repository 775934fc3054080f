"""Something that answers HTTP with what it was told to, and counts who asks."""

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class Listening:
    """Something that answers HTTP and counts who asks."""

    def __init__(self, address: str, *, port: int = 0, said: tuple[int, bytes] = (200, b"{}")) -> None:
        self.asked = 0
        listening = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                listening.asked += 1
                self.rfile.read(int(self.headers["content-length"]))
                self.send_response(said[0])
                self.send_header("content-length", str(len(said[1])))
                self.end_headers()
                self.wfile.write(said[1])

            def log_message(self, *args: Any) -> None:
                pass

        self._server = ThreadingHTTPServer((address, port), Handler)
        self.address, self.port = address, self._server.server_port

    def __enter__(self) -> "Listening":
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
