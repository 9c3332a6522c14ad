# The image of all commands: worker, topics, simulator. Built by `docker compose build`, or `docker build .`.

FROM python:3.11.15-slim-bookworm AS base


FROM base AS build
WORKDIR /build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 \
    PIP_NO_CACHE_DIR=1
COPY constraints.txt pyproject.toml ./
# The pinned pip stands in an environment of its own, so that the application's has none.
RUN python -m venv /pip \
    && /pip/bin/pip install --constraint constraints.txt pip \
    && python -m venv --without-pip /opt/smart-inventory
# Dependencies apart from the code: this layer stays as long as they do. Wheels only, so nothing needs a compiler.
RUN python -c 'import tomllib; project = tomllib.load(open("pyproject.toml", "rb"))["project"]; \
        print(*project["dependencies"], *project["optional-dependencies"]["objects"], sep="\n")' > requirements.txt \
    && /pip/bin/pip --python /opt/smart-inventory/bin/python install \
        --no-compile --only-binary :all: --constraint constraints.txt --requirement requirements.txt
COPY LICENSE README.md ./
COPY consumer consumer
COPY schemas schemas
# Bytecode is made here, since a read-only root cannot keep any; without time stamps, which copying may change.
RUN /pip/bin/pip --python /opt/smart-inventory/bin/python install \
        --no-compile --no-deps --build-constraint constraints.txt . \
    && python -m compileall -q -j 0 --invalidation-mode unchecked-hash /opt/smart-inventory/lib


FROM base
# A fixed number, so that volumes keep their owner over rebuilds, and Kubernetes can tell that it is not root's.
RUN groupadd --gid 10001 inventory \
    && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin inventory \
    && install --directory --owner=10001 --group=10001 --mode=0700 /var/lib/smart-inventory/checkpoints
COPY --from=build /opt/smart-inventory /opt/smart-inventory
ENV PATH=/opt/smart-inventory/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    CHECKPOINT_URL=file:/var/lib/smart-inventory/checkpoints
USER 10001:10001
WORKDIR /var/lib/smart-inventory
EXPOSE 8000
# Last, because each commit has another revision and the layers above need not be built again for it.
ARG REVISION=unknown
LABEL org.opencontainers.image.title="smart-inventory" \
      org.opencontainers.image.description="Predicted stock levels from Kafka, exactly once, by a model that is a pure function of the log" \
      org.opencontainers.image.version="0.1.0" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.licenses="Apache-2.0"
# The worker takes the signal itself, as process 1 too: it finishes its transaction, checkpoints, and leaves.
STOPSIGNAL SIGTERM
ENTRYPOINT ["smart-inventory"]
CMD ["run"]
