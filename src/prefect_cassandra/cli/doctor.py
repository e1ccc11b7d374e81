"""`prefect-cassandra doctor` and `preflight`: what is wrong with a release, or would be."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import App, Parameter

if TYPE_CHECKING:
    from prefect_cassandra.kube.kubectl import Release

doctor_app = App(name="doctor")
preflight_app = App(name="preflight")

Output = Annotated[Literal["table", "json"], Parameter(help="For people, or for programs.")]


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class Target:
    """Which release."""

    release: Annotated[str, Parameter(help="Name of the Helm release.")] = "pc"
    namespace: Annotated[str, Parameter(help="Namespace of the release.")] = "prefect"
    context: Annotated[
        str, Parameter(help="Context of the kubeconfig; the current one when empty.")
    ] = ""

    def named(self) -> Release:
        """Return it as the rooms below know it."""
        from prefect_cassandra.kube.kubectl import Release

        return Release(self.release, self.namespace, self.context)


@doctor_app.default
def doctor(
    *,
    target: Target | None = None,
    flows: Annotated[
        Path | None, Parameter(help="Folder with keyspaces.yaml, to compare migrations with.")
    ] = None,
    inside: Annotated[
        bool,
        Parameter(negative=(), help="This is a pod of the release: names and logins are its own."),
    ] = False,
    output: Output = "table",
) -> int:
    """Look at an installed release and say what is wrong and what to do about it.

    Changes nothing but one row of the table prefect_ledger.canary, which deletes itself.

    Exit code 0 when no check failed (warnings do not count), 1 when one did, 2 for wrong input or a
    kubeconfig that cannot be used, 3 when the cluster does not answer or has no such release, 5
    when you may not read the release's objects.
    """
    from prefect_cassandra.cli.doctor_output import show_report
    from prefect_cassandra.cli.output import tell
    from prefect_cassandra.kube.doctor.examine import Patient, examine

    report = examine(Patient((target or Target()).named(), flows, inside), tell)
    show_report(report, output)
    return report.exit_code


@preflight_app.default
def preflight(
    *,
    root: Annotated[Path, Parameter(help="Folder of the project.")] = Path(),
    values: Annotated[
        tuple[Path, ...],
        Parameter(help="File of values, as for helm; may be repeated.", negative=()),
    ] = (),
    target: Target | None = None,
    pull: Annotated[
        bool,
        Parameter(negative=(), help="Try to pull every image, in a pod that is deleted after."),
    ] = False,
    output: Output = "table",
) -> int:
    """Say before an installation whether the cluster has what the values need.

    Renders the chart and compares it with the cluster; changes nothing, unless --pull is given.

    Exit codes as those of doctor.
    """
    from prefect_cassandra.cli.doctor_output import show_report
    from prefect_cassandra.cli.output import tell
    from prefect_cassandra.kube.doctor.preflight import Plan
    from prefect_cassandra.kube.doctor.preflight import preflight as look

    report = look(Plan(root, (target or Target()).named(), values, pull=pull), tell)
    show_report(report, output)
    return report.exit_code
