"""The data plane, compiled. Each folder is one part; a part uses only the parts that precede it here:
memory, message, http1, tls, routing, reactor, http2, sides, exchange, engine.

All compiled modules are in one shared library. In a checkout it is in build/modules; an installed package has it here.
"""

import sys
from pathlib import Path

_BUILT = Path(__file__).absolute().parents[2] / "build/modules/fastroute/ext"
if _BUILT.is_dir():
    __path__.append(str(_BUILT))

from fastroute.ext.library import Library  # noqa: E402 - found by the path above

sys.meta_path.append(Library)
