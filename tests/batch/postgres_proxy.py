"""A relay between a ledger and its server that loses what it is told to lose."""

import asyncio
import contextlib
import ssl
from urllib.parse import urlsplit

SSL_REQUEST = bytes([0, 0, 0, 8, 4, 210, 22, 47])


class Proxy:
    """Passes bytes on. When `trap` comes from a client, it acts once as `act` says.

    Args:
        dsn: of the server.
        trap: bytes of a client's message.
        act: "before": the message and the connection are lost; "after": the answer and the connection are; "late": the
            connection is, and the message comes through when another connection asks for the turn; "silent": nothing
            passes any more, on this connection.
        tls: what it proves itself with, to a client that asks for TLS.
    """

    def __init__(
        self, dsn: str, trap: bytes | None = b"COMMIT", act: str = "after", tls: ssl.SSLContext | None = None
    ) -> None:
        self._dsn = urlsplit(dsn)
        self._tls = tls
        self.trap = trap
        self.act = act
        self.sprung = asyncio.Event()
        self._asked = asyncio.Event()

    async def __aenter__(self) -> "Proxy":
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        port = self._server.sockets[0].getsockname()[1]
        self.place = f"127.0.0.1:{port}"
        self.dsn = self._dsn._replace(netloc=f"postgres@{self.place}").geturl()
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._tls is not None:
            assert await reader.readexactly(8) == SSL_REQUEST
            writer.write(b"S")
            try:
                await writer.start_tls(self._tls)
            except OSError:  # the client does not trust it
                return
        away, back = await asyncio.open_connection(self._dsn.hostname, self._dsn.port)
        answering = asyncio.create_task(self._pass(away, writer))
        try:
            while data := await reader.read(1 << 16):
                if self.trap and self.trap in data and not self.sprung.is_set():
                    self.sprung.set()
                    if self.act == "silent":
                        answering.cancel()
                        await reader.read()
                        return
                    if self.act in {"after", "late"}:
                        answering.cancel()
                        with contextlib.suppress(asyncio.CancelledError):
                            await answering
                        if self.act == "late":
                            writer.transport.abort()
                            await self._asked.wait()
                            await asyncio.sleep(0.02)
                        back.write(data)
                        await away.read(1)  # it has been done
                    return
                back.write(data)
                if b"SELECT turn" in data:
                    self._asked.set()
        except OSError:
            return
        finally:
            answering.cancel()
            writer.transport.abort()
            back.transport.abort()

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(1 << 16):
                writer.write(data)
        writer.transport.abort()
