"""The tutorials and the troubleshooting guide: every command works, and prints the documented output."""

import subprocess
import sys

import pytest
from cluster import isolation
from cluster.programs import ROOT

from installed.walkthrough import agree, blocks, steps

DOCUMENTS = (
    "tutorial-fruits.md",
    "tutorial-shared-services.md",
    "troubleshooting.md",
    "tls.md",
    "client-certificates.md",
    "backend-tls.md",
)


@pytest.mark.timeout(600)
def test_every_command_of_the_documents_does_what_they_say() -> None:
    """In a new, empty cluster, in the order in which the documents refer to each other."""
    way = isolation.way_in()
    assert way is not None
    command = [*way, sys.executable, "-m", "installed.walkthrough", *(f"docs/{name}" for name in DOCUMENTS)]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stdout + ended.stderr


def test_the_documents_have_commands_to_run():
    found = {
        name: sum(len(steps(*block)) for block in blocks((ROOT / "docs" / name).read_text())) for name in DOCUMENTS
    }
    assert min(found.values()) >= 10


@pytest.mark.parametrize(
    ("printed", "expected", "same"),
    [
        ("edge  1m4s\n", "edge 12s\n", True),
        ("edge  True\n", "edge False\n", False),
        ("a\nb\nc\n", "a\n...\nc\n", True),
        ("a\nb\n", "a\n", False),
        ("     30 200\n     70 500\n", "30 200\n70 500\n", True),
        ("     31 200\n     69 500\n", "30 200\n70 500\n", False),
        ("pod/fastroute-5b9fbd4d48-rrdh8 10.244.0.7\n", "pod/fastroute-79c8d6fbb4-aaaaa 10.244.0.9\n", True),
        ("Last Transition Time:  2026-11-21T11:38:19Z\n", "Last Transition Time: 2025-01-01T00:00:00Z\n", True),
    ],
)
def test_only_what_a_cluster_makes_up_may_differ(printed, expected, same):
    assert agree(printed, expected) is same
