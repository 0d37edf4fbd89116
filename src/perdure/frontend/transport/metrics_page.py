"""The page that Prometheus reads. The standard library's HTTP server serves it on a thread of its own.

On that thread the page is served even while the event loop is busy, which is when operators need it.
"""

import socket
import threading
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from perdure.metrics.exposition import CONTENT_TYPE, text
from perdure.metrics.registry import Registry


class MetricsPage:
    def __init__(self, metrics: Registry, ip: str, port: int) -> None:
        """Listen. Raises `OSError`."""

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                if self.path.partition("?")[0] != "/metrics":
                    self.send_error(HTTPStatus.NOT_FOUND)
                    return
                body = text(metrics).encode()
                self.send_response(HTTPStatus.OK)
                self.send_header("Content-Type", CONTENT_TYPE)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: object) -> None:
                """Log nothing: Prometheus reads the page every few seconds."""

        class Listener(ThreadingHTTPServer):
            address_family = socket.AF_INET6 if ":" in ip else socket.AF_INET

        self._server = Listener((ip, port), Handler)
        self._server.daemon_threads = True
        self.address: tuple[str, int] = (ip, self._server.server_address[1])
        self._thread = threading.Thread(
            target=self._server.serve_forever, name="perdure-metrics", daemon=True
        )
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
