"""Volumes that nobody provides: the usual cause is a storage class that is not there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from prefect_cassandra.kube.doctor.causes import shortened
from prefect_cassandra.kube.doctor.check import Check, fail, ok, skipped, warn

if TYPE_CHECKING:
    from prefect_cassandra.kube.doctor.facts import Facts

Object = dict[str, Any]

NAME = "volumes"
_WAITS = "waiting for first consumer"


def judge_volumes(facts: Facts) -> list[Check]:
    """Return a finding for each claim without a volume; one that all are bound if there is none."""
    if not facts.claims:
        return [skipped(NAME, "the release has no volume claims")]
    found = [check for claim in facts.claims if (check := _claim(claim, facts)) is not None]
    return found or [ok(NAME, f"all {len(facts.claims)} claims have their volume")]


def _claim(claim: Object, facts: Facts) -> Check | None:
    phase = (claim.get("status") or {}).get("phase")
    if phase == "Bound":
        return None
    name = claim["metadata"]["name"]
    subject = f"claim {name}"
    if phase == "Lost":
        hint = "Restore the volume, or delete claim and pod so that both are made anew."
        return fail(NAME, "its volume is gone", hint, subject)
    wanted = claim["spec"].get("storageClassName")
    said = facts.warnings.get(f"PersistentVolumeClaim/{name}", "")
    if wanted and (_is_missing(wanted, said) or _is_unknown(wanted, facts)):
        return fail(NAME, f"there is no storage class {wanted}", _hint(facts, name), subject)
    if not wanted:
        evidence = "it names no storage class, and the cluster has no default one"
        return fail(NAME, evidence, _hint(facts, name), subject)
    if said and _WAITS not in said.lower():
        hint = f"The provisioner of storage class {wanted} says why; `kubectl describe pvc {name}`."
        return fail(NAME, f"no volume is made: {shortened(said)}", hint, subject)
    return warn(NAME, "its volume is not there yet", "Look again soon.", subject)


def _is_missing(wanted: str, said: str) -> bool:
    return "not found" in said and wanted in said


def _is_unknown(wanted: str, facts: Facts) -> bool:
    return facts.classes is not None and wanted not in facts.classes


def _hint(facts: Facts, claim: str) -> str:
    there = ""
    if facts.classes is not None:
        there = f" The cluster has: {', '.join(sorted(facts.classes)) or 'none'}."
    return (
        f"Make the class, or name another one in cassandra.storage.storageClass and "
        f"postgres.storage.storageClass.{there} A claim cannot be changed: uninstall, delete "
        f"claim {claim}, and install again."
    )
