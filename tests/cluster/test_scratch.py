"""A run leaves no folders behind, even if it was killed."""

import subprocess
import sys
import tempfile
from pathlib import Path

from cluster.scratch import scratch, sweep

RUN = """
import sys, tempfile, time
tempfile.tempdir = sys.argv[1]
from cluster.scratch import scratch
with scratch("one") as folder:
    (folder / "file").write_text("x")
    print(folder, flush=True)
    time.sleep(60)
"""


def test_a_folder_of_a_run_that_was_killed_is_removed_by_the_next_one(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    run = subprocess.Popen([sys.executable, "-c", RUN, str(tmp_path)], stdout=subprocess.PIPE, text=True, cwd="tests")
    folder = Path(run.stdout.readline().strip())
    sweep(tmp_path)
    assert (folder / "file").exists()  # sweep() does not remove it, because its process is running
    run.kill()
    run.communicate()
    assert (folder / "file").exists()
    with scratch("two") as mine:
        assert [path.name for path in tmp_path.iterdir()] == [mine.name]
    assert list(tmp_path.iterdir()) == []
