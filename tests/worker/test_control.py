"""The stream to the main process: messages with descriptors, however the bytes are split."""

import array
import os
import resource
import socket
from collections import Counter
from contextlib import contextmanager

import pytest
import trio
import trio.testing

from fastroute.place import Place, Transport
from fastroute.publication import Ack, Begin, Commit, Drain, Drained, Listen, Trouble, Upward
from fastroute.wire import Decoder, WireError, encode
from fastroute.worker.control import LOST, ControlStream

PLACE = Place(Transport.TCP, "127.0.0.1", 80)


@pytest.fixture
async def ends():
    main, worker = socket.socketpair()
    with main, ControlStream(trio.socket.from_stdlib_socket(worker)) as control:
        yield main, control


def send_beside(main, message, fd):
    main.sendmsg([encode(message)], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [fd]))])


@contextmanager
def full_table():
    """This process has no free descriptor."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    lowest = os.dup(0)
    os.close(lowest)
    resource.setrlimit(resource.RLIMIT_NOFILE, (lowest, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def same_file(fd, other):
    return os.fstat(fd).st_ino == os.fstat(other).st_ino


async def test_messages_come_in_order_however_they_were_sent(ends):
    main, control = ends
    data = b"".join(encode(message) for message in (Begin(1, 0), Commit(1), Drain()))
    main.sendall(data[:3])
    main.sendall(data[3:])
    assert [await control.receive() for _ in range(3)] == [Begin(1, 0), Commit(1), Drain()]


async def test_descriptors_keep_the_order_of_their_messages(ends):
    main, control = ends
    files = [os.memfd_create(f"file {i}") for i in range(5)]
    for i, fd in enumerate(files):
        main.sendall(encode(Begin(i + 1, 0)))
        send_beside(main, Listen(PLACE, i), fd)
    for fd in files:
        assert isinstance(await control.receive(), Begin)
        assert isinstance(await control.receive(), Listen)
        got = control.take_descriptor()
        assert same_file(got, fd)
        assert not os.get_inheritable(got)
        os.close(got)
        os.close(fd)


async def test_a_descriptor_that_does_not_fit_is_lost_and_the_next_ones_keep_their_messages(ends):
    main, control = ends
    files = [os.memfd_create(f"file {i}") for i in range(2)]
    with full_table():
        send_beside(main, Listen(PLACE, 0), files[0])
        assert await control.receive() == Listen(PLACE, 0)
    send_beside(main, Listen(PLACE, 1), files[1])
    assert await control.receive() == Listen(PLACE, 1)
    assert control.take_descriptor() == LOST
    got = control.take_descriptor()
    assert same_file(got, files[1])
    for fd in (got, *files):
        os.close(fd)


async def test_closing_with_a_lost_descriptor(ends):
    main, control = ends
    reader, writer = os.pipe()
    with full_table():
        send_beside(main, Listen(PLACE, 0), writer)
        await control.receive()
    for fd in (reader, writer):
        os.close(fd)


async def test_the_end_of_the_stream_is_none(ends):
    main, control = ends
    main.sendall(encode(Drain())[:2])
    main.close()
    assert await control.receive() is None


async def test_a_stream_that_makes_no_sense_is_said_so(ends):
    main, control = ends
    main.sendall(b"\x00\x00\x00\x01\xc1")
    with pytest.raises(WireError):
        await control.receive()


async def test_what_is_sent_arrives_and_a_main_that_is_gone_is_nobodys_business(ends):
    main, control = ends
    await control.send(Ack(3))
    decoder = Decoder[Upward](Upward)
    decoder.feed(main.recv(100))
    assert decoder.next_message() == Ack(3)
    main.close()
    await control.send(Ack(4))


async def test_cancelled_sends_cut_no_message_and_lose_none(ends):
    """The second one waits for the first one, of which the main process has not read the rest."""
    main, control = ends
    long = Trouble("x" * 1_000_000)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(control.send, long)
        nursery.start_soon(control.send, Ack(3))
        await trio.testing.wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()
    reader = trio.socket.from_stdlib_socket(main.dup())
    decoder = Decoder[Upward](Upward)
    received = []

    async def end():
        await control.send(Drained())
        control.__exit__(None, None, None)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(end)
        while data := await reader.recv(100_000):
            decoder.feed(data)
            received += decoder
    reader.close()
    assert Counter(map(type, received)) == {Trouble: 1, Ack: 1, Drained: 1}
    assert long in received
    assert received[-1] == Drained()


async def test_closing_closes_what_nobody_took(ends):
    main, control = ends
    reader, writer = os.pipe()
    send_beside(main, Listen(PLACE, 0), writer)
    os.close(writer)
    await control.receive()
    control.__exit__(None, None, None)
    assert os.read(reader, 1) == b""
    os.close(reader)
