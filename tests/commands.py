"""Runs the commands of fastroute within the test process, and the examples that tests pass to them."""

from pathlib import Path

from typer.testing import CliRunner, Result

from fastroute.cli import app

EXAMPLES = Path(__file__).parent.parent / "examples"
REFUSED = EXAMPLES / "fine-grained"
FINE = EXAMPLES / "cross-namespace"


def fastroute(*words: object, **environment: str) -> Result:
    return CliRunner().invoke(app, [str(word) for word in words], env=environment)
