# prometheus-adapter, a static program: docker build -f prometheus-adapter.Dockerfile FOLDER_WITH_PROMETHEUS_ADAPTER
FROM scratch
COPY prometheus-adapter /prometheus-adapter
USER 65532:65532
ENTRYPOINT ["/prometheus-adapter"]
