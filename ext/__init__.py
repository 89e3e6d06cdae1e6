"""The data plane, compiled. Each folder is one part; a part uses only the parts that precede it here:
memory, message, http1, tls, routing, reactor, http2, sides, exchange, engine.

In a checkout the compiled modules are in build/modules, not beside their sources; an installed package has them here.
"""

from pathlib import Path

_BUILT = Path(__file__).absolute().parents[2] / "build/modules/fastroute/ext"
if _BUILT.is_dir():
    __path__.append(str(_BUILT))
