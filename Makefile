# The targets call the scripts in .ci/, which have the documentation. `make build ASAN=1`, TRACE=1, DEBUG=1: see setup.py.
.PHONY: demo test check fmt build bench fuzz soak cluster conformance interop h2spec dashboard pictures image lock wheels release clean
demo: ; @.ci/prepare run && .ci/build && .venv/bin/fastroute demo $(ARGS)
test: ; @.ci/prepare test && .ci/build && .ci/test
check: ; @.ci/prepare test && .ci/build && .ci/check
fmt: ; @.ci/prepare test && .venv/bin/ruff format . && .venv/bin/ruff check --fix .
build: ; @.ci/prepare run && .ci/build
bench: ; @.ci/prepare test && .ci/build && .venv/bin/python -m bench $(ARGS)
fuzz: ; @.ci/prepare test && .ci/fuzz $(or $(MINUTES),1) $(TARGET)
soak: ; @.ci/prepare test && .ci/sanitize -m bench.soak --minutes $(or $(MINUTES),10) $(ARGS)
cluster: ; @.ci/prepare test && .ci/build && .ci/cluster cluster $(ARGS)
conformance: ; @.ci/prepare test && .ci/build && .ci/cluster conformance $(if $(API),--api $(API)) $(if $(PROFILES),--profiles $(PROFILES)) $(if $(TEST),--test $(TEST)) $(ARGS)
interop: ; @.ci/prepare test && .ci/build && INTEROP_RESULTS=1 .ci/cluster pytest tests/http2/interop
h2spec: ; @.ci/prepare test && .ci/build && H2SPEC_RESULTS=1 .ci/cluster pytest tests/http2/h2spec
dashboard: ; @.ci/dashboard
pictures: ; @.ci/prepare test && .ci/build && PYTHONPATH=tests:. .venv/bin/python -m dashboard.pictures docs/pictures
image: ; @.ci/image
lock: ; @.ci/lock
wheels: ; @.ci/prepare run && .ci/wheels
release: wheels ; @.ci/release
clean: ; rm -rf .venv build dist .cache fastroute.egg-info
