# Three images, one file: docker build --target operator|serving|training .
#
# Each holds the locked dependencies of its own part and nothing of the others: no kopf beside a model, no ONNX Runtime in
# the operator. What installs stays behind in the stages named `with-…`: no compiler, no cache and no installer is shipped.
# To add a package to a derived image use the base's own pip: `pip --python /opt/venv/bin/python install ...`.
# An exact release; the digest of what you build with is yours to pin: --build-arg BASE=python:3.12.13-slim@sha256:...
ARG BASE=python:3.12.13-slim

FROM ${BASE} AS installer
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
RUN python3 -m venv /opt/installer && python3 -m venv --without-pip /opt/venv
WORKDIR /app
# Used as `install LOCK`, and `command NAME MODULE` for a command on the PATH.
RUN printf '%s\n' '#!/bin/sh -e' \
      '/opt/installer/bin/pip --python /opt/venv/bin/python install --require-hashes --no-deps --only-binary :all: -r "$1"' \
      '# What numerical packages test themselves with: 50 MB that nobody runs.' \
      'find /opt/venv/lib -type d -name tests -prune -exec rm -rf {} +' \
      > /usr/local/bin/install-lock \
    && printf '%s\n' '#!/bin/sh' \
      'printf "%s\n" "#!/opt/venv/bin/python" "import sys" "from $2.__main__ import main" "sys.exit(main())" > "/opt/venv/bin/$1"' \
      'chmod 0755 "/opt/venv/bin/$1"' \
      > /usr/local/bin/add-command \
    && chmod 0755 /usr/local/bin/install-lock /usr/local/bin/add-command


FROM installer AS with-operator
COPY requirements/operator.lock /tmp/lock
RUN install-lock /tmp/lock
COPY operator/kingmaker kingmaker
RUN add-command kingmaker-operator kingmaker && /opt/venv/bin/python -m compileall -q kingmaker
RUN ! /opt/venv/bin/python -c 'import onnxruntime' 2>/dev/null && /opt/venv/bin/python -c 'import kingmaker.__main__'


FROM installer AS with-serving
COPY requirements/serving.lock /tmp/lock
RUN install-lock /tmp/lock
COPY serving/kingmaker_serving kingmaker_serving
RUN add-command kingmaker-serving kingmaker_serving && /opt/venv/bin/python -m compileall -q kingmaker_serving
RUN ! /opt/venv/bin/python -c 'import kopf' 2>/dev/null && /opt/venv/bin/python -c 'import kingmaker_serving.server.process'


FROM installer AS with-training
COPY requirements/training.lock /tmp/lock
RUN install-lock /tmp/lock
COPY --from=with-serving /app/kingmaker_serving kingmaker_serving
RUN add-command kingmaker-serving kingmaker_serving
# An example of a trainer: python /app/breast_cancer/train.py --help
COPY examples/breast_cancer/*.py breast_cancer/
RUN /opt/venv/bin/python -m compileall -q breast_cancer
RUN ! /opt/venv/bin/python -c 'import kopf' 2>/dev/null && /opt/venv/bin/python -c 'import sklearn, skl2onnx, kingmaker_serving.package'


FROM ${BASE} AS base
ENV PATH=/opt/venv/bin:/usr/local/bin:/usr/bin:/bin \
    PYTHONPATH=/app \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1
WORKDIR /app
# Exported text models change the case of texts as en_US.UTF-8 does. C.UTF-8, which is there, does it by the same tables.
RUN ln -s C.utf8 /usr/lib/locale/en_US.utf8 && python -c 'import locale; locale.setlocale(locale.LC_ALL, "en_US.UTF-8")'
USER 65532:65532


FROM base AS operator
COPY --from=with-operator /opt/venv /opt/venv
COPY --from=with-operator /app /app
EXPOSE 8082 18000
ENTRYPOINT ["kingmaker-operator"]


FROM base AS serving
COPY --from=with-serving /opt/venv /opt/venv
COPY --from=with-serving /app /app
EXPOSE 8080 8082
ENTRYPOINT ["kingmaker-serving"]


# What a retraining Job builds upon: scikit-learn, ONNX export and `kingmaker-serving package`; the trainer itself is yours.
FROM base AS training
COPY --from=with-training /opt/venv /opt/venv
COPY --from=with-training /app /app
CMD ["python"]
