"""The gauges of the objects that are read and served follow each pass."""

from datetime import timedelta

from graph.secrets import START, YEAR, plain_secret, secret
from reconciling import running
from worlds import APPLES, BANANAS, FRUITS, GATEWAY, grant, service

from fastroute.graph.certificate import judge
from fastroute.reporting.gauges import expiries
from fastroute.resources.core import EndpointSlice

TO_APPLES, TO_BANANAS = grant("apples", "infra", "apple-echo"), grant("bananas", "infra", "banana-echo")


async def test_objects_and_endpoints_follow_the_passes() -> None:
    async with running(GATEWAY, FRUITS, APPLES, BANANAS, TO_APPLES, TO_BANANAS) as one:

        def endpoints(state: str) -> float | None:
            return one.value("endpoints", backend="apples/apple-echo:80", state=state)

        assert (endpoints("ready"), endpoints("avoided")) == (1, 0)
        assert one.value("objects", kind="HTTPRoute") == 1
        assert one.value("objects", kind="ReferenceGrant") == 2
        assert one.value("objects", kind="Secret") is None
        [gone] = [key for key in one.source.store.snapshot().endpoint_slices if key.namespace == "apples"]
        one.source.take(EndpointSlice, *gone)
        await one.settle(2)
        assert endpoints("ready") == 0  # a backend without endpoints is what one looks for
        before = one.value("objects", kind="EndpointSlice")
        one.source.put(service("apples/apple-echo", 18009))
        await one.settle(3)
        assert endpoints("ready") == 1
        assert one.value("objects", kind="EndpointSlice") == before + 1


def test_certificates_have_the_time_of_their_end() -> None:
    day = timedelta(days=1)
    old = judge(secret("s", "certs", start=START, end=START + YEAR))
    new = judge(secret("s", "certs", start=START, end=START + YEAR + day))
    broken = judge(plain_secret("broken", "certs", {}))
    end = (START + YEAR).timestamp()
    assert expiries({}, {"certs/s": old, "certs/broken": broken}) == {("certs/s",): end, ("certs/broken",): None}
    assert expiries({"certs/s": old}, {"certs/s": new}) == {("certs/s",): end + day.total_seconds()}
    assert expiries({"certs/s": old}, {}) == {("certs/s",): None}
