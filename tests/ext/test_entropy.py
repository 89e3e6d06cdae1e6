"""Request ids: nobody can compute the next one from earlier ones, across batches, engines and processes."""

import errno
import os
import re

import pytest
from rig import GET, answering, backends, connect, rule, running

from fastroute.ext.memory.entropy import RandomIds
from fastroute.ext.message.forwarded import Forwarding

UUID4 = re.compile("[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")
BATCH = 255  # ids
WORD = (1 << 64) - 1
GOLDEN = 0x9E3779B97F4A7C15


def ids_of_forwarding(count: int) -> list[str]:
    forwarding = Forwarding()
    return [forwarding.apply("1.1.1.1", ())[2] for _ in range(count)]


def test_ids_are_version_4_and_differ_across_batches() -> None:
    made = ids_of_forwarding(3 * BATCH)
    assert all(UUID4.fullmatch(one) for one in made)
    assert len(set(made)) == len(made)


def test_every_other_bit_of_an_id_varies() -> None:
    """A bit that is equal in 510 ids by chance has a probability of 2**-509."""
    numbers = [int(one.replace("-", ""), 16) for one in ids_of_forwarding(2 * BATCH)]
    ones, zeros = 0, 0
    for number in numbers:
        ones |= number
        zeros |= ~number
    fixed = (0xF << 76) | (0b11 << 62)
    assert ones & zeros & ((1 << 128) - 1) == ((1 << 128) - 1) & ~fixed


def unshift(value: int, bits: int) -> int:
    """Inverts x ^ (x >> bits)."""
    found = value
    for _ in range(64 // bits + 1):
        found = value ^ (found >> bits)
    return found


def state_of(output: int) -> int:
    """The state of splitmix64 after it gave this number."""
    z = unshift(output, 31)
    z = unshift(z * pow(0x94D049BB133111EB, -1, 1 << 64) & WORD, 27)
    return unshift(z * pow(0xBF58476D1CE4E5B9, -1, 1 << 64) & WORD, 30)


def splitmix(state: int) -> int:
    z = (state ^ (state >> 30)) * 0xBF58476D1CE4E5B9 & WORD
    z = (z ^ (z >> 27)) * 0x94D049BB133111EB & WORD
    return z ^ (z >> 31)


def predicts_itself(made: str) -> bool:
    """Whether the first half of an id gives the second one, for the generator of load balancing."""
    number = int(made.replace("-", ""), 16)
    first, second = number >> 64, number & WORD & ~(0b11 << 62)
    for hidden in range(16):
        state = state_of(first & ~0xF000 | hidden << 12)
        if splitmix((state + GOLDEN) & WORD) & ~(0b11 << 62) == second:
            return True
    return False


def test_no_id_can_be_computed_from_another() -> None:
    assert splitmix(state_of(12345)) == 12345
    assert not any(map(predicts_itself, ids_of_forwarding(20)))


async def test_engines_share_no_id_and_none_can_be_computed() -> None:
    seen: list[str] = []
    async with backends(answering) as [backend], running(log=True) as one, running(log=True) as other:
        for rig in (one, other):
            rig.put("ns/b:80", backend.port)
            rig.install(rule("ns/b:80"))
            client = await connect(rig.port)
            for _ in range(BATCH + 10):
                await client.send(GET)
                await client.response()
            seen += [line["request_id"] for line in rig.lines()]
    assert len(seen) == len(set(seen)) == 2 * (BATCH + 10)
    assert not any(map(predicts_itself, seen[:20]))


def test_a_child_process_does_not_use_the_batch_of_its_parent() -> None:
    ids = RandomIds()
    ids.next()
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(writing, ",".join(ids.next() for _ in range(10)).encode())
        os._exit(0)
    os.waitpid(child, 0)
    theirs = os.read(reading, 4096).decode().split(",")
    os.close(reading)
    os.close(writing)
    ours = [ids.next() for _ in range(BATCH)]
    assert len(theirs) == 10
    assert not set(theirs) & set(ours)


@pytest.mark.parametrize("script", [(-errno.EINTR,), (100,), (1, -errno.EINTR, -errno.EINTR, 4000), (256, 0x10000)])
def test_interrupted_and_short_reads_are_continued(script: tuple[int, ...]) -> None:
    ids = RandomIds(script)
    made = [ids.next() for _ in range(BATCH)]
    assert ids.calls == len(script)
    assert len(set(made)) == BATCH
    assert not [one for one in made if "00000000" in one]  # no byte of the batch was left out


@pytest.mark.parametrize("script", [(-errno.ENOSYS,), (100, -errno.EPERM), (16, 0)])
def test_without_random_bytes_there_is_no_id(script: tuple[int, ...]) -> None:
    ids = RandomIds(script)
    with pytest.raises(OSError, match=r"."):
        ids.next()
    assert UUID4.fullmatch(ids.next())  # the kernel gives bytes again
