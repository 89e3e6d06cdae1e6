"""The manifests of the guides are accepted by `fastroute check --strict`, and each guide is reached from README.md."""

import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from guides import DOCS, GUIDES, OTHERS, OURS, assumed, manifests, served

WARNED = {
    "argo-rollouts.md": "spec.rules[0].backendRefs[1].weight: Weight 0: checkout/checkout-canary:8080 gets no request."
}


def check(objects: list[dict], folder: Path) -> subprocess.CompletedProcess[str]:
    (folder / "all.yaml").write_text(yaml.safe_dump_all(objects))
    command = [sys.executable, "-m", "fastroute", "check", "--strict", str(folder)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("guide", GUIDES)
def test_check_accepts_every_manifest(guide: str, tmp_path: Path) -> None:
    found = served(guide)
    assert len([one for one in found if one["kind"] in ("Gateway", "HTTPRoute")]) >= 3
    ended = check([*assumed(guide), *found], tmp_path)
    warnings = [line for line in ended.stdout.splitlines() if line.startswith("warning:")]
    assert [line for line in warnings if WARNED.get(guide, "none") not in line] == []
    assert f" 0 problems, {int(guide in WARNED)} warning" in ended.stdout, ended.stdout
    assert ended.returncode == int(guide in WARNED)


@pytest.mark.parametrize("guide", GUIDES)
def test_without_what_a_guide_assumes_check_says_what_is_missing(guide: str, tmp_path: Path) -> None:
    """So that the test above judges something: a mistake in a name would be seen."""
    kept = [one for one in assumed(guide) if one["kind"] not in ("Service", "Secret")]
    assert check([*kept, *served(guide)], tmp_path).returncode == 1


@pytest.mark.parametrize("guide", GUIDES)
def test_every_other_object_is_of_a_kind_that_is_known(guide: str) -> None:
    kinds = {f"{one['apiVersion']} {one['kind']}" for one in manifests(guide) if one["apiVersion"] != OURS}
    assert kinds - OTHERS == set()
    assert all(one["metadata"]["name"] for one in manifests(guide))


@pytest.mark.parametrize("guide", GUIDES)
def test_readme_links_it_and_its_links_lead_somewhere(guide: str) -> None:
    assert f"(docs/{guide})" in (DOCS.parent / "README.md").read_text()
    text = (DOCS / guide).read_text()
    targets = [part.partition(")")[0] for part in text.split("](")[1:]]
    assert [target for target in targets if not (DOCS / target).exists()] == []
