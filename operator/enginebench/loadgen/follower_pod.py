"""A load pod that another one leads. It reads no data set and writes no frames: its leader speaks for all of them."""

import asyncio
import signal
import socket
from collections.abc import Callable

import uvloop

from enginebench.api.loadplan import LoadPlan
from enginebench.loadgen.follower import Follower
from enginebench.loadgen.handshake import Place
from enginebench.loadgen.muster import reach
from enginebench.loadgen.processes import fork

Complain = Callable[[str], None]


def main(plan: LoadPlan, pod: int, secret: bytes, complain: Complain) -> int:
    """All processes of the pod, until their leader lets them go. Exit code 1: the leader was not to be reached."""

    def other(process: int, own: socket.socket) -> None:
        uvloop.run(_other(plan, Place(pod, process), secret, complain, own))

    processes = fork(plan.processes - 1, other)
    code = uvloop.run(_first(plan, Place(pod, 0), secret, complain))
    for sock in processes.sockets:
        sock.close()
    processes.end()
    return code


async def _first(plan: LoadPlan, place: Place, secret: bytes, complain: Complain) -> int:
    """SIGTERM ends the search for the leader. Who is led goes on: the leader was told, too, and closes the point."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    led = await _follow(plan, place, secret, complain, stop)
    if not led and not stop.is_set():
        complain(f"{plan.leader}:{plan.leader_port} has not answered as the leader within {plan.startup_seconds} s")
        return 1
    return 0


async def _other(plan: LoadPlan, place: Place, secret: bytes, complain: Complain, own: socket.socket) -> None:
    """A further process of the pod; it looks for the leader no longer than the first one lives."""
    stop = asyncio.Event()
    reader, writer = await asyncio.open_unix_connection(sock=own)

    async def watch() -> None:
        await reader.read(1)
        stop.set()

    watcher = asyncio.create_task(watch())
    await _follow(plan, place, secret, complain, stop)
    watcher.cancel()
    writer.close()


async def _follow(plan: LoadPlan, place: Place, secret: bytes, complain: Complain, stop: asyncio.Event) -> bool:
    """Whether there was a leader to follow."""
    channel = await reach(plan, place, secret, stop)
    if channel is None:
        return False
    await Follower(plan, channel, complain).run()
    return True
