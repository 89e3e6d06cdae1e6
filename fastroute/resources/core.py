"""The core kinds we read: Namespace, Service, EndpointSlice, Secret, ConfigMap."""

from typing import Any, ClassVar, Self

import msgspec

from fastroute.resources.meta import Resource, Typed

SERVICE_NAME_LABEL = "kubernetes.io/service-name"


class Namespace(Resource, frozen=True, kw_only=True):
    omission: str = ""  # why its labels are not known: text that follows "labels of namespace team-a"


class ServicePort(Typed, frozen=True):
    port: int
    name: str = ""
    protocol: str = "TCP"
    app_protocol: str | None = None


class ServiceSpec(Typed, frozen=True, dict=True, rename={"cluster_ip": "clusterIP", "external_ips": "externalIPs"}):
    ports: tuple[ServicePort, ...] = ()
    type: str = "ClusterIP"
    cluster_ip: str | None = None  # "None" for a headless Service
    external_ips: tuple[str, ...] = ()

    @property
    def by_number(self) -> dict[int, tuple[ServicePort, ...]]:
        """The ports with each number, those of protocol TCP first.

        A Service may have thousands of ports, and thousands of references to them: this is made once.
        """
        known: dict[int, tuple[ServicePort, ...]] | None = self.__dict__.get("by_number")
        if known is None:
            known = {}
            for port in sorted(self.ports, key=lambda port: port.protocol != "TCP"):
                known[port.port] = (*known.get(port.port, ()), port)
            self.__dict__["by_number"] = known
        return known


class Service(Resource, frozen=True, kw_only=True):
    spec: ServiceSpec = ServiceSpec()
    status: dict[str, Any] = {}


class EndpointConditions(Typed, frozen=True):
    ready: bool | None = None  # absent: true
    serving: bool | None = None  # absent: the value of `ready`
    terminating: bool | None = None  # absent: false


class SliceEndpoint(Typed, frozen=True):
    addresses: tuple[str, ...]
    conditions: EndpointConditions = EndpointConditions()


class EndpointPort(Typed, frozen=True):
    port: int | None = None
    name: str = ""
    protocol: str = "TCP"


class EndpointSlice(Resource, frozen=True, kw_only=True):
    address_type: str = "IPv4"
    endpoints: tuple[SliceEndpoint, ...] | None = ()  # the API server sends null for an empty list, for example
    ports: tuple[EndpointPort, ...] | None = ()  # for a Service scaled to zero


CHAIN, KEY = "tls.crt", "tls.key"
MOST_CHARACTERS = 262_144  # of base64 in one of these
CERTIFICATES = "certificates.k8s.io"  # the group of ClusterTrustBundles
AUTHORITIES = "ca.crt"  # CA certificates in a ConfigMap
MOST_AUTHORITIES = 524_288  # characters of it


class WithData(Resource, frozen=True, kw_only=True):
    data: dict[str, str] = {}
    omission: str = ""  # why `data` is empty although the object has some: text that follows the name of the object

    @property
    def size(self) -> int:
        """Characters of the data."""
        return sum(map(len, self.data.values()))

    def without_data(self, omission: str) -> Self:
        return msgspec.structs.replace(self, data={}, omission=omission)


class Secret(WithData, frozen=True, kw_only=True):
    """`data` is base64; the decoder adds the entries of `stringData`."""

    type: str = "Opaque"

    def trimmed(self) -> "Secret":
        """Only what may be a certificate: the rest would take memory, up to 1 MiB for each Secret of the cluster."""
        data = {name: self.data[name] for name in (CHAIN, KEY) if name in self.data}
        for name, text in data.items():
            if len(text) > MOST_CHARACTERS:
                return self.without_data(
                    f"has {len(text):,} characters of base64 in {name} (maximum {MOST_CHARACTERS:,})"
                )
        return msgspec.structs.replace(self, data=data, omission="")

    def __repr__(self) -> str:
        """Does not show the contents."""
        return f"Secret({self.key})"

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        return [("key", str(self.key))]


class WithAuthorities(WithData, frozen=True, kw_only=True):
    """CA certificates as PEM, in one entry of `data`."""

    entry: ClassVar[str]  # as users write it

    def holding(self, text: str | None) -> Self:
        """With these CA certificates, if they are not too large."""
        if text is not None and len(text) > MOST_AUTHORITIES:
            return self.without_data(
                f"has {len(text):,} characters in {self.entry} (maximum {MOST_AUTHORITIES:,}): keep only the CAs that "
                "issue certificates of these backends"
            )
        return msgspec.structs.replace(self, data={} if text is None else {self.entry: text}, omission="")


class ConfigMap(WithAuthorities, frozen=True, kw_only=True):
    entry: ClassVar[str] = AUTHORITIES

    def trimmed(self) -> "ConfigMap":
        """Only what may be CA certificates, as for a Secret."""
        return self.holding(self.data.get(AUTHORITIES))


class TrustBundleSpec(Typed, frozen=True):
    trust_bundle: str = ""


class ClusterTrustBundle(WithAuthorities, frozen=True, kw_only=True):
    """`data` has the content of the spec, so that the graph reads it like a ConfigMap."""

    entry: ClassVar[str] = "spec.trustBundle"
    spec: TrustBundleSpec = TrustBundleSpec()

    def trimmed(self) -> "ClusterTrustBundle":
        return msgspec.structs.replace(self.holding(self.spec.trust_bundle), spec=TrustBundleSpec())
