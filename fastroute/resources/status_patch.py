"""StatusPatch: the status that an object should have, without times. The writer adds `lastTransitionTime`."""

from typing import Any

import msgspec

from fastroute.resources.meta import Key


class StatusPatch(msgspec.Struct, frozen=True):
    """`status` has the format of the API (`{"conditions": [...]}`, `{"parents": [...]}`): all entries of fastroute, and
    other controllers' entries as they were read. `generation` and `uid` are those of the object that was read."""

    kind: str
    key: Key
    generation: int
    status: dict[str, Any]
    uid: str = ""  # empty for objects from manifests
