"""Manifests are edited under load. Every request is answered, according to the configuration at its time."""

import trio
from e2e.serving import GATEWAY, GRANT, NAMESPACE, ROUTE, SELECTED, serving
from load import PATIENCE, Load, loaded

WHOLE = {"bananas", "apples"}
REFUSED = {"500", "apples"}
DETACHED = {"404"}
SETTLE = 200  # the number of responses that are awaited before, between and after changes


class Acts:
    """Makes changes one after the other. Requests made between two changes must be answered by the sources of that
    period; requests in flight during a change must be answered by the sources before or after it."""

    def __init__(self, serving_, load):
        self._serving, self._load = serving_, load
        self._since = trio.current_time()
        self._before, self._begun = set(), self._since

    async def expect(self, sources, change=None):
        """Checks that exactly `sources` answered since the last change, after enough responses; then makes `change`."""
        await self._load.answered(SETTLE)
        counts = self._load.sources(self._since, trio.current_time())
        assert set(counts) == sources
        assert {one.source for one in self._load.answers if one.came >= self._begun} <= self._before | sources
        if change is not None:
            self._before, self._begun = sources, trio.current_time()
            async with self._serving.applied():
                change()
            self._since = trio.current_time()
        return counts

    def share(self, counts, source):
        return counts[source] / counts.total()


async def run(folder, story, path="/fruits"):
    async with serving(folder) as served:
        async with loaded(Load(served.port, path)) as load:
            await story(Acts(served, load), served.world)
        assert load.breaks == []
        assert served.process.poll() is None


async def test_a15_a_grant_is_deleted_and_made_again(tmp_path):
    async def story(acts, world):
        counts = await acts.expect(WHOLE, lambda: world.remove("grant"))
        assert abs(acts.share(counts, "bananas") - 0.7) < 0.1
        counts = await acts.expect(REFUSED, world.grant)
        assert abs(acts.share(counts, "500") - 0.7) < 0.1
        await acts.expect(WHOLE)

    await run(tmp_path, story)


async def test_a16_a_grant_is_edited(tmp_path):
    async def story(acts, world):
        await acts.expect(WHOLE, lambda: world.write("grant", GRANT, namespace="elsewhere", service="bananas"))
        await acts.expect(REFUSED, world.grant)
        await acts.expect(WHOLE, lambda: world.write("grant", GRANT, namespace="apples", service="other"))
        await acts.expect(REFUSED)

    await run(tmp_path, story)


async def test_b6_a_namespace_loses_its_label_and_gets_it_again(tmp_path):
    async def story(acts, world):
        await acts.expect(WHOLE, lambda: world.write("namespace", NAMESPACE, labels="{}"))
        await acts.expect(DETACHED, lambda: world.write("namespace", NAMESPACE, labels="{shared: 'yes'}"))
        await acts.expect(WHOLE)

    await run(tmp_path, story)


async def test_b13_the_gateway_is_narrowed_to_its_own_namespace(tmp_path):
    async def story(acts, world):
        await acts.expect(WHOLE, lambda: world.write("gateway", GATEWAY, allowed="{from: Same}"))
        await acts.expect(DETACHED, lambda: world.write("gateway", GATEWAY, allowed=SELECTED))
        await acts.expect(WHOLE)

    await run(tmp_path, story)


async def test_endpoints_that_move_are_followed(tmp_path):
    async def story(acts, world):
        await acts.expect(WHOLE, lambda: world.remove("bananas"))
        await acts.expect(REFUSED)

    await run(tmp_path, story)


async def test_edits_that_come_all_the_time_cost_no_answer(tmp_path):
    async with serving(tmp_path) as served:
        async with (
            loaded(Load(served.port, "/fruits"), 4) as load,
            loaded(Load(served.port, "/fruits", keep=False), 4) as fresh,
        ):
            edits, version = 0, 0.0
            with trio.fail_after(PATIENCE):
                while edits < 60 or version <= 5:
                    served.world.write("route", ROUTE, path=("/fruits", "/")[edits % 2])
                    await trio.sleep(0.02)
                    edits += 1
                    if edits % 20 == 0:  # reading metrics takes up to 1 s, because a page is kept for that time
                        version = (await served.metrics())["fastroute_config_version"]
        metrics = await served.metrics()
    assert load.breaks == fresh.breaks == []
    assert set(load.sources() + fresh.sources()) == WHOLE
    assert metrics["fastroute_worker_restarts_total"] == 0
