# The S3 server of the tests, a static program: docker build -f store.Dockerfile FOLDER_WITH_VERSITYGW
ARG BASE=python:3.12.13-slim
FROM ${BASE}
COPY versitygw /usr/local/bin/versitygw
USER 65532:65532
ENTRYPOINT ["versitygw"]
