"""A worker that an attacker controls. `python hostile.py FILE DESCRIPTOR` is a worker that runs the code of FILE
before it serves. It is confined like any worker. Text that the code passes to `say` is sent to the main process as a
warning."""

import sys
from pathlib import Path

from fastroute.publication import Trouble
from fastroute.worker import __main__ as worker

code = compile(Path(sys.argv.pop(1)).read_text(), "the attacker's code", "exec")
serve = worker.serve


async def turned(control, anchors):
    said = []
    exec(code, {"say": said.append})
    for text in said:
        await control.send(Trouble(text))
    await serve(control, anchors)


worker.serve = turned
worker.main()
