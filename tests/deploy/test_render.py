"""The chart and the kustomize base contain the same objects for each switch, and match docs/deploy.md."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from cluster.programs import ROOT
from deploy.rendering import Name, RenderError, base, chart, with_components

from deploy import rendering
from fastroute.log_options import ACCESS_LOG, TRACES
from fastroute.options import SERVE
from fastroute.settings import ServeSettings

pytestmark = pytest.mark.timeout(900)  # helm and kubectl are built first

SWITCHES = {
    "autoscaling.enabled": "autoscaling",
    "serviceMonitor.enabled": "monitoring",
    "networkPolicy.enabled": "network-policy",
    "grantPolicy.enabled": "grant-policy",
    "infrastructure.enabled": "infrastructure",
}
DEPLOYMENT = Name("Deployment", "fastroute", "fastroute")


def arguments(objects: rendering.Objects, deployment: Name = DEPLOYMENT) -> list[str]:
    return objects[deployment]["spec"]["template"]["spec"]["containers"][0]["args"]


def environment(objects: rendering.Objects) -> list[dict[str, Any]]:
    return objects[DEPLOYMENT]["spec"]["template"]["spec"]["containers"][0]["env"]


def seconds(shown: str) -> float:
    return float(shown.removesuffix("s"))


def test_chart_and_base_are_the_same_objects():
    assert chart() == base()


@pytest.mark.parametrize(("value", "component"), SWITCHES.items())
def test_each_component_is_what_a_value_of_the_chart_gives(value, component, tmp_path):
    switched = chart(f"--set={value}=true")
    assert switched != chart()
    assert switched == with_components(tmp_path, component)


def test_all_components_together(tmp_path):
    everything = chart(*(f"--set={value}=true" for value in SWITCHES))
    assert everything == with_components(tmp_path, *SWITCHES.values())


def test_the_component_for_some_namespaces_is_what_the_chart_gives(tmp_path):
    assert chart("--set=watchNamespaces={team-a,team-b}") == with_components(tmp_path, "namespaces")


def sorted_arguments(objects):
    """The order of options has no effect."""
    arguments(objects).sort()
    return objects


def test_services_are_written_only_in_the_watched_namespaces_with_kustomize_too(tmp_path):
    switched = chart("--set=watchNamespaces={team-a,team-b}", "--set=infrastructure.enabled=true")
    components = with_components(tmp_path, "namespaces", "infrastructure-namespaces")
    assert sorted_arguments(switched) == sorted_arguments(components)


def test_kustomize_adds_only_a_namespace_held_to_the_restricted_standard():
    added = rendering.whole()
    namespace = added.pop(Name("Namespace", None, "fastroute"))
    assert namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"
    assert added == base()


def test_a_port_of_udp_is_udp_everywhere():
    values = [
        "networkPolicy.enabled=true",
        *(f"service.ports[2].{one}" for one in ("name=dns", "port=53", "protocol=UDP")),
    ]
    defaults = [
        f"service.ports[{i}].{one}" for i, port in enumerate((80, 443)) for one in (f"name=p{i}", f"port={port}")
    ]
    objects = chart(*(f"--set={one}" for one in (*defaults, *values)))
    service = objects[Name("Service", "fastroute", "fastroute")]["spec"]["ports"]
    container = objects[DEPLOYMENT]["spec"]["template"]["spec"]["containers"][0]["ports"]
    policy = objects[Name("NetworkPolicy", "fastroute", "fastroute")]["spec"]["ingress"][0]["ports"]
    assert [one.get("protocol") for one in service] == [None, None, "UDP"]
    assert [one.get("protocol") for one in container[:3]] == [None, None, "UDP"]
    assert policy == [{"port": "p0"}, {"port": "p1"}, {"port": "dns", "protocol": "UDP"}]


def test_two_releases_share_no_cluster_wide_name():
    def cluster_wide(objects):
        return {name for name in objects if name.namespace is None}

    one = chart("--set=gatewayClass.name=one", "--set=grantPolicy.enabled=true", namespace="one")
    two = chart("--set=gatewayClass.name=two", "--set=grantPolicy.enabled=true", namespace="two")
    assert len(cluster_wide(one)) == 5
    assert cluster_wide(one) & cluster_wide(two) == set()


def test_a_pod_has_time_to_drain():
    given = dict(argument.removeprefix("--").split("=") for argument in arguments(base()) if "=" in argument)
    pod = base()[DEPLOYMENT]["spec"]["template"]["spec"]
    assert seconds(given["drain-delay"]) == 5
    assert pod["terminationGracePeriodSeconds"] > seconds(given["drain-delay"]) + seconds(given["drain-timeout"])


def test_a_grace_period_that_cuts_the_drain_short_is_refused():
    with pytest.raises(RenderError, match="terminationGracePeriodSeconds"):
        chart("--set=drainTimeout=10m")
    chart("--set=drainTimeout=10m", "--set=terminationGracePeriodSeconds=610")


def test_every_port_of_the_service_is_one_of_the_pod():
    for offset in (0, 8000):
        objects = chart(f"--set=portOffset={offset}")
        ports = objects[DEPLOYMENT]["spec"]["template"]["spec"]["containers"][0]["ports"]
        pod = {port["name"]: port["containerPort"] for port in ports}
        for port in objects[Name("Service", "fastroute", "fastroute")]["spec"]["ports"]:
            assert pod[port["targetPort"]] == port["port"] + offset


def test_probes_use_the_port_that_no_scrape_delays():
    container = base()[DEPLOYMENT]["spec"]["template"]["spec"]["containers"][0]
    ports = {port["name"]: port["containerPort"] for port in container["ports"]}
    assert ports["health"] == 9902
    assert "--health=[::]:9902" in container["args"]
    for probe in ("livenessProbe", "readinessProbe"):
        assert container[probe]["httpGet"]["port"] == "health"


def test_the_admin_api_is_only_at_the_loopback_address_of_a_pod():
    for objects in (base(), chart()):
        container = objects[DEPLOYMENT]["spec"]["template"]["spec"]["containers"][0]
        assert not [word for word in container["args"] if word.startswith("--admin")]  # the default is 127.0.0.1
        assert ServeSettings().admin == ("127.0.0.1", 9901)
        assert "9901" not in yaml.safe_dump(list(objects.values()))


def test_the_network_policy_admits_clients_and_scrapes_only(tmp_path):
    objects = with_components(tmp_path, "network-policy")
    policy = objects[Name("NetworkPolicy", "fastroute", "fastroute")]["spec"]
    assert policy["podSelector"] == objects[DEPLOYMENT]["spec"]["selector"]
    clients, scrapes = policy["ingress"]
    assert [port["port"] for port in clients["ports"]] == ["http", "https"]
    assert "from" not in clients
    assert [port["port"] for port in scrapes["ports"]] == ["metrics"]
    assert scrapes["from"]


def test_low_ports_need_neither_root_nor_a_capability():
    pod = base()[DEPLOYMENT]["spec"]["template"]["spec"]
    assert pod["securityContext"]["sysctls"] == [{"name": "net.ipv4.ip_unprivileged_port_start", "value": "0"}]
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["containers"][0]["securityContext"]["capabilities"] == {"drop": ["ALL"]}
    shifted = chart("--set=portOffset=8000", "--set=hostNetwork=true")[DEPLOYMENT]["spec"]["template"]["spec"]
    assert "sysctls" not in shifted["securityContext"]  # a pod in the host's network namespace must not set any


def test_the_lease_is_the_one_the_role_is_for():
    objects = chart(release="edge", namespace="ingress")
    role = objects[Name("Role", "ingress", "edge-fastroute")]
    [named] = [rule["resourceNames"] for rule in role["rules"] if "resourceNames" in rule]
    lease = next(a for a in arguments(objects, Name("Deployment", "ingress", "edge-fastroute")) if "lease" in a)
    assert lease == f"--status-lease=$(POD_NAMESPACE)/{named[0]}"


def test_an_autoscaler_takes_the_place_of_a_number():
    objects = chart("--set=autoscaling.enabled=true")
    assert "replicas" not in objects[DEPLOYMENT]["spec"]
    target = objects[Name("HorizontalPodAutoscaler", "fastroute", "fastroute")]["spec"]["scaleTargetRef"]
    assert (target["kind"], target["name"]) == ("Deployment", "fastroute")


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ("replicas=two", "replicas"),
        ("replica=3", "replica"),
        ("drainDelay=5", "drainDelay"),
        ("service.ports[0].port=70000", "port"),
        ("service.type=Loadbalancer", "type"),
        ("controllerName=fastroute", "controllerName"),
        ("gateways[0]=infra", "gateways"),
        ("hostNetwork=true", "portOffset"),
        ("accessLog.format=nginx", "format"),
        ("accessLog.sample=2", "sample"),
        ("watchNamespaces[0]=Team", "watchNamespaces"),
        ("tracing.endpoint=collector:4318", "endpoint"),
        ("tracing.endpoint=http://", "endpoint"),
        ("tracing.sampling=2", "sampling"),
        ("tracing.headersSecret.name=token", "endpoint"),  # headers for no collector
    ],
)
def test_a_wrong_value_is_refused_by_its_name(setting, said):
    with pytest.raises(RenderError, match=said):
        chart(f"--set={setting}")


@pytest.mark.parametrize("sample", ["0", "0.25", "0.00001", "1"])
def test_the_access_log_is_on_stdout(sample):
    objects = chart(
        "--set=accessLog.enabled=true", "--set=accessLog.format=combined", f"--set-json=accessLog.sample={sample}"
    )
    chosen = [words.partition("=")[::2] for words in arguments(objects) if words.startswith("--access-log")]
    assert [name for name, _ in chosen] == [one.name for one in ACCESS_LOG]
    assert [one.read(text) if one.read else text for one, (_, text) in zip(ACCESS_LOG, chosen, strict=True)] == [
        "-",
        "combined",
        float(sample),
    ]
    assert not any("access-log" in words for words in arguments(chart()))


def test_the_patch_for_traces_in_the_guide_is_what_the_chart_gives(tmp_path):
    guide = (ROOT / "docs" / "deploy.md").read_text().partition("### Traces")[2]
    [patches] = re.findall(r"```yaml\n(patches:.*?)```", guide, re.DOTALL)[:1]
    values = re.findall(r"--set (tracing\S+)", guide)
    traced = chart(*(f"--set={value}" for value in values))
    assert len(values) == 2
    assert sorted_arguments(traced) == sorted_arguments(with_components(tmp_path, patches=patches))
    [variable] = environment(traced)[1:]
    assert variable["valueFrom"] == {"secretKeyRef": {"name": "collector", "key": "headers"}}
    assert environment(chart("--set=tracing.endpoint=http://collector:4318")) == environment(base())


@pytest.mark.parametrize("sampling", ["0", "0.25", "0.00001", "1"])
def test_traces_are_options_of_serve(sampling):
    objects = chart("--set=tracing.endpoint=http://[fd00::1]:4318/otlp", f"--set-json=tracing.sampling={sampling}")
    chosen = dict(words.split("=", 1) for words in arguments(objects) if words.startswith(("--otlp", "--trace")))
    assert [one.read(chosen[one.name]) for one in TRACES] == ["http://[fd00::1]:4318/otlp", float(sampling)]
    assert not any("trac" in words or "otlp" in words for words in arguments(chart()))


def test_every_value_has_a_schema_and_a_line_that_explains_it():
    schema = json.loads((rendering.CHART / "values.schema.json").read_text())
    text = (rendering.CHART / "values.yaml").read_text()

    def unknown(values, schema, path):
        for name, value in values.items():
            if name not in schema.get("properties", {}):
                yield f"{path}{name}"
            elif isinstance(value, dict) and schema["properties"][name].get("properties"):
                yield from unknown(value, schema["properties"][name], f"{path}{name}.")

    values = yaml.safe_load(text)
    assert list(unknown(values, schema, "")) == []
    documented = (ROOT / "docs" / "deploy.md").read_text()
    assert [name for name in values if f"`{name}" not in documented] == []


def test_the_versions_are_those_of_the_package():
    project = (ROOT / "pyproject.toml").read_text()
    version = re.search(r'^version = "(.*)"$', project, re.MULTILINE)[1]
    about = yaml.safe_load((rendering.CHART / "Chart.yaml").read_text())
    assert (about["version"], about["appVersion"]) == (version, version)
    assert f"image: fastroute:{version}" in (rendering.KUSTOMIZE / "base" / "deployment.yaml").read_text()


def test_the_pods_arguments_are_options_of_serve():
    everything = (
        "--set=infrastructure.enabled=true",
        "--set=portOffset=1",
        "--set=gateways[0]=a/b",
        "--set=watchNamespaces[0]=a",
        "--set=tracing.endpoint=http://a:4318",
    )
    given = {one.split("=")[0] for one in arguments(chart(*everything)) if one.startswith("--")}
    assert given - {option.name for option in SERVE} == set()


def test_no_file_of_the_chart_is_unused():
    """A template that renders nothing for any value is a mistake."""
    everything = chart(*(f"--set={value}=true" for value in SWITCHES))
    kinds = {name.kind.lower() for name in everything}
    for template in Path(rendering.CHART / "templates").glob("*.yaml"):
        stem = template.stem
        assert stem in kinds or stem in ("rbac", "grantpolicy"), template


def test_pods_get_no_variables_of_services():
    for objects in (rendering.chart(), rendering.base()):
        assert objects[DEPLOYMENT]["spec"]["template"]["spec"]["enableServiceLinks"] is False
