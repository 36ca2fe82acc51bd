# One image for every role: `operator`, `loadgen`, `simulate`, `crd`.
#
# BASE is any image with Python 3.11 or later and its venv module. It needs no pip: Debian's own Python has none.
# With wheels in build/wheels (`make image` puts them there) the build uses no network; without them pip takes
# the same files from the index it is configured with. Either way only files with the locked hashes get in.
ARG BASE=docker.io/library/python:3.11-slim-bookworm

FROM ${BASE} AS runtime
COPY requirements/runtime.txt requirements/installer.txt build/wheel[s] /build/
# A venv, so that the base's packages and ours never meet; pip stays outside of it. pip's wheel is runnable as it is.
# unchecked-hash: compiled once and for all, nothing is compared at start-up.
RUN set -eu; \
    python3 -m venv --without-pip /opt/enginebench; \
    if ls /build/pip-*.whl >/dev/null 2>&1; then \
      export PIP_NO_INDEX=1 PIP_FIND_LINKS=/build; \
      pip="python3 $(ls /build/pip-*.whl)/pip"; \
    else \
      pip="python3 -m pip"; \
    fi; \
    $pip --python /opt/enginebench/bin/python install --quiet --no-cache-dir --no-compile \
      --disable-pip-version-check --require-hashes --requirement /build/runtime.txt; \
    python3 -m compileall -q -j 0 --invalidation-mode unchecked-hash /opt/enginebench/lib

FROM runtime AS code
COPY operator/enginebench /opt/enginebench/app/enginebench
RUN python3 -m compileall -q --invalidation-mode unchecked-hash /opt/enginebench/app

FROM ${BASE}
LABEL org.opencontainers.image.title="EngineBench" \
      org.opencontainers.image.description="Benchmarks of inference engines on Kubernetes"
COPY --from=runtime /opt/enginebench /opt/enginebench
COPY --from=code /opt/enginebench/app /opt/enginebench/app
# HOME and USER: under a user ID that has no name (OpenShift gives any) nothing may ask for one.
ENV PATH=/opt/enginebench/bin:$PATH PYTHONPATH=/opt/enginebench/app PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 \
    HOME=/tmp USER=enginebench
USER 10001:10001
ENTRYPOINT ["/opt/enginebench/bin/python", "-m", "enginebench"]
CMD ["operator"]
