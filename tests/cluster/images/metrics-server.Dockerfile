# Kubernetes' metrics-server, a static program: docker build -f metrics-server.Dockerfile FOLDER_WITH_METRICS_SERVER
FROM scratch
COPY metrics-server /metrics-server
USER 65532:65532
ENTRYPOINT ["/metrics-server"]
