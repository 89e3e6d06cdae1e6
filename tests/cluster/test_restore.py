"""etcd is restored from an older backup: newer objects are gone, and the resource versions are lower than before."""

import shutil
from pathlib import Path

import urllib3

from cluster.api import Api
from cluster.cluster import Cluster
from cluster.echo import eventually
from cluster.gateway import CLASS
from cluster.test_writing import gateway, programmed, replica, route, states


def answer(host: str) -> int:
    """The response is 500 for a route without backends, and 404 without a route."""
    got = urllib3.request("GET", "http://127.0.2.1:8099/", headers={"Host": host}, timeout=5.0, retries=False)
    return got.status


def named(name: str) -> dict[str, object]:
    one = route("restored", name, "web")
    return {**one, "spec": {**one["spec"], "hostnames": [f"{name}.test"]}}


def test_what_was_restored_is_served_and_written_again(cluster: Cluster, api: Api, folder: Path) -> None:
    api.apply_text(CLASS)
    with replica(cluster, folder, 1) as (_, _):
        api.apply(*gateway("restored", 8099), named("before"))
        eventually(lambda: programmed(api, "restored") and answer("before.test") == 500, 30)
        cluster.kill()
        shutil.copytree(cluster.folder / "etcd", folder / "backup")
        cluster.start()
        api.apply(named("since"))
        api.delete("HTTPRoute", "restored", "before")
        for number in range(30):
            api.patch("HTTPRoute", "restored", "since", {"spec": {"hostnames": ["since.test", f"h{number}.test"]}})
        eventually(lambda: (answer("since.test"), answer("before.test")) == (500, 404), 30)
        cluster.kill()
        shutil.rmtree(cluster.folder / "etcd")
        shutil.copytree(folder / "backup", cluster.folder / "etcd")
        cluster.start()
        eventually(lambda: (answer("since.test"), answer("before.test")) == (404, 500), 60)
        api.apply(named("new"))
        eventually(lambda: answer("new.test") == 500 and bool(states(api, "restored", "new")), 30)
    assert "the API server went back from version" in (folder / "replica1.log").read_text()
