"""The way out to URLs that customers set: only to the public internet, or where an operator allows;
the address that was judged is the one that is dialled."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
import ssl
from collections.abc import Awaitable, Callable, Mapping, Sequence, Set
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import NamedTuple

import aiohttp
import yarl
from aiohappyeyeballs import AddrInfoType
from aiohttp.abc import AbstractResolver, ResolveResult

from shared.rules import destinations
from shared.rules.destinations import HostPort

ANSWER_BYTES_MAX = 64 * 1024
DEADLINE_SECONDS = 15.0
"""For all of a request: name, connection, TLS, answer."""
READ_SECONDS = 1.0
"""How long an answer is read whose status has come: it tells nothing, but lets the connection be
used again."""
CONNECT_SECONDS = 5.0
KEEP_SECONDS = 4.0
"""Short, lest the other side close a kept connection under a request."""
LOOK_UP_THREADS = 32

Allowed = Callable[[], Set[HostPort]]
LookUp = Callable[[str, int], Awaitable[Sequence[str]]]
"""The addresses of a name, for a port. Raises OSError."""


class NotAllowed(OSError):
    """The URL leads where no request may go; the text says why and is for who set it."""


class NoStatus(Exception):
    """No status came. `why` is one of a few words: see `_WHYS`."""

    def __init__(self, why: str) -> None:
        super().__init__(why)
        self.why = why


class ShortAnswer(NamedTuple):
    """What is heeded of an answer; nothing of its body is kept."""

    status: int
    retry_after: str


_WHYS = (
    (aiohttp.ClientConnectorDNSError, "name_not_found"),
    (aiohttp.ClientSSLError, "tls_failed"),
    (ssl.SSLError, "tls_failed"),
    (TimeoutError, "too_slow"),
    (aiohttp.ClientConnectorError, "not_reached"),
    (aiohttp.ServerDisconnectedError, "cut_off"),
    (aiohttp.ClientOSError, "cut_off"),
    (aiohttp.ClientError, "not_understood"),
    (OSError, "not_reached"),
)


class GuardedResolver(AbstractResolver):
    """Names become addresses that may be dialled, or NotAllowed: one address that is not public
    among several spoils them all, for who sends them means no good."""

    def __init__(self, allowed: Allowed, look_up: LookUp) -> None:
        self._allowed = allowed
        self._look_up = look_up
        self._vouched: set[tuple[str, int]] = set()

    async def resolve(
        self,
        host: str,
        port: int = 0,
        family: socket.AddressFamily = socket.AF_UNSPEC,  # noqa: ARG002 - aiohttp's name
    ) -> list[ResolveResult]:
        """What the connector asks for each connection that it opens."""
        texts = await self._look_up(host, port)
        addresses = [ipaddress.ip_address(text) for text in texts]
        if not addresses:
            raise OSError("the name has no address")
        if HostPort(host, port) in self._allowed():
            self._vouched.update((str(address), port) for address in addresses)
        elif not all(map(destinations.is_public, addresses)):
            raise NotAllowed("the name leads to an address that is not a public one")
        return [_found(host, port, address) for address in addresses]

    def open_socket(self, info: AddrInfoType) -> socket.socket:
        """The last wall: a socket for the address that is about to be dialled, whoever named it."""
        family, kind, protocol, _, target = info
        host, port = str(target[0]), int(target[1])
        address = ipaddress.ip_address(host)
        if (
            not destinations.is_public(address)
            and (host, port) not in self._vouched
            and HostPort(host, port) not in self._allowed()
        ):
            raise NotAllowed("the address is not a public one")
        return socket.socket(family, kind, protocol)

    async def close(self) -> None:
        """Nothing is held."""


def _found(host: str, port: int, address: destinations.Address) -> ResolveResult:
    family = socket.AF_INET if address.version == 4 else socket.AF_INET6
    return ResolveResult(
        hostname=host,
        host=str(address),
        port=port,
        family=family,
        proto=0,
        flags=socket.AI_NUMERICHOST | socket.AI_NUMERICSERV,
    )


class GuardedClient:
    """Requests to customers' URLs: no redirects, no proxies, no cookies, no compression, one
    deadline for all of it. To be closed."""

    def __init__(
        self,
        allowed: Allowed,
        *,
        look_up: LookUp | None = None,
        ports: Set[int] = destinations.PORTS,
        deadline_seconds: float = DEADLINE_SECONDS,
        trust: ssl.SSLContext | None = None,
    ) -> None:
        """`look_up` asks the system unless it is given; `trust` are the system's authorities unless
        it is given. Call it inside the event loop."""
        self._allowed = allowed
        self._ports = ports
        self._threads = ThreadPoolExecutor(LOOK_UP_THREADS, "look-up")
        resolver = GuardedResolver(allowed, look_up or _LookUps(self._threads).ask)
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(
                resolver=resolver,
                use_dns_cache=False,
                socket_factory=resolver.open_socket,
                keepalive_timeout=KEEP_SECONDS,
                limit=0,
                ssl=True if trust is None else trust,
            ),
            timeout=aiohttp.ClientTimeout(
                total=deadline_seconds, sock_connect=min(CONNECT_SECONDS, deadline_seconds)
            ),
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            trust_env=False,
        )

    def check(self, url: str) -> yarl.URL:
        """The URL as it will be asked. Raises NotAllowed."""
        return check(url, self._allowed(), self._ports)

    async def post(self, url: str, headers: Mapping[str, str], body: bytes) -> ShortAnswer:
        """Ask once. Raises NotAllowed or NoStatus."""
        target = self.check(url)
        try:
            async with self._session.post(
                target,
                headers={**headers, "Accept-Encoding": "identity"},
                data=body,
                allow_redirects=False,
            ) as response:
                answer = ShortAnswer(response.status, response.headers.get("Retry-After", ""))
                await _drop_body(response)
                return answer
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            if isinstance(refused := _cause(error), NotAllowed):
                raise NotAllowed(str(refused)) from None
            # The kind alone: the words of some of these quote the URL.
            why = next((word for kind, word in _WHYS if isinstance(error, kind)), "not_understood")
            raise NoStatus(why) from None

    async def close(self) -> None:
        """End every connection."""
        await self._session.close()
        self._threads.shutdown(wait=False, cancel_futures=True)


def _cause(error: BaseException) -> BaseException | None:
    """What the connector has wrapped."""
    return error.os_error if isinstance(error, aiohttp.ClientConnectorError) else error


async def _drop_body(response: aiohttp.ClientResponse) -> None:
    """Read a short body to its end, so that the connection may be kept; a long or slow one ends
    with its connection."""
    read_count = 0
    try:
        async with asyncio.timeout(READ_SECONDS):
            async for chunk in response.content.iter_any():
                read_count += len(chunk)
                if read_count > ANSWER_BYTES_MAX:
                    break
            else:
                return
    except (aiohttp.ClientError, TimeoutError, OSError):
        pass
    response.close()


def check(
    url: str, allowed: Set[HostPort] = frozenset(), ports: Set[int] = destinations.PORTS
) -> yarl.URL:
    """A URL that may be followed as far as it tells by itself, in the form in which it is asked.
    Raises NotAllowed with a sentence for who set it."""
    if len(url) > destinations.URL_LENGTH_MAX:
        raise NotAllowed(f"the URL is longer than {destinations.URL_LENGTH_MAX} characters")
    if not all("!" <= character <= "~" for character in url) or "\\" in url:
        raise NotAllowed("the URL has characters that are to be percent-encoded")
    try:
        target = yarl.URL(url)
        host, port = target.host, target.port
    except ValueError:
        raise NotAllowed("this is not a URL") from None
    if not target.absolute or not host or port is None:
        raise NotAllowed("this is not a URL with a host")
    if target.user is not None or target.password is not None:
        raise NotAllowed("the URL has a user or a password")
    if target.raw_fragment:
        raise NotAllowed("the URL has a fragment")
    place = HostPort(host.lower(), port)
    if (why := destinations.refusal(target.scheme, place, allowed, ports)) is not None:
        raise NotAllowed(why)
    return target


class _LookUps:
    """The system's resolver, in threads of its own; each name is asked for by one of them at a
    time, so that a name whose server is silent holds up no others."""

    def __init__(self, threads: ThreadPoolExecutor) -> None:
        self._threads = threads
        self._running: dict[tuple[str, int], asyncio.Future[list[str]]] = {}

    async def ask(self, host: str, port: int) -> Sequence[str]:
        running = self._running.get((host, port))
        if running is None:
            loop = asyncio.get_running_loop()
            running = loop.run_in_executor(self._threads, partial(_addresses, host, port))
            self._running[host, port] = running
            running.add_done_callback(partial(self._forget, (host, port)))
        return await asyncio.shield(running)

    def _forget(self, key: tuple[str, int], done: asyncio.Future[list[str]]) -> None:
        del self._running[key]
        if not done.cancelled():
            done.exception()  # Nobody may be waiting for it any more.


def _addresses(host: str, port: int) -> list[str]:
    infos = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_ADDRCONFIG)
    return list(dict.fromkeys(str(info[4][0]) for info in infos))
