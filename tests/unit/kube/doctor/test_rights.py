from __future__ import annotations

from prefect_cassandra.kube.doctor.rights import Right, judge_rights, review, wanted_rights

RESOURCES = {("apps/v1", "Deployment"): "deployments", ("v1", "Service"): "services"}


def test_every_object_has_to_be_made_and_changed() -> None:
    objects = [{"apiVersion": "apps/v1", "kind": "Deployment"}]
    found = {right for right in wanted_rights(objects, RESOURCES) if right.group == "apps"}
    assert found == {
        Right(verb, "apps", "deployments") for verb in ("get", "create", "patch", "delete")
    }


def test_nobody_may_give_what_they_may_not_do() -> None:
    rule = {"apiGroups": ["", "batch"], "resources": ["pods/log"], "verbs": ["watch"]}
    role = {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role", "rules": [rule]}
    found = wanted_rights([role], RESOURCES)
    assert Right("watch", "", "pods", "log") in found
    assert Right("watch", "batch", "pods", "log") in found


def test_helms_own_record_and_forwarded_ports_are_asked_for() -> None:
    found = wanted_rights([], {})
    assert Right("create", "", "secrets") in found
    assert Right("create", "", "pods", "portforward") in found


def test_the_question_names_everything() -> None:
    asked = review(Right("get", "", "pods", "log"), "prefect")["spec"]["resourceAttributes"]
    assert asked == {
        "namespace": "prefect",
        "verb": "get",
        "group": "",
        "resource": "pods",
        "subresource": "log",
    }


def test_what_is_missing_is_named() -> None:
    answers = {Right("create", "batch", "jobs"): False, Right("get", "", "pods", "log"): True}
    check = judge_rights(answers, "prefect")
    assert (check.status, check.evidence) == ("fail", "you may not create jobs.batch")
    assert "--clusterrole admin" in check.hint
    assert judge_rights(dict.fromkeys(answers, True), "prefect").status == "ok"


def test_of_many_a_few_are_named() -> None:
    answers = {Right(f"verb{number:02}", "", "pods"): False for number in range(20)}
    assert judge_rights(answers, "prefect").evidence.endswith("and 12 more")
