"""Kubernetes' API, answering with the same plain objects that `kubectl --output json` shows."""

from __future__ import annotations

import json
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import aiohttp
from kubernetes_asyncio import config as settings
from kubernetes_asyncio.client import ApiClient, Configuration

from prefect_cassandra.errors import (
    AuthenticationError,
    ConfigurationError,
    PermissionDeniedError,
    PlatformError,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

Object = dict[str, Any]

_TIMEOUT = 30
_OK_BELOW = 300
_UNAUTHORIZED, _FORBIDDEN, _NOT_FOUND, _CONFLICT = 401, 403, 404, 409
_TOKEN = ["BearerToken"]


class ClusterApi:
    """Asks one cluster; made by `connected`.

    Args:
        client: Holds the connection and the credential.
        where: Names the cluster in errors.
    """

    def __init__(self, client: ApiClient, where: str) -> None:
        self._client = client
        self._where = where

    async def get(self, path: str, **query: str | int) -> Object | None:
        """Return one object; None when there is none of that name.

        Raises:
            PermissionDeniedError: The caller may not read it.
            PlatformError: The cluster does not answer.
        """
        status, text = await self._send("GET", path, query)
        return None if status == _NOT_FOUND else json.loads(text)

    async def items(self, path: str, **query: str | int) -> list[Object]:
        """Return the objects of a list; none when the cluster does not know that kind.

        Raises:
            PermissionDeniedError: The caller may not list them.
            PlatformError: The cluster does not answer.
        """
        found = await self.get(path, **query)
        return [] if found is None else list(found.get("items") or ())

    async def text(self, path: str, **query: str | int) -> str:
        """Return something that is no JSON, such as a log; empty when there is none."""
        status, text = await self._send("GET", path, query)
        return "" if status == _NOT_FOUND else text

    async def create(self, path: str, body: Object) -> Object:
        """Send an object and return what the cluster made of it.

        Raises:
            PermissionDeniedError: The caller may not.
            PlatformError: The cluster refuses the object, or does not answer.
        """
        _, text = await self._send("POST", path, {}, body)
        made: Object = json.loads(text)
        return made

    async def delete(self, path: str) -> None:
        """Delete an object at once; one that is not there is gone already."""
        query: dict[str, str | int] = {"propagationPolicy": "Background", "gracePeriodSeconds": 0}
        await self._send("DELETE", path, query)

    async def attempt(self, method: str, path: str, body: Object) -> Object | None:
        """Change something that others change as well; None when one of them was faster.

        Args:
            method: `POST`, `PUT` or `DELETE`.
            path: Of the object, or of its kind for `POST`.
            body: The object; with `DELETE` its options, such as the uid it has to have.

        Returns:
            What the cluster made of it; None when the object has changed, is there already, or is
            not there any more.

        Raises:
            PermissionDeniedError: The caller may not.
            PlatformError: The cluster refuses the object, or does not answer.
        """
        status, text = await self._send(method, path, {}, body, also=(_NOT_FOUND, _CONFLICT))
        return None if status in {_NOT_FOUND, _CONFLICT} else json.loads(text)

    async def _send(
        self,
        method: str,
        path: str,
        query: dict[str, str | int],
        body: Object | None = None,
        *,
        also: tuple[int, ...] = (),
    ) -> tuple[int, str]:
        try:
            answer = await self._client.call_api(
                path,
                method,
                query_params=list(query.items()),
                header_params={"Accept": "application/json, */*"},
                body=body,
                auth_settings=_TOKEN,
                _preload_content=False,
                _request_timeout=_TIMEOUT,
            )
            status, text = int(answer.status), await answer.text(errors="replace")
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            said = str(error) or type(error).__name__
            raise PlatformError(
                f"{self._where} does not answer: {said}",
                hint="Is it up, and is it the right context? `kubectl cluster-info` asks the same.",
            ) from error
        is_answer = status in also or (status == _NOT_FOUND and method != "POST")
        if status >= _OK_BELOW and not is_answer:
            raise refusal(status, text, f"{method} {path}", self._where)
        return status, text


def refusal(status: int, text: str, asked: str, where: str) -> Exception:
    """Return the error that an answer of Kubernetes' API means; its own message is quoted."""
    try:
        said = str(json.loads(text)["message"])
    except (ValueError, KeyError, TypeError):
        said = text.strip()[:200] or f"status {status}"
    if status == _UNAUTHORIZED:
        return AuthenticationError(
            f"{where} does not know who asks: {said}", hint="Log in to the cluster again."
        )
    if status == _FORBIDDEN:
        return PermissionDeniedError(f"{where}: {said}")
    return PlatformError(f"{where} answers {asked} with {status}: {said}")


@asynccontextmanager
async def connected(context: str = "", *, inside: bool = False) -> AsyncIterator[ClusterApi]:
    """Give access to a cluster while the block runs.

    Args:
        context: Of the kubeconfig; the current one when empty.
        inside: Take the pod's own ServiceAccount instead.

    Raises:
        ConfigurationError: There is no kubeconfig, no such context, or no token in the pod.
    """
    configuration = Configuration()
    try:
        if inside:
            # It has no types.
            settings.load_incluster_config(client_configuration=configuration)  # type: ignore[no-untyped-call]
        else:
            await settings.load_kube_config(
                context=context or None, client_configuration=configuration, persist_config=False
            )
    except (settings.ConfigException, OSError) as error:
        wanted = "the pod's ServiceAccount" if inside else f"context {context or '(current)'}"
        raise ConfigurationError(
            f"{wanted} cannot be used: {error}",
            hint="`kubectl config get-contexts` lists what the kubeconfig has.",
        ) from error
    async with ApiClient(configuration) as client:
        yield ClusterApi(client, f"the cluster at {configuration.host}")


def in_namespace(namespace: str, kind: str, name: str = "", *, group: str = "v1") -> str:
    """Return the path of objects in a namespace.

    Args:
        namespace: Its name.
        kind: In the plural, such as `pods`.
        name: Of one object; all of them when empty. May go on, as in `pc-server/log`.
        group: `v1`, or a group and its version such as `apps/v1`.
    """
    root = "/api/v1" if group == "v1" else f"/apis/{group}"
    path = f"{root}/namespaces/{quote(namespace, safe='')}/{kind}"
    return f"{path}/{quote(name)}" if name else path
