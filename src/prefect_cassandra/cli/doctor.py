"""`prefect-cassandra doctor` and `preflight`: what is wrong with a release, or would be."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from cyclopts import App, Parameter

from prefect_cassandra.cli.where import Where

doctor_app = App(name="doctor")
preflight_app = App(name="preflight")

Output = Annotated[Literal["table", "json"], Parameter(help="For people, or for programs.")]


@doctor_app.default
def doctor(
    *,
    where: Where = Where(),
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

    report = examine(Patient(where.found(), flows, inside), tell)
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
    where: Where = Where(),
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

    report = look(Plan(root, where.found(), values, pull=pull), tell)
    show_report(report, output)
    return report.exit_code
