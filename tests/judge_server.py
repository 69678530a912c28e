"""A chat API on a thread of its own, that answers as a test tells it to, well or badly."""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


def words(body: dict[str, Any]) -> str:
    """The last message's, without its pictures."""
    content = body["messages"][-1]["content"]
    return content if isinstance(content, str) else " ".join(part.get("text", "") for part in content).strip()


class Told:
    """One request, and the ways to answer it.

    Attributes:
        text: the last message's
        number: which request for this text it is, from 0
    """

    def __init__(self, handler: BaseHTTPRequestHandler, body: dict[str, Any], number: int) -> None:
        self.handler, self.body, self.number = handler, body, number
        self.text = words(body)

    def say(
        self, text: str | None, prompt_tokens: int = 100, completion_tokens: int = 10, finish: str = "stop"
    ) -> None:
        self.send(200, self.completion(text, prompt_tokens, completion_tokens, finish))

    @staticmethod
    def completion(
        text: str | None, prompt_tokens: int = 100, completion_tokens: int = 10, finish: str = "stop"
    ) -> dict[str, Any]:
        """As a chat model's server has it."""
        message = {"role": "assistant", "content": text}
        return {
            "model": "judge-0613", "choices": [{"message": message, "finish_reason": finish}],
            "usage": {"prompt_tokens": prompt_tokens, "completion_tokens": completion_tokens},
        }  # fmt: skip

    def fail(
        self, status: int, message: str = "", headers: dict[str, str] | None = None, **error: str
    ) -> None:
        self.send(status, {"error": {"message": message, **error}}, headers)

    def send(self, status: int, body: Any, headers: dict[str, str] | None = None, cut: int = 0) -> None:
        """The last `cut` bytes are announced and never come."""
        data = body.encode() if isinstance(body, str) else json.dumps(body).encode()
        self.handler.send_response(status)
        for name, value in {"Content-Length": str(len(data)), **(headers or {})}.items():
            self.handler.send_header(name, value)
        self.handler.end_headers()
        self.handler.wfile.write(data[: len(data) - cut])
        if cut:
            self.handler.close_connection = True


class JudgeServer:
    """
    Attributes:
        url: with "/v1"
        asked: the text of each request, in the order in which they came
        bodies, keys: what else came with them
        most: requests that were there at the same time
    """

    def __init__(self, answer: Callable[[Told], None]) -> None:
        self.answer = answer
        self.asked: list[str] = []
        self.bodies: list[dict[str, Any]] = []
        self.keys: list[str | None] = []
        self.most = self._here = 0
        self._lock = threading.Lock()
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                text = words(body)
                with server._lock:
                    number = server.asked.count(text)
                    server.asked.append(text)
                    server.bodies.append(body)
                    server.keys.append(self.headers.get("Authorization"))
                    server._here += 1
                    server.most = max(server.most, server._here)
                try:
                    if self.path == "/v1/chat/completions":
                        server.answer(Told(self, body, number))
                    else:
                        self.send_error(404)
                except (BrokenPipeError, ConnectionResetError):
                    pass  # the other side has given up waiting
                finally:
                    with server._lock:
                        server._here -= 1

            def log_message(self, *args: Any) -> None:
                pass

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._http.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._http.server_address[1]}/v1"


@contextmanager
def judge_server(answer: Callable[[Told], None]) -> Iterator[JudgeServer]:
    server = JudgeServer(answer)
    thread = threading.Thread(target=server._http.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server._http.shutdown()
        server._http.server_close()
        thread.join()
