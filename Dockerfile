# syntax=docker/dockerfile:1
# Two stages: the first compiles and installs into /opt/fastroute, the second has no compiler and runs as nobody in particular.
#   docker build -t fastroute .
#   docker run --rm --network host -v "$PWD/examples/cross-namespace:/manifests:ro" fastroute serve --manifests /manifests
FROM debian:12-slim AS build
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install -y --no-install-recommends g++ libre2-dev libssl-dev python3-dev python3-venv \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /source
COPY .ci/run.lock .ci/run.lock
RUN python3 -m venv /opt/fastroute \
    && /opt/fastroute/bin/pip install --no-cache-dir --require-hashes -r .ci/run.lock
COPY setup.py pyproject.toml README.md LICENSE ./
COPY ext ext
COPY fastroute fastroute
COPY examples examples
# What only builds is taken out again; of the compiled modules the symbols are enough.
RUN /opt/fastroute/bin/pip install --no-cache-dir --no-deps --no-build-isolation . \
    && /opt/fastroute/bin/pip uninstall --yes cython setuptools wheel pip \
    && find /opt/fastroute -name '*.so' -path '*/fastroute/ext/*' -exec strip --strip-debug {} +

FROM debian:12-slim
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install -y --no-install-recommends libre2-9 libssl3 python3 \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --uid 10001 --user-group --no-create-home --shell /usr/sbin/nologin fastroute
COPY --from=build /opt/fastroute /opt/fastroute
ENV PATH=/opt/fastroute/bin:$PATH
USER 10001:10001
WORKDIR /
EXPOSE 80 443 9900
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=2s --start-period=10s --retries=3 \
    CMD ["python3", "-c", "import urllib.request as r; r.urlopen('http://127.0.0.1:9900/healthz', timeout=1)"]
ENTRYPOINT ["fastroute"]
CMD ["--help"]
