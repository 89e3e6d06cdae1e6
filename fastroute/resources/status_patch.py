"""StatusPatch: the status one object should have, without a clock. The writer adds only `lastTransitionTime`."""

from typing import Any

import msgspec

from fastroute.resources.meta import Key


class StatusPatch(msgspec.Struct, frozen=True):
    """`status` has the API's own shape (`{"conditions": [...]}`, `{"parents": [...]}`), of ours the whole, of other
    controllers' entries what was read. `generation` and `uid` are those of the object that was read."""

    kind: str
    key: Key
    generation: int
    status: dict[str, Any]
    uid: str = ""  # manifests have none
