"""An ASGI application of a few pages and of functions that answer a body, with bounds on what a client may use.

A body has a bound in bytes and in time, and so have all incoming bodies together. A client that is refused while still
sending gets the answer at once. The rest of its body is read and dropped for a while, since closing the connection
earlier would lose the answer.
"""

import asyncio
import json
import os
from collections.abc import Awaitable, Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from http import HTTPStatus
from typing import Any
from urllib.parse import parse_qsl

from counterpoise.wording import quoted

Message = Mapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[dict[str, Any]], Awaitable[None]]
Headers = tuple[tuple[bytes, bytes], ...]

JSON, HTML = "application/json", "text/html; charset=utf-8"
SECONDS_FOR_A_BODY = 30.0
SECONDS_TO_STOP = 2.0
"""For bodies that are on their way when the service stops."""
_SECONDS_TO_DROP, _SECONDS_OF_SILENCE = 10.0, 2.0
_BODIES_AT_ONCE = 16
_SMALL = 32_000
"""A body of so few bytes is answered sooner than a thread is woken."""
_CLOSE: Headers = ((b"connection", b"close"),)


@dataclass(frozen=True, slots=True)
class Reply:
    """What a client gets.

    Parameters
    ----------
    status
        Status code of HTTP.
    body
        Bytes of the body.
    kind
        Content type of the body.
    headers
        Further headers.
    """

    status: int
    body: bytes
    kind: str = JSON
    headers: Headers = ()


def refusal(status: HTTPStatus, detail: str, headers: Headers = ()) -> Reply:
    """A reply that says why not, in FastAPI's form, which many clients know.

    Examples
    --------
    >>> refusal(HTTPStatus.NOT_FOUND, "no such page").body
    b'{"detail":"no such page"}'
    """
    return Reply(status, json.dumps({"detail": detail}, separators=(",", ":")).encode(), headers=headers)


class _Refused(Exception):  # noqa: N818
    """A body that is not read to its end; more of it may come."""

    def __init__(self, reply: Reply, *, more: bool = True) -> None:
        super().__init__(reply)
        self.reply, self.more = reply, more


class _Gone(Exception):  # noqa: N818
    """The client left before its body had arrived."""


class Service:
    """The application: call it as ASGI servers do.

    Parameters
    ----------
    pages
        Replies to GET, by path.
    posts
        Functions that answer the body of a POST, by path; each is called in one of a few threads, or for a small body
        at once.
    most_bytes
        Largest size of a body; a larger one is refused (413).
    """

    def __init__(
        self, pages: Mapping[str, Reply], posts: Mapping[str, Callable[[bytearray], Reply]], *, most_bytes: int
    ) -> None:
        self._pages, self._posts, self._most = pages, posts, most_bytes
        self._held = 0
        self._waiting: set[asyncio.Timeout] = set()
        self._stopping = False
        self._workers = ThreadPoolExecutor(os.cpu_count() or 1)

    async def __call__(self, scope: Mapping[str, Any], receive: Receive, send: Send) -> None:
        """Answer one request, or follow the server's start and stop."""
        if scope["type"] == "lifespan":
            await _follow(receive, send)
        elif scope["type"] == "http":
            path = scope["path"].removeprefix(scope.get("root_path", ""))
            answer = self._posts.get(path) if scope["method"] == "POST" else None
            if answer is None:
                await _send(send, self._page(path, scope["method"]))
            else:
                query = scope.get("query_string", b"")
                await self._post(dict(scope["headers"]), receive, send, answer, query)

    def stop(self) -> None:
        """Give the bodies that are on their way a few seconds more."""
        self._stopping = True
        soon = asyncio.get_running_loop().time() + SECONDS_TO_STOP
        for timeout in self._waiting:
            timeout.reschedule(min(soon, timeout.when() or soon))

    def _page(self, path: str, method: str) -> Reply:
        if path not in self._pages and path not in self._posts:
            return refusal(HTTPStatus.NOT_FOUND, f"no such page; there are {', '.join([*self._pages, *self._posts])}")
        allowed = "POST" if path in self._posts else "GET, HEAD"
        if method not in allowed.split(", "):
            detail = f"{path} takes {allowed}, not {method}"
            return refusal(HTTPStatus.METHOD_NOT_ALLOWED, detail, ((b"allow", allowed.encode()),))
        page = self._pages[path]
        return page if method == "GET" else replace(page, body=b"", headers=(_length(page),))

    async def _post(
        self,
        headers: Mapping[bytes, bytes],
        receive: Receive,
        send: Send,
        answer: Callable[[bytearray], Reply],
        query: bytes,
    ) -> None:
        try:
            if query:
                raise _Refused(_no_parameters(query))
            reply = await self._answered(headers, receive, answer)
        except _Gone:
            pass
        except _Refused as refused:
            await _send(send, refused.reply, more=True)
            if refused.more:
                await self._drop(receive)
            await send({"type": "http.response.body", "body": b""})
        else:
            await _send(send, reply)

    async def _answered(
        self, headers: Mapping[bytes, bytes], receive: Receive, answer: Callable[[bytearray], Reply]
    ) -> Reply:
        self._check(headers)
        body = bytearray()
        try:
            await self._fill(body, receive)
            if len(body) <= _SMALL:
                return answer(body)
            return await asyncio.get_running_loop().run_in_executor(self._workers, answer, body)
        finally:
            self._held -= len(body)

    def _check(self, headers: Mapping[bytes, bytes]) -> None:
        coding = headers.get(b"content-encoding", b"identity").decode("latin-1")
        if coding.lower() != "identity":
            detail = f"the body is compressed ({coding}); send it uncompressed"
            raise _Refused(refusal(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, detail, _CLOSE))
        length = headers.get(b"content-length", b"0")
        if length.isdigit() and int(length[:20]) > self._most:
            raise _Refused(self._too_large())

    async def _fill(self, body: bytearray, receive: Receive) -> None:
        """Add what comes to the body until it is whole."""
        try:
            with self._at_most(SECONDS_FOR_A_BODY) as timeout:
                async with timeout:
                    more = True
                    while more:
                        message = await receive()
                        if message["type"] == "http.disconnect":
                            raise _Gone
                        piece, more = message.get("body", b""), message.get("more_body", False)
                        if len(body) + len(piece) > self._most:
                            raise _Refused(self._too_large(), more=more)
                        if self._held + len(piece) > _BODIES_AT_ONCE * self._most:
                            headers = (*_CLOSE, (b"retry-after", b"1"))
                            detail = "too many bodies arrive at once; try again"
                            raise _Refused(refusal(HTTPStatus.SERVICE_UNAVAILABLE, detail, headers), more=more)
                        self._held += len(piece)
                        body += piece
        except TimeoutError:
            if self._stopping:
                raise _Refused(
                    refusal(HTTPStatus.SERVICE_UNAVAILABLE, "the service is stopping", _CLOSE), more=False
                ) from None
            detail = f"the body did not arrive within {SECONDS_FOR_A_BODY:g} seconds"
            raise _Refused(refusal(HTTPStatus.REQUEST_TIMEOUT, detail, _CLOSE), more=False) from None

    async def _drop(self, receive: Receive) -> None:
        """Read what still comes, until it ends, pauses or has come for long."""
        try:
            with self._at_most(_SECONDS_TO_DROP) as timeout:
                async with timeout:
                    more = True
                    while more:
                        async with asyncio.timeout(_SECONDS_OF_SILENCE):
                            more = (await receive()).get("more_body", False)
        except TimeoutError:
            pass

    @contextmanager
    def _at_most(self, seconds: float) -> Iterator[asyncio.Timeout]:
        """A timeout that ends sooner when the service stops."""
        timeout = asyncio.timeout(min(seconds, SECONDS_TO_STOP) if self._stopping else seconds)
        self._waiting.add(timeout)
        try:
            yield timeout
        finally:
            self._waiting.discard(timeout)

    def _too_large(self) -> Reply:
        detail = f"the body has more than {self._most:,} bytes; send fewer rows"
        return refusal(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, detail, _CLOSE)


def _no_parameters(query: bytes) -> Reply:
    names = [name for name, _ in parse_qsl(query.decode("latin-1"), keep_blank_values=True)]
    name = names[0] if names else query.decode("latin-1")
    said = f"the address has the parameter {quoted(name)}, and none is known; the body holds 'rows' and 'as_of'"
    mistake = {"loc": ["query", name], "msg": said, "type": "value_error"}
    return Reply(HTTPStatus.UNPROCESSABLE_ENTITY, json.dumps({"detail": [mistake]}).encode(), headers=_CLOSE)


async def _follow(receive: Receive, send: Send) -> None:
    """Say yes to a server that asks before it starts and stops."""
    while True:
        kind = (await receive())["type"]
        await send({"type": f"{kind}.complete"})
        if kind == "lifespan.shutdown":
            return


def _length(reply: Reply) -> tuple[bytes, bytes]:
    return b"content-length", str(len(reply.body)).encode()


async def _send(send: Send, reply: Reply, *, more: bool = False) -> None:
    length = () if any(name == b"content-length" for name, _ in reply.headers) else (_length(reply),)
    headers = [(b"content-type", reply.kind.encode()), *length, *reply.headers]
    await send({"type": "http.response.start", "status": int(reply.status), "headers": headers})
    await send({"type": "http.response.body", "body": reply.body, "more_body": more})
