# syntax=docker/dockerfile:1
# Two stages: the first compiles and installs into /opt/fastroute; the second has no compiler and no pip, and runs as uid 10001.
#   docker build -t fastroute .
#   docker run --rm --network host -v "$PWD/examples/cross-namespace:/manifests:ro" fastroute serve --manifests /manifests
FROM debian:13-slim AS build
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install -y --no-install-recommends g++ libnghttp2-dev libre2-dev libssl-dev python3-dev python3-venv \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /source
# pip is in a separate environment, so that no part of it remains in the environment of fastroute.
RUN python3 -m venv /opt/pip && python3 -m venv --without-pip /opt/fastroute
ENV PIP_NO_CACHE_DIR=1 PIP_NO_COMPILE=1 PIP_PYTHON=/opt/fastroute/bin/python
COPY .ci/run.lock .ci/run.lock
RUN /opt/pip/bin/pip install --no-deps --only-binary :all: --require-hashes -r .ci/run.lock
COPY setup.py pyproject.toml README.md LICENSE ./
COPY ext ext
COPY fastroute fastroute
COPY examples examples
RUN /opt/pip/bin/pip install --no-deps --no-build-isolation .
# Remove build tools and modules that are never imported, and strip compiled modules of the symbols that the loader does not need.
# Compile all modules now, because the user of the container cannot write .pyc files.
COPY .ci/prune .ci/prune
RUN cd / && /opt/fastroute/bin/python -B /source/.ci/prune \
    && find /opt/fastroute -name '*.so*' -type f -exec strip --strip-unneeded {} + \
    && /opt/fastroute/bin/python -m compileall -q --invalidation-mode unchecked-hash /opt/fastroute/lib

FROM debian:13-slim
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install -y --no-install-recommends ca-certificates libnghttp2-14 libre2-11 libssl3t64 python3 \
    && apt-get clean && rm -rf /var/lib/apt/lists/* /var/log/* \
    && useradd --uid 10001 --user-group --no-create-home --shell /usr/sbin/nologin fastroute
COPY --from=build /opt/fastroute /opt/fastroute
ENV PATH=/opt/fastroute/bin:$PATH
USER 10001:10001
WORKDIR /
EXPOSE 80 443 9900 9902
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=2s --start-period=10s --retries=3 \
    CMD ["python3", "-c", "import urllib.request as r; r.urlopen('http://127.0.0.1:9902/healthz', timeout=1)"]
ENTRYPOINT ["fastroute"]
CMD ["--help"]
