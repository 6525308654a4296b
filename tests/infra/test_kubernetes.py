"""The Kubernetes manifests: by Kubernetes' own OpenAPI schemas, and by the rules that our pods keep."""

import copy
import re

import kubernetes_validate
import pytest
import yaml

from tests.infra.files import INFRA, PASSWORDS, compose, manifests, pods, secret_names

OLDEST, NEWEST = "1.29", "1.37"
PODS = {place: (labels, spec) for place, labels, spec in pods()}
MANIFESTS = manifests()


@pytest.mark.parametrize("version", [OLDEST, NEWEST])
def test_they_fit_the_schemas(version):
    for document in MANIFESTS.values():
        kubernetes_validate.validate(document, version, strict=True)


def test_the_schemas_refuse_what_is_wrong():
    """The validator is one: a misspelled field and a wrong type are noticed."""
    wrong = copy.deepcopy(MANIFESTS["worker.yaml: StatefulSet worker"])
    wrong["spec"]["template"]["spec"]["containers"][0]["readOnlyRoot"] = True
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(wrong, NEWEST, strict=True)
    wrong = copy.deepcopy(MANIFESTS["worker.yaml: StatefulSet worker"])
    wrong["spec"]["replicas"] = "one"
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(wrong, NEWEST, strict=True)


def test_kustomize_lists_every_manifest_that_is_no_template():
    listed = yaml.safe_load((INFRA / "kustomization.yaml").read_text())
    assert sorted(listed["resources"]) == sorted(f"kubernetes/{p.name}" for p in (INFRA / "kubernetes").glob("*.yaml"))
    (roles,) = listed["configMapGenerator"]
    assert all((INFRA / file).is_file() for file in roles["files"])
    volumes = PODS["postgres.yaml: StatefulSet postgres"][1]["volumes"]
    assert roles["name"] in {volume.get("configMap", {}).get("name") for volume in volumes}


@pytest.mark.parametrize("place", PODS)
def test_a_pod_meets_the_restricted_standard(place):
    _, spec = PODS[place]
    assert spec["automountServiceAccountToken"] is False and spec["enableServiceLinks"] is False
    security = spec["securityContext"]
    assert security["runAsNonRoot"] is True and security["runAsUser"] > 0 and security["runAsGroup"] > 0
    assert security["seccompProfile"] == {"type": "RuntimeDefault"}
    for container in spec["containers"]:
        inner = container["securityContext"]
        assert inner["readOnlyRootFilesystem"] is True and inner["allowPrivilegeEscalation"] is False
        assert inner["capabilities"] == {"drop": ["ALL"]}
        assert container["resources"]["limits"]["memory"] and container["resources"]["requests"]["cpu"]
    for volume in spec["volumes"]:
        assert "hostPath" not in volume and volume.get("emptyDir", {"sizeLimit": 1})["sizeLimit"]


def test_the_namespace_enforces_it():
    labels = MANIFESTS["namespace.yaml: Namespace equipoise"]["metadata"]["labels"]
    assert labels["pod-security.kubernetes.io/enforce"] == "restricted"
    others = {place for place in MANIFESTS if "Namespace " not in place}
    assert {MANIFESTS[place]["metadata"]["namespace"] for place in others} == {"equipoise"}


def test_images_are_those_of_the_compose_file():
    used = {container["image"] for _, spec in PODS.values() for container in spec["containers"]}
    assert used == {service["image"] for service in compose()["services"].values()}


@pytest.mark.parametrize("place", [place for place in PODS if " Job " not in place])
def test_servers_are_probed(place):
    for container in PODS[place][1]["containers"]:
        assert {"startupProbe", "readinessProbe", "livenessProbe"} <= container.keys()
        ports = {port["name"] for port in container["ports"]}
        probes = [container[name] for name in ("startupProbe", "readinessProbe", "livenessProbe")]
        assert all(probe.get("httpGet", {}).get("port", next(iter(ports))) in ports for probe in probes)


@pytest.mark.parametrize("place", PODS)
def test_secrets_come_by_reference(place):
    for container in PODS[place][1]["containers"]:
        for each in container["env"]:
            if "valueFrom" in each:
                chosen = each["valueFrom"]["secretKeyRef"]
                assert chosen["name"] == "equipoise" and chosen["key"] in secret_names()
            else:
                literal = re.sub(r"\$\([A-Z_]+\)", "", each["value"])
                assert not any(part in each["name"] for part in PASSWORDS) or literal == "equipoise:", each
                assert not re.search(r"://[^/@]*:[^/@]*@", each["value"]), f"a password in an address: {each}"


@pytest.mark.parametrize("place", PODS)
def test_a_pod_may_talk_to_whom_it_is_told_of_and_to_no_other(place):
    labels, spec = PODS[place]
    values = " ".join(str(each.get("value", "")) for container in spec["containers"] for each in container["env"])
    told = {name for name in ("postgres", "objects", "mlflow", "prefect") if re.search(rf"(//|@){name}:\d+", values)}
    assert told == {label.removeprefix("uses-") for label in labels if label.startswith("uses-")}


def test_network_policies_deny_by_default_and_open_each_way_on_both_sides():
    policies = {d["metadata"]["name"]: d["spec"] for p, d in MANIFESTS.items() if "NetworkPolicy" in p}
    closed = policies["nothing-by-default"]
    assert closed == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
    for name in ("postgres", "objects", "mlflow", "prefect"):
        (service,) = [d for p, d in MANIFESTS.items() if p.endswith(f": Service {name}")]
        port = [{"protocol": "TCP", "port": service["spec"]["ports"][0]["port"]}]
        server, user = {"matchLabels": {"app": name}}, {"matchLabels": {f"uses-{name}": "yes"}}
        assert policies[f"into-{name}"]["podSelector"] == server and policies[f"to-{name}"]["podSelector"] == user
        assert policies[f"into-{name}"]["ingress"] == [{"from": [{"podSelector": user}], "ports": port}]
        assert policies[f"to-{name}"]["egress"] == [{"to": [{"podSelector": server}], "ports": port}]


def test_services_find_their_pods():
    for place, document in MANIFESTS.items():
        if " Service " in place:
            selector, ports = document["spec"]["selector"], {p["port"] for p in document["spec"]["ports"]}
            found = [spec for labels, spec in PODS.values() if selector.items() <= labels.items()]
            assert found, place
            for spec in found:
                assert ports <= {port["containerPort"] for c in spec["containers"] for port in c["ports"]}
