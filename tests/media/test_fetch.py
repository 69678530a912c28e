"""Pictures from the web, against a real server on this machine."""

import asyncio
import io
import socket
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from PIL import Image

from llavakit.errors import MediaError
from llavakit.media import Limits, fetch, open_image
from llavakit.media.fetch import is_global

PUBLIC = Limits(public_only=True, timeout=5)


def _png() -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (40, 30), "red").save(file, "PNG")
    return file.getvalue()


class _Site(BaseHTTPRequestHandler):
    """One path for each way in which a server may behave."""

    def do_GET(self) -> None:
        self.server.asked.append((self.path, self.headers["Host"]))
        name, _, argument = self.path[1:].partition("?")
        getattr(self, f"_{name}")(argument)

    def _answer(self, body: bytes, status: int = 200, **headers: str) -> None:
        self.send_response(status)
        for header, value in ({"Content_Length": str(len(body))} | headers).items():
            self.send_header(header.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(body)

    def _picture(self, _: str) -> None:
        self._answer(_png())

    def _page(self, _: str) -> None:
        self._answer(b"<!DOCTYPE html><html><body>Not here</body></html>", Content_Type="text/html")

    def _missing(self, _: str) -> None:
        self._answer(b"gone", status=404)

    def _to(self, where: str) -> None:
        self._answer(b"", status=302, Location=where)

    def _loop(self, _: str) -> None:
        self._answer(b"", status=301, Location="/loop")

    def _declared(self, size: str) -> None:
        self._answer(b"", Content_Length=size)

    def _endless(self, _: str) -> None:
        self.send_response(200)
        self.end_headers()
        for _ in range(1000):
            self.wfile.write(b"x" * 65536)

    def _drip(self, _: str) -> None:
        self.send_response(200)
        self.end_headers()
        for _ in range(200):
            self.wfile.write(b"x")
            self.wfile.flush()
            time.sleep(0.05)

    def _drip_headers(self, _: str) -> None:
        self.wfile.write(b"HTTP/1.0 200 OK\r\nX: ")
        for _ in range(200):
            self.wfile.write(b"x")
            self.wfile.flush()
            time.sleep(0.05)

    def _silent(self, _: str) -> None:
        time.sleep(3)

    def _short(self, _: str) -> None:
        self._answer(_png(), Content_Length="100000")

    def _encoding(self, _: str) -> None:
        self._answer(_png() if self.headers["Accept-Encoding"] == "identity" else b"?")

    def log_message(self, *_: object) -> None:
        """Nothing on standard error."""


class _Server(ThreadingHTTPServer):
    def handle_error(self, *_: object) -> None:
        """A client that hangs up early is what these tests are about."""


@pytest.fixture(scope="module")
def server() -> Iterator[_Server]:
    with _Server(("127.0.0.1", 0), _Site) as server:
        server.asked = []
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        yield server
        server.shutdown()


@pytest.fixture
def site(server, monkeypatch) -> str:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    server.asked.clear()
    return f"http://127.0.0.1:{server.server_port}"


def test_a_picture_is_fetched_and_redirects_are_followed(site):
    for path in ("/picture", "/to?/picture", f"/to?{site}/to?/picture", "/encoding"):
        assert open_image(site + path).size == (40, 30)
    assert open_image(f"HTTP{site[4:]}/picture").size == (40, 30)


def test_a_picture_is_fetched_where_an_event_loop_runs_already(site):
    async def cell() -> Image.Image:
        return open_image(site + "/picture")

    assert asyncio.run(cell()).size == (40, 30)


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("/missing", "the server answered 404 Not Found"),
        ("/page", "a web page"),
        ("/loop", "redirects more than 5 times"),
        ("/to?file:///etc/hostname", "leads to a file address"),
        ("/to?ftp://example.com/x.png", "leads to a ftp address"),
        ("/to?data:image/png;base64,AAAA", "leads to a data address"),
        ("/to?http://[::1", "not a valid web address"),
        ("/to?http://a:b:c/", "not a valid web address"),
        ("/declared?99999999", "larger than the 1 MiB allowed"),
        ("/declared?-1", "the connection failed"),
        ("/endless", "larger than the 1 MiB allowed"),
        ("/short", "the connection failed"),
        ("/declared?0", "empty"),
    ],
)
def test_what_the_server_does_wrong_is_said_in_one_sentence(site, path, words):
    with pytest.raises(MediaError) as error:
        open_image(site + path, Limits(max_bytes=2**20))
    assert str(error.value).startswith(site + path)
    assert words in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("path", ["/drip", "/drip_headers", "/silent", "/to?/drip"])
def test_the_time_limit_holds_for_the_whole_of_a_fetch(site, path):
    start = time.monotonic()
    with pytest.raises(MediaError, match=r"did not arrive within 0\.4 s"):
        open_image(site + path, Limits(timeout=0.4))
    assert time.monotonic() - start < 2


@pytest.mark.parametrize(
    "url",
    [
        "http://",
        "http:///x.png",
        "http://[::1",
        "http://exa mple.com/",
        "http://example.com:99999/",
        "http://" + "a" * 70 + ".example/",
        "http://nothing.invalid/x.png",
        "http://127.0.0.1:9/x.png",
    ],
)
def test_an_address_that_leads_nowhere_is_a_media_error(url):
    with pytest.raises(MediaError, match=r"web address|connection failed|nameless|only http"):
        open_image(url, Limits(timeout=5))


# Public addresses only


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "localhost",
        "127.1",
        "2130706433",
        "0x7f000001",
        "0177.0.0.1",
        "0.0.0.0",
        "127.0.0.1.",
        "[::1]",
        "[::]",
        "[::ffff:127.0.0.1]",
        "[::ffff:7f00:1]",
        "[0:0:0:0:0:0:0:1]",
        "[64:ff9b::7f00:1]",
        "10.0.0.1",
        "192.168.1.1",
        "172.16.0.1",
        "169.254.169.254",
        "100.64.0.1",
        "224.0.0.1",
        "[fe80::1]",
    ],
)
def test_a_host_that_is_not_public_is_never_asked(host, site, server):
    with pytest.raises(MediaError, match=r"not a public host|not a valid web address|connection failed"):
        open_image(f"http://{host}:{server.server_port}/picture", PUBLIC)
    assert server.asked == []


def test_a_redirect_to_a_host_that_is_not_public_is_not_followed(site, server, monkeypatch):
    """This machine plays the public host under one name, itself under the other."""
    _resolve(monkeypatch, {"public.test": ["127.0.0.1"], "private.test": ["10.0.0.1"]})
    monkeypatch.setattr(fetch, "is_global", lambda address: address == "127.0.0.1")
    for target in ("http://private.test/x", "http://10.0.0.1/x", "http://[::1]/x"):
        with pytest.raises(MediaError, match="is not a public host"):
            open_image(f"http://public.test:{server.server_port}/to?{target}", PUBLIC)
    assert len(server.asked) == 3


def test_a_host_with_one_address_that_is_not_public_is_refused(monkeypatch):
    _resolve(monkeypatch, {"mixed.test": ["8.8.8.8", "127.0.0.1"]})
    with pytest.raises(MediaError, match=r"mixed\.test is not a public host"):
        open_image("http://mixed.test/x", PUBLIC)


def test_the_connection_goes_to_the_address_that_was_checked(site, server, monkeypatch):
    """A name that changes its address after the check (DNS rebinding) gains nothing by it."""
    looked_up = _resolve(monkeypatch, {"public.test": ["127.0.0.1"]}, once=True)
    monkeypatch.setattr(fetch, "is_global", lambda address: True)
    assert open_image(f"http://public.test:{server.server_port}/picture", PUBLIC).size == (40, 30)
    assert looked_up == ["public.test"]
    assert server.asked == [("/picture", f"public.test:{server.server_port}")]


def test_a_proxy_of_the_environment_is_not_used_for_public_addresses(site, server, monkeypatch):
    """The proxy would look the name up by itself."""
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    _resolve(monkeypatch, {"public.test": ["127.0.0.1"]})
    monkeypatch.setattr(fetch, "is_global", lambda address: True)
    assert open_image(f"http://public.test:{server.server_port}/picture", PUBLIC).size == (40, 30)


def _resolve(monkeypatch, names: dict[str, list[str]], once: bool = False) -> list[str]:
    """Lets `names` resolve (`once`: elsewhere from the second time on); returns what is looked up."""
    real, asked = socket.getaddrinfo, []

    def getaddrinfo(host, port, *args, **kwargs):
        if host not in names:
            return real(host, port, *args, **kwargs)
        addresses = ["10.0.0.1"] if once and host in asked else names[host]
        asked.append(host)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port or 0)) for address in addresses]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    return asked


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("8.8.8.8", True),
        ("1.1.1.1", True),
        ("2606:4700:4700::1111", True),
        ("64:ff9b::808:808", True),
        ("::ffff:8.8.8.8", True),
        ("2002:808:808::1", True),
        ("127.0.0.1", False),
        ("127.255.255.254", False),
        ("0.0.0.0", False),
        ("10.1.2.3", False),
        ("172.31.0.1", False),
        ("192.168.0.1", False),
        ("169.254.169.254", False),
        ("100.64.0.1", False),
        ("198.18.0.1", False),
        ("192.0.2.1", False),
        ("240.0.0.1", False),
        ("255.255.255.255", False),
        ("224.0.0.1", False),
        ("239.1.2.3", False),
        ("::", False),
        ("::1", False),
        ("::7f00:1", False),
        ("::ffff:127.0.0.1", False),
        ("fe80::1", False),
        ("fe80::1%eth0", False),
        ("fc00::1", False),
        ("fd12::1", False),
        ("ff02::1", False),
        ("ff0e::1", False),
        ("2001:db8::1", False),
        ("2001::1", False),
        ("2002:7f00:1::", False),
        ("2002:a00:1::", False),
        ("64:ff9b::7f00:1", False),
        ("64:ff9b::a00:1", False),
        ("64:ff9b:1::1", False),
        ("fec0::1", False),
        ("::ffff:0:127.0.0.1", False),
        ("100::1", False),
        ("4000::1", False),
    ],
)
def test_only_addresses_that_everyone_can_reach_are_global(address, expected):
    assert is_global(address) is expected
