"""What an XTelemetryPolicy demands of the traces of a Gateway (GEP-4768), without its objects. Frozen data."""

from fractions import Fraction

from fastroute.resources.meta import Key, Typed


class Collector(Typed, frozen=True):
    """What gets spans over OTLP/HTTP, at /v1/traces."""

    service: Key
    endpoints: tuple[str, ...]  # ADDRESS:PORT, ready ones first; none: nothing can be sent now
    headers: tuple[tuple[str, str], ...] = ()


class GatewayTracing(Typed, frozen=True):
    """How requests of one Gateway are traced, if a policy with mode Enabled or Disabled applies to it.

    `attributes` are those of every span: a name, and what gives the value.
    """

    gateway: Key
    policy: Key
    collector: Collector | None  # None: mode Disabled, or the reference is not resolved: nothing is exported
    sampling: Fraction  # of traces that begin here
    parent_sampling: Fraction | None  # of traces whose sender sampled them; None: `sampling` decides for every request
    service_name: str | None = None
    span_name: str | None = None
    literals: tuple[tuple[str, str], ...] = ()
    keys: tuple[tuple[str, str], ...] = ()  # keys of OpenTelemetry's semantic conventions
    headers: tuple[tuple[str, str], ...] = ()  # lowercase names of fields of the request
