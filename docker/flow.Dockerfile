# The flow image: the platform image, what the flows import beside the library, and the folder of flows.
#
#   docker build -f docker/flow.Dockerfile --build-arg PLATFORM=prefect-cassandra-platform:TAG \
#     -t prefect-cassandra-flows:TAG .
ARG PLATFORM=prefect-cassandra-platform:latest
ARG PYTHON_IMAGE=python:3.13-slim

FROM ${PLATFORM} AS platform

FROM ${PYTHON_IMAGE} AS packages
ARG UV_VERSION=0.13.9
COPY docker/ca/ /usr/local/share/ca-certificates/extra/
ENV SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt \
    PIP_CERT=/etc/ssl/certs/ca-certificates.crt
RUN update-ca-certificates && pip install --no-cache-dir "uv==${UV_VERSION}"
ENV UV_PROJECT_ENVIRONMENT=/opt/venv \
    UV_PYTHON=/usr/local/bin/python3 \
    UV_PYTHON_DOWNLOADS=never \
    UV_LINK_MODE=copy \
    UV_NO_CACHE=1
COPY --from=platform /opt/venv /opt/venv
WORKDIR /build
COPY pyproject.toml uv.lock ./
# Only what is new goes into the flow image, so that its layers are small and the platform's are shared.
RUN touch /tmp/before \
    && uv sync --locked --inexact --no-dev --no-default-groups --extra kubernetes --extra flows \
         --no-install-project --compile-bytecode \
    && mkdir /new \
    && find /opt/venv \( -type f -o -type l \) -cnewer /tmp/before \
         -exec cp --archive --parents --target-directory /new {} +

FROM ${PLATFORM}
ARG VERSION=0.0.0
ARG REVISION=unknown
ARG CREATED=1970-01-01T00:00:00Z
ARG SOURCE=
LABEL org.opencontainers.image.title="prefect-cassandra flows" \
      org.opencontainers.image.description="The flows of a project on the prefect-cassandra platform" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.created="${CREATED}" \
      org.opencontainers.image.source="${SOURCE}"
COPY --from=packages /new/opt/venv /opt/venv
COPY flows/ /opt/flows-root/flows/
# Entrypoints such as flows/flights/load.py:flights are relative to this folder.
WORKDIR /opt/flows-root
