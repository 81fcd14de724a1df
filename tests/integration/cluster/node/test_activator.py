"""The activator's process: requests wait for pods, in order, whoever is killed meanwhile."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import sys
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from calumma import errors
from calumma.cluster import layout
from calumma.cluster.node import activation
from calumma.cluster.node.gates import Gate
from support.pods import free_port

OWNER = "InferenceService/default/digits"
NAME = "default/digits/predictor/digits-predictor-00001"


class Pod:
    """A server that answers a line with itself, when it is let."""

    def __init__(self) -> None:
        self.port = free_port()
        self.working = 0
        self.most = 0
        self.let = asyncio.Event()
        self.let.set()

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        server = await asyncio.start_server(self._answer, "127.0.0.1", self.port)
        async with server:
            yield

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        line = await reader.readline()
        self.working += 1
        self.most = max(self.most, self.working)
        await self.let.wait()
        self.working -= 1
        writer.write(line)
        await writer.drain()
        writer.close()


class Activated:
    """The activator's process and the agent's side of it."""

    def __init__(self, home: layout.Home) -> None:
        self.home = home
        self.told: asyncio.Queue[tuple[str, int]] = asyncio.Queue()
        self.client = activation.Client(
            home.activator_socket, lambda name, waiting: self.told.put_nowait((name, waiting))
        )
        self.port = free_port()

    async def start(self) -> None:
        self.process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "calumma.cluster.activatord", "--home", str(self.home.path))
        )

    async def open(self, *targets: int, limit: int = 0) -> None:
        """Open the gate, as soon as the activator answers."""
        gate = Gate(OWNER, NAME, self.port, limit, targets)
        while self.process.returncode is None:
            try:
                await self.client.put(OWNER, [gate], closing=True)
            except errors.GatewayNotReady as error:
                if "does not answer" not in str(error):
                    raise
                await asyncio.sleep(0.01)
            else:
                return

    async def ask(self, text: str = "hello") -> str:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        writer.write(f"{text}\n".encode())
        answer = await reader.read()
        writer.close()
        return answer.decode().strip()

    async def until_waiting(self, count: int) -> None:
        while (await self.told.get()) != (NAME, count):
            pass


@pytest.fixture
async def activator() -> AsyncIterator[Activated]:
    with tempfile.TemporaryDirectory() as folder:
        home = layout.Home(Path(folder))
        home.run.mkdir()
        found = Activated(home)
        await found.start()
        following = asyncio.create_task(found.client.run())
        await found.client.known.wait()
        yield found
        following.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await following
        with contextlib.suppress(asyncio.CancelledError):
            await following
        found.process.terminate()
        await found.process.wait()


async def test_a_request_waits_until_there_is_a_pod_and_is_told_of(activator: Activated) -> None:
    await activator.open()
    asked = asyncio.create_task(activator.ask())
    await activator.until_waiting(1)
    pod = Pod()
    async with pod.running():
        await activator.open(pod.port)
        assert await asked == "hello"
    await activator.until_waiting(0)


async def test_a_long_request_passes_with_backpressure(activator: Activated) -> None:
    await activator.open()
    long = "x" * 60_000
    asked = [asyncio.create_task(activator.ask(long)) for _ in range(50)]
    await activator.until_waiting(50)
    pod = Pod()
    async with pod.running():
        await activator.open(pod.port)
        assert set(await asyncio.gather(*asked)) == {long}


async def test_a_pod_never_has_more_than_its_limit(activator: Activated) -> None:
    one, two = Pod(), Pod()
    one.let.clear()
    async with one.running(), two.running():
        await activator.open(one.port, limit=2)
        asked = [asyncio.create_task(activator.ask(str(n))) for n in range(6)]
        await activator.until_waiting(4)
        assert await activator.client.active(one.port) == 2
        await activator.open(one.port, two.port, limit=2)
        one.let.set()
        assert sorted(await asyncio.gather(*asked)) == list("012345")
        assert max(one.most, two.most) <= 2
        assert two.most > 0


async def test_a_pod_that_refuses_is_asked_again_though_nobody_says_anything(
    activator: Activated,
) -> None:
    pod = Pod()
    await activator.open(pod.port)
    asked = asyncio.create_task(activator.ask())
    await activator.until_waiting(1)
    async with pod.running():
        assert await asked == "hello"


async def test_who_leaves_does_not_take_a_place(activator: Activated) -> None:
    pod = Pod()
    await activator.open(limit=1)
    _, left = await asyncio.open_connection("127.0.0.1", activator.port)
    await activator.until_waiting(1)
    left.close()
    await activator.until_waiting(0)
    async with pod.running():
        await activator.open(pod.port, limit=1)
        assert await activator.ask() == "hello"


async def test_an_activator_that_is_killed_opens_its_gates_again(activator: Activated) -> None:
    pod = Pod()
    async with pod.running():
        await activator.open(pod.port)
        activator.process.send_signal(signal.SIGKILL)
        await activator.process.wait()
        await activator.start()
        while True:
            with contextlib.suppress(OSError):
                assert await activator.ask() == "hello"
                break
            await asyncio.sleep(0.01)
        await activator.open(limit=3)
        asked = asyncio.create_task(activator.ask())
        await activator.until_waiting(1)
        await activator.open(pod.port)
        assert await asked == "hello"


async def test_a_new_agent_learns_which_gates_are_open(activator: Activated) -> None:
    await activator.open(1, 2)
    other = activation.Client(activator.home.activator_socket, lambda *_: None)
    following = asyncio.create_task(other.run())
    await other.known.wait()
    assert other.ports == {NAME: activator.port}
    following.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await following


async def test_a_port_that_another_program_has_is_refused_and_forgotten(
    activator: Activated,
) -> None:
    pod = Pod()
    async with pod.running():
        activator.port = pod.port
        with pytest.raises(errors.GatewayNotReady, match="another program"):
            await activator.open()
    assert activator.client.ports == {}
    activator.port = free_port()
    await activator.open()
    assert activator.client.ports == {NAME: activator.port}


async def test_a_pod_that_speaks_first_is_heard(activator: Activated) -> None:
    async def greet(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"welcome\n")
        writer.close()

    async with await asyncio.start_server(greet, "127.0.0.1", free_port()) as server:
        await activator.open(server.sockets[0].getsockname()[1])
        heard = await asyncio.gather(*(activator.ask() for _ in range(200)))
    assert set(heard) == {"welcome"}


async def test_a_pod_that_ends_as_it_is_reached_ends_the_request(activator: Activated) -> None:
    async def leave(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.transport.abort()

    async with await asyncio.start_server(leave, "127.0.0.1", free_port()) as server:
        await activator.open(server.sockets[0].getsockname()[1])
        for _ in range(200):
            with contextlib.suppress(ConnectionError):
                assert await activator.ask() == ""
