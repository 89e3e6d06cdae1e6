"""`fastroute demo` as a user runs it, and its result when a number is wrong."""

import os
import re
import signal
import subprocess
import sys
import time

import pytest
import trio

from fastroute.demo.client import Client
from fastroute.demo.echo import serve_echo
from fastroute.demo.pods import Pod, free_ports
from fastroute.demo.tour import BROKEN, WHOLE, Act, show_act

DEMO = [sys.executable, "-m", "fastroute", "demo"]


def test_once_ends_by_itself_with_every_number_right() -> None:
    ended = subprocess.run([*DEMO, "--once"], capture_output=True, text=True, timeout=300, check=False)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert ended.stderr == ""
    rows = re.findall(r"^(\S+) +(\d+) +(\d+)$", ended.stdout, re.MULTILINE)
    whole = [("bananas/banana-echo", "70", "70"), ("apples/apple-echo", "30", "30")]
    assert rows == [*whole, ("apples/apple-echo", "30", "30"), ("500", "70", "70"), *whole]
    assert "kind: ReferenceGrant" in ended.stdout
    assert ended.stdout.endswith("All numbers are as expected.\n")


def test_it_stays_up_until_it_is_interrupted() -> None:
    staying = subprocess.Popen(DEMO, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True)
    assert staying.stdout is not None
    try:
        urls = []
        for line in staying.stdout:
            urls += re.findall(r"curl (http://\S+)", line)
            if "rm " in line:
                break
        time.sleep(0.2)
        assert staying.poll() is None
        assert len(urls) == 2
        os.killpg(staying.pid, signal.SIGINT)  # as a terminal does: its gateway receives the signal too
        assert staying.wait(60) == 0
        assert staying.stderr is not None
        assert staying.stderr.read() == ""
    finally:
        staying.kill()
        staying.communicate()


@pytest.mark.parametrize(
    ("act", "right"),
    [(Act("as it is", {"apples/apple-echo": 100}), True), (WHOLE, False), (BROKEN, False)],
    ids=["as it is", "whole", "broken"],
)
async def test_a_wrong_number_is_seen(
    act: Act, right: bool, nursery: trio.Nursery, capsys: pytest.CaptureFixture[str]
) -> None:
    port = free_ports(1)[0]
    await nursery.start(serve_echo, [Pod("apples", "apple-echo", "apple-echo-1-0", "127.0.0.1", port)])
    async with Client("127.0.0.1", port) as client:
        assert await show_act(act, client) is right
    assert act.title in capsys.readouterr().out
