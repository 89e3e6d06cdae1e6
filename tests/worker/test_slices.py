"""Installations in slices: what a worker does between two looks at its traffic, counted in steps, not in time."""

import msgspec
import pytest
from graph.secrets import chain, key_pem
from rig import Rig, listener, rule

from fastroute.ext.counters import INSTALL_SLOT
from fastroute.publication import Ack, Begin, Commit, RemoveCertificate, UpsertCertificate, UpsertListener, UpsertRule
from fastroute.snapshot import Certificate, ListenerTLS
from fastroute.worker.installer import Installer
from fastroute.worker.slices import Slices

LONG = Certificate(chain("a.example.com") + 9 * chain("b", number=1), key_pem())


class Counted(Slices):
    """Counts the steps: after each of them traffic goes first if the time of the slice is up."""

    steps = 0

    async def step_aside(self) -> None:
        self.steps += 1

    async def let_traffic_by(self) -> None:
        self.steps += 1

    def taken(self) -> int:
        """The number of steps since the last call."""
        steps, self.steps = self.steps, 0
        return steps


@pytest.fixture
def slices():
    rig = Rig()
    rig.slices = Counted(rig.engine, rig.counters)
    rig.installer = Installer(rig.engine, rig.upstreams, rig.slices)
    yield rig
    rig.close()


async def install(rig, version, *changes):
    """Installs a publication on the version before; returns the number of steps until the Ack, and after it."""
    for message in (Begin(version, version - 1), *changes):
        assert await rig.installer.obey(message) is None
    assert await rig.installer.obey(Commit(version)) == Ack(version)
    before = rig.slices.taken()
    await rig.installer.finish()
    return before, rig.slices.taken()


async def test_each_certificate_and_each_key_is_a_step(slices):
    ids = [f"c{i}" for i in range(8)]
    tls = ListenerTLS(certificates=tuple(ids))
    changes = [UpsertCertificate(id, LONG) for id in ids]
    steps, _ = await install(slices, 1, *changes, UpsertListener(listener(1, tls=tls)))
    assert steps >= 8 * 11
    steps, after = await install(slices, 2, *changes)
    assert steps >= 8 * 11
    assert after >= 8  # each of the old ones is freed in a step
    _, after = await install(slices, 3, *map(RemoveCertificate, ids))
    assert after >= 8


async def test_installations_are_counted_and_the_longest_slice_is_measured(slices):
    changes = UpsertListener(listener(1)), UpsertRule(msgspec.structs.replace(rule("a/x:80"), listener="listener"))
    for version in range(1, 4):
        slices.slices.begin()
        await install(slices, version, *changes)
        slices.slices.end()
    assert sum(slices.counters.histogram(INSTALL_SLOT)[1:]) == 3
    assert slices.counters.fixed()["worst_install_step"] > 0
