# prometheus-adapter, a static program: docker build -f prometheus-adapter.Dockerfile FOLDER_WITH_ADAPTER
FROM scratch
COPY adapter /adapter
USER 65532:65532
ENTRYPOINT ["/adapter"]
