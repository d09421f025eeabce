"""What stands between two who talk HTTP, and has one of them believe what it likes."""

import http.client
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

# Those that say how the bytes of one connection are told apart: each connection has its own.
OF_A_CONNECTION = {"connection", "content-length", "transfer-encoding", "keep-alive"}
SECONDS = 150


class Proxy:
    """Passes on whatever it is asked, at an address of its own."""

    def __init__(self, target=None):
        # HOST:PORT of who answers; nothing is answered without.
        self.target = target
        # Answers in its place: of a path and what is sent there, the body to answer, or nothing to pass the question on. It may wait.
        self.instead = lambda path, body: None
        # What becomes of an answer: of a path, its headers and its body.
        self.alter = lambda path, headers, body: (headers, body)
        self.server = Server(("127.0.0.1", 0), type("Handler", (Handler,), {"proxy": self}))
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def end(self):
        self.server.shutdown()
        self.server.server_close()


class Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_):
        """Somebody has hung up."""


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    proxy = None

    def pass_on(self):
        path, body = self.path, self.rfile.read(int(self.headers.get("content-length", 0)))
        answer = self.proxy.instead(path, body)
        try:
            status, headers, body = (200, [], answer) if answer is not None else self.answer_of_target(body)
        except (OSError, http.client.HTTPException):
            # Whoever asks sees what it would see without us.
            self.close_connection = True
            return
        headers, body = self.proxy.alter(path, headers, body)
        self.send_response_only(status)
        for name, value in headers:
            self.send_header(name, value)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def answer_of_target(self, body):
        if self.proxy.target is None:
            raise OSError("nobody is there")
        connection = http.client.HTTPConnection(self.proxy.target, timeout=SECONDS)
        try:
            headers = {name: value for name, value in self.headers.items() if name.lower() not in OF_A_CONNECTION}
            connection.request(self.command, self.path, body or None, headers)
            answer = connection.getresponse()
            kept = [(name, value) for name, value in answer.getheaders() if name.lower() not in OF_A_CONNECTION]
            return answer.status, kept, answer.read()
        finally:
            connection.close()

    do_GET = do_POST = pass_on

    def log_message(self, *_):
        """What goes wrong is seen by those who talk."""
