# Three images, one file: docker build --target operator|serving|training .
# Each holds the dependencies of its own part and nothing of the others: no kopf beside a model, no ONNX Runtime in the operator.
ARG BASE=python:3.12-slim

FROM ${BASE} AS base
ENV PATH=/opt/venv/bin:/usr/local/bin:/usr/bin:/bin \
    PYTHONPATH=/app \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    PIP_NO_CACHE_DIR=1 \
    PIP_DISABLE_PIP_VERSION_CHECK=1
WORKDIR /app
RUN python3 -m venv /opt/venv


FROM base AS operator
COPY requirements/operator.lock /tmp/lock
RUN pip install --require-hashes --no-deps --only-binary :all: -r /tmp/lock && rm /tmp/lock
COPY operator/kingmaker kingmaker
RUN printf '%s\n' '#!/opt/venv/bin/python' 'import sys' 'from kingmaker.__main__ import main' 'sys.exit(main())' \
      > /opt/venv/bin/kingmaker-operator \
    && chmod 0755 /opt/venv/bin/kingmaker-operator \
    && python -m compileall -q kingmaker
USER 65532:65532
EXPOSE 8082 18000
ENTRYPOINT ["kingmaker-operator"]


FROM base AS serving
COPY requirements/serving.lock /tmp/lock
RUN pip install --require-hashes --no-deps --only-binary :all: -r /tmp/lock && rm /tmp/lock
COPY serving/kingmaker_serving kingmaker_serving
RUN printf '%s\n' '#!/opt/venv/bin/python' 'import sys' 'from kingmaker_serving.__main__ import main' 'sys.exit(main())' \
      > /opt/venv/bin/kingmaker-serving \
    && chmod 0755 /opt/venv/bin/kingmaker-serving \
    && python -m compileall -q kingmaker_serving
USER 65532:65532
EXPOSE 8080 8082
ENTRYPOINT ["kingmaker-serving"]


# What a retraining Job builds upon: scikit-learn, ONNX export and `kingmaker-serving package`; the trainer itself is yours.
FROM base AS training
COPY requirements/training.lock /tmp/lock
RUN pip install --require-hashes --no-deps --only-binary :all: -r /tmp/lock && rm /tmp/lock
COPY --from=serving /app/kingmaker_serving kingmaker_serving
COPY --from=serving /opt/venv/bin/kingmaker-serving /opt/venv/bin/kingmaker-serving
USER 65532:65532
CMD ["python"]
