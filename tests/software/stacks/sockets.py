"""WebSocket by the package websockets: `sockets.py serve PORT` echoes, `sockets.py ask PORT` asks."""

import asyncio
import sys

from websockets.asyncio.client import connect
from websockets.asyncio.server import serve
from websockets.exceptions import ConnectionClosedError, ConnectionClosedOK


async def echo(socket):
    async for message in socket:
        if message == "leave":
            await socket.close(3001, "as you wish")
            return
        await socket.send(message)


def choose(_, offered):
    return next((one for one in offered if one in ["chat", "other"]), None)


async def answer(port):
    async with serve(
        echo, "127.0.0.1", port, max_size=64 << 20, select_subprotocol=choose
    ):
        await asyncio.get_running_loop().create_future()


async def ask(port):
    url = f"ws://127.0.0.1:{port}/chat"
    for compression in ["deflate", None]:
        async with connect(
            url, subprotocols=["chat"], compression=compression, max_size=16 << 20
        ) as socket:
            assert socket.subprotocol == "chat"
            for size in [0, 1, 125, 126, 127, 65_535, 65_536, 1 << 20, 4 << 20]:
                for message in ["é" * size, bytes(range(256)) * (size // 256) + b"x" * (size % 256)]:
                    await socket.send(message)
                    assert await socket.recv() == message, size
            pieces = [b"piece %d," % n for n in range(300)]
            await socket.send(pieces)
            assert await socket.recv() == b"".join(pieces)
            for n in range(500):
                await socket.send(str(n))
            assert [await socket.recv() for _ in range(500)] == [str(n) for n in range(500)]
            await asyncio.wait_for(await socket.ping(b"are you there"), 30)
    socket = await connect(url, subprotocols=["other"])
    await socket.send("leave")
    try:
        await socket.recv()
        raise AssertionError("it stayed")
    except (ConnectionClosedOK, ConnectionClosedError) as closed:
        assert (closed.rcvd.code, closed.rcvd.reason) == (3001, "as you wish"), closed
    many = [await connect(url, subprotocols=["other"]) for _ in range(100)]
    for n, socket in enumerate(many):
        await socket.send(f"from {n}")
    assert [await socket.recv() for socket in many] == [f"from {n}" for n in range(100)]
    for socket in many:
        await socket.close()
    print("ok")


if __name__ == "__main__":
    asyncio.run({"serve": answer, "ask": ask}[sys.argv[1]](int(sys.argv[2])))
