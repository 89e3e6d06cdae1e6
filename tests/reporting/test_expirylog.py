"""Log messages about certificates that have expired or are not yet valid: each once, also while they are served."""

from datetime import timedelta

import trio
from graph.secrets import START, YEAR, secret

from fastroute.graph.certificate import judge
from fastroute.reporting.expirylog import LOOK, ExpiryLog

DAY = timedelta(days=1)


async def test_a_certificate_that_ends_while_it_is_served_is_told_once(autojump_clock, caplog):
    begin = trio.current_time()
    log = ExpiryLog(lambda: (START + YEAR - DAY).timestamp() + trio.current_time() - begin)
    short = judge(secret("short", "certs", start=START, end=START + YEAR))
    long = judge(secret("long", "certs", start=START, end=START + YEAR + 9 * DAY))
    log.take({"certs/short": short, "certs/long": long})
    async with trio.open_nursery() as nursery:
        nursery.start_soon(log.run)
        await trio.sleep(DAY.total_seconds() - 1)
        assert caplog.messages == []
        await trio.sleep(2 * LOOK)
        expected = (
            "the certificate of Secret certs/short expired on 2027-01-01: still used, but "
            "clients, or the backends to which a Gateway shows it, will refuse it"
        )
        assert caplog.messages == [expected]
        await trio.sleep(DAY.total_seconds())
        assert caplog.messages == [expected]
        await trio.sleep(9 * DAY.total_seconds())
        assert [message.split()[4] for message in caplog.messages] == ["certs/short", "certs/long"]
        nursery.cancel_scope.cancel()


def test_a_new_one_is_told_at_once_and_again_after_it_was_mended(caplog):
    good = judge(secret("s", "certs", start=START, end=START + YEAR))
    old = judge(secret("s", "certs", start=START - 2 * YEAR, end=START - YEAR))
    early = judge(secret("s", "certs", start=START + 10 * DAY, end=START + YEAR))
    log = ExpiryLog((START + DAY).timestamp)
    for node, said in ((old, 1), (old, 1), (good, 1), (old, 2), (early, 3)):
        log.take({"certs/s": node})
        assert len(caplog.messages) == said
    log.take({})
    log.take({"certs/s": early})
    assert len(caplog.messages) == 4
    assert "is not valid before 2026-01-11" in caplog.messages[-1]
