"""A web address to bytes, within limits of size, time and (for servers) of where it may lead.

Knows nothing of pictures. Its errors say what went wrong; the caller knows whose address it was.
"""

import asyncio
import ipaddress
import socket
from concurrent.futures import ThreadPoolExecutor

import httpx2

from llavakit.errors import MediaError

MAX_REDIRECTS = 5

_HEADERS = {
    "User-Agent": "llavakit (+https://github.com/llavakit/llavakit)",
    "Accept": "image/*",
    "Accept-Encoding": "identity",  # a compressed answer could unpack to more than the size limit
}
_NAT64 = ipaddress.ip_network("64:ff9b::/96")  # RFC 6052: the last four bytes are an IPv4 address


def fetch(url: str, *, max_bytes: int, timeout: float, public_only: bool) -> bytes:
    """The body found at an http or https `url`, redirects followed and each one checked.

    `timeout` (seconds) bounds everything from the first connection to the last byte; a look-up of
    a name may outlast it by the system resolver's own limit. With `public_only` a host must have
    global addresses only, the connection goes to the very address that was checked (a second
    look-up could answer differently), and proxies of the environment are not used.

    Raises `MediaError`, without the address in its message.
    """
    # A thread of its own: the caller's may already run an event loop, as in a notebook.
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(asyncio.run, _within(url, max_bytes, timeout, public_only)).result()


async def _within(url: str, max_bytes: int, timeout: float, public_only: bool) -> bytes:
    try:
        async with asyncio.timeout(timeout):
            return await _follow(url, max_bytes, public_only)
    except TimeoutError as error:
        raise MediaError(
            f"the picture did not arrive within {timeout:g} s; try again, or download it and give the file"
        ) from error
    except (httpx2.InvalidURL, ValueError) as error:  # ValueError: a host that cannot be written or looked up
        raise MediaError(f"not a valid web address ({error})") from error
    except (httpx2.HTTPError, OSError) as error:
        raise MediaError(
            f"the connection failed ({error or type(error).__name__}); check the address and the network"
        ) from error


async def _follow(url: str, max_bytes: int, public_only: bool) -> bytes:
    here = httpx2.URL(url)
    async with httpx2.AsyncClient(
        headers=_HEADERS,
        timeout=None,  # the whole journey has one
        trust_env=not public_only,
        # No connection is used twice: with `public_only` it was verified for one name, not one address.
        limits=httpx2.Limits(max_keepalive_connections=0),
    ) as client:
        for _ in range(MAX_REDIRECTS + 1):
            if here.scheme not in ("http", "https") or not here.host:
                raise MediaError(
                    f"leads to a {here.scheme or 'nameless'} address; only http and https are fetched"
                )
            target = await _pinned(here) if public_only else here
            host = {"Host": here.netloc.decode("ascii")}
            name = {"sni_hostname": here.raw_host.decode("ascii")}  # the one TLS verifies
            async with client.stream("GET", target, headers=host, extensions=name) as response:
                if response.has_redirect_location:
                    here = here.join(response.headers["Location"])
                    continue
                return await _body(response, max_bytes)
    raise MediaError(f"redirects more than {MAX_REDIRECTS} times; give the final address")


async def _pinned(url: httpx2.URL) -> httpx2.URL:
    """`url` with its host replaced by the address that was looked up and found global."""
    host = url.raw_host.decode("ascii")
    found = await asyncio.get_running_loop().getaddrinfo(host, None, type=socket.SOCK_STREAM)
    addresses = [str(entry[4][0]) for entry in found]
    if not all(map(is_global, addresses)):
        raise MediaError(f"{host} is not a public host, and only public ones are fetched here")
    return url.copy_with(host=addresses[0])


def is_global(address: str) -> bool:
    """Whether an IP address is reachable by everyone: not private, local, reserved or multicast.

    An IPv6 address that carries an IPv4 one (mapped, 6to4, NAT64) is judged by what it carries.
    """
    ip = ipaddress.ip_address(address)
    if isinstance(ip, ipaddress.IPv6Address):
        carried = ip.ipv4_mapped or ip.sixtofour
        if ip in _NAT64:
            carried = ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF)
        if carried is None:
            # 2000::/3 is all that is assigned as global unicast (RFC 4291, IANA registry).
            return ip.is_global and int(ip) >> 125 == 1
        ip = carried
    return ip.is_global and not ip.is_multicast


async def _body(response: httpx2.Response, max_bytes: int) -> bytes:
    if response.status_code != httpx2.codes.OK:
        raise MediaError(
            f"the server answered {response.status_code} {response.reason_phrase}; "
            "check the address in a browser"
        )
    body = bytearray()
    declared = response.headers.get("Content-Length", "0")
    oversize = declared.isdecimal() and int(declared) > max_bytes
    if not oversize:
        async for chunk in response.aiter_raw():
            body += chunk
            if oversize := len(body) > max_bytes:
                break
    if oversize:
        raise MediaError(f"larger than the {max_bytes / 2**20:.3g} MiB allowed; shrink it first")
    return bytes(body)
