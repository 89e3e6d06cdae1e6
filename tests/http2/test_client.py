"""The client of these tests itself."""

import pytest
from http2.client import client
from rig import PLAIN, rule, running

pytestmark = [pytest.mark.usefixtures("transport"), PLAIN]


async def test_an_exception_in_the_block_is_raised() -> None:
    """Or no assertion in such a block would have an effect."""
    with pytest.RaisesGroup(ValueError, flatten_subgroups=True):
        async with running(rule("b")) as rig, client(rig.port):
            raise ValueError
