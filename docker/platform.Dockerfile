# The platform image: Prefect's server, the worker and the Jobs of the chart. Built from the folder above:
#
#   docker build -f docker/platform.Dockerfile -t prefect-cassandra-platform:TAG .
#
# Certificates in docker/ca/*.crt are trusted while building and in the image.
ARG PYTHON_IMAGE=python:3.13-slim

FROM ${PYTHON_IMAGE} AS build
ARG UV_VERSION=0.13.9
COPY docker/ca/ /usr/local/share/ca-certificates/extra/
# uv and pip take the system's certificates from here; each has its own list otherwise.
ENV SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt \
    PIP_CERT=/etc/ssl/certs/ca-certificates.crt
RUN update-ca-certificates && pip install --no-cache-dir "uv==${UV_VERSION}"
ENV UV_PROJECT_ENVIRONMENT=/opt/venv \
    UV_PYTHON=/usr/local/bin/python3 \
    UV_PYTHON_DOWNLOADS=never \
    UV_LINK_MODE=copy \
    UV_NO_CACHE=1
WORKDIR /build
# What changes seldom first: as long as the lock is the same, all packages come from Docker's cache. lint and test are
# default groups of this project, which --no-dev alone would leave in.
COPY pyproject.toml uv.lock ./
RUN uv sync --locked --no-dev --no-default-groups --extra kubernetes --no-install-project --compile-bytecode
COPY README.md LICENSE ./
COPY src/ src/
RUN uv sync --locked --no-dev --no-default-groups --extra kubernetes --no-editable --compile-bytecode

FROM ${PYTHON_IMAGE}
ARG VERSION=0.0.0
ARG REVISION=unknown
ARG CREATED=1970-01-01T00:00:00Z
ARG SOURCE=
LABEL org.opencontainers.image.title="prefect-cassandra platform" \
      org.opencontainers.image.description="Prefect's server and worker with prefect-cassandra" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.created="${CREATED}" \
      org.opencontainers.image.source="${SOURCE}"
COPY docker/ca/ /usr/local/share/ca-certificates/extra/
# The user is a number in the chart too: admission can tell that a number is not root. Nobody installs anything here
# again, so pip goes, and with ensurepip the copy of it that is kept for new environments.
RUN update-ca-certificates \
    && groupadd --gid 10001 prefect \
    && useradd --uid 10001 --gid 10001 --home-dir /home/prefect --create-home --shell /usr/sbin/nologin prefect \
    && find /usr/local/lib -maxdepth 3 \( -name 'pip' -o -name 'pip-*' -o -name 'ensurepip' \) -prune -exec rm -rf {} + \
    && rm -f /usr/local/bin/pip*
COPY --from=build /opt/venv /opt/venv
# With a read-only root nothing can be written beside the code: no bytecode, and the server's copy of its pages for
# browsers goes to /tmp.
ENV PATH=/opt/venv/bin:$PATH \
    HOME=/home/prefect \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt \
    PREFECT_SERVER_UI_STATIC_DIRECTORY=/tmp/prefect-ui
USER 10001:10001
WORKDIR /home/prefect
STOPSIGNAL SIGTERM
CMD ["prefect-cassandra", "--help"]
