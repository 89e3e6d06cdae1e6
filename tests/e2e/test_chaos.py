"""Random faults from one seed under load: workers are killed and stopped, manifests are edited."""

import os
import random
import signal
from contextlib import suppress

import trio
from e2e.serving import ROUTE, SERVICE, killed, serving
from load import PATIENCE, Load, loaded

STEPS = 40


async def test_only_requests_in_flight_at_a_kill_break_and_every_answer_is_right_and_counted(tmp_path):
    chance = random.Random(4)
    kills = {}
    async with serving(tmp_path, workers=3, delay=0.002) as served:
        async with (
            loaded(Load(served.port, "/fruits"), 8) as load,
            loaded(Load(served.port, "/fruits", keep=False), 4) as fresh,
        ):
            for _ in range(STEPS):
                await step(chance, served, kills)
                await trio.sleep(chance.random() * 0.3)
        with trio.fail_after(PATIENCE):
            while (samples := await served.metrics())["fastroute_worker_restarts_total"] < len(kills):  # noqa: ASYNC110
                await trio.sleep(0.05)
    answers = load.sources() + fresh.sources()
    assert set(answers) == {"bananas", "apples"}
    # The shares of each worker are exact in every ten responses; those that a killed worker had started are lost.
    assert abs(answers["bananas"] - 0.7 * answers.total()) < max(0.05 * answers.total(), 10 * (3 + len(kills)))
    for one in [*load.breaks, *fresh.breaks]:
        assert any(one.opened <= gone and one.came >= told for told, gone in kills.values())
    counted = sum(value for name, value in samples.items() if name.startswith("fastroute_http_requests_total{"))
    assert answers.total() <= counted <= answers.total() + len(load.breaks) + len(fresh.breaks)
    assert samples["fastroute_worker_restarts_total"] == len(kills) > 0
    assert samples['fastroute_connections{side="downstream",state="active"}'] == 0


async def step(chance, served, kills):
    """One random fault or change. `kills`: by process ID, when each process was killed and when it had ended."""
    kind = chance.choices(["kill", "stop", "edit", "move"], [15, 10, 50, 25])[0]
    if kind == "edit":
        served.world.write("route", ROUTE, path=chance.choice(["/fruits", "/"]))
    elif kind == "move":
        served.world.write("bananas", SERVICE, name="bananas", port=served.backends["bananas"].port)
    elif workers := served.workers():
        pid = chance.choice(workers)
        if kind == "kill":
            kills[pid] = await killed(pid)
        else:
            os.kill(pid, signal.SIGSTOP)
            await trio.sleep(chance.random())
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)
