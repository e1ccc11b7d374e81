"""The options by which a person says which release is meant."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

if TYPE_CHECKING:
    from prefect_cassandra.kube.kubectl import Release


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class Where:
    """The release that is meant."""

    release: Annotated[str, Parameter(help="Name of the Helm release.")] = "pc"
    namespace: Annotated[str, Parameter(help="Namespace of the release.")] = "prefect"
    context: Annotated[
        str, Parameter(help="Context of the kubeconfig [default: the current one].")
    ] = ""

    def found(self) -> Release:
        """Return it as the rooms below know it."""
        from prefect_cassandra.kube.kubectl import Release

        return Release(self.release, self.namespace, self.context)
