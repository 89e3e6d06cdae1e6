"""Everything at once, from one seed: workers killed and stopped, manifests edited, all under load."""

import os
import random
import signal
from contextlib import suppress

import trio
from e2e.serving import ROUTE, SERVICE, serving
from load import Load, loaded

SECONDS = 6.0
SETTLE = 0.5  # seconds that a killed process may take to be gone, on a busy machine


async def test_only_requests_in_flight_at_a_kill_break_and_every_answer_is_right_and_counted(tmp_path):
    chance = random.Random(4)
    kills = {}
    async with serving(tmp_path, workers=3, delay=0.002) as served:
        async with (
            loaded(Load(served.port, "/fruits"), 8) as load,
            loaded(Load(served.port, "/fruits", keep=False), 4) as fresh,
        ):
            ends = trio.current_time() + SECONDS
            while trio.current_time() < ends:
                await step(chance, served, kills)
                await trio.sleep(chance.random() * 0.3)
        with trio.fail_after(10):
            while (samples := await served.metrics())["fastroute_worker_restarts_total"] < len(kills):  # noqa: ASYNC110
                await trio.sleep(0.05)
    answers = load.sources() + fresh.sources()
    assert set(answers) == {"bananas", "apples"}
    assert abs(answers["bananas"] / answers.total() - 0.7) < 0.05
    for one in [*load.breaks, *fresh.breaks]:
        assert any(one.asked <= killed + SETTLE and one.came >= killed for killed in kills.values())
    counted = sum(value for name, value in samples.items() if name.startswith("fastroute_http_requests_total{"))
    assert answers.total() <= counted <= answers.total() + len(load.breaks) + len(fresh.breaks)
    assert samples["fastroute_worker_restarts_total"] == len(kills) > 0
    assert samples['fastroute_connections{side="downstream",state="active"}'] == 0


async def step(chance, served, kills):
    """One thing that happens; `kills`: when each process was killed, by its id."""
    kind = chance.choices(["kill", "stop", "edit", "move"], [15, 10, 50, 25])[0]
    if kind == "edit":
        served.world.write("route", ROUTE, path=chance.choice(["/fruits", "/"]))
    elif kind == "move":
        served.world.write("bananas", SERVICE, name="bananas", port=served.backends["bananas"].port)
    elif workers := served.workers():
        pid = chance.choice(workers)
        if kind == "kill":
            kills.setdefault(pid, trio.current_time())
            os.kill(pid, signal.SIGKILL)
        else:
            os.kill(pid, signal.SIGSTOP)
            await trio.sleep(chance.random())
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)
