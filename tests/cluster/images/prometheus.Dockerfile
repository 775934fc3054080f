# Prometheus, a static program without its pages: docker build -f prometheus.Dockerfile FOLDER_WITH_PROMETHEUS
FROM scratch
COPY prometheus /prometheus
USER 65532:65532
ENTRYPOINT ["/prometheus"]
