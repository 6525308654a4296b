"""compose.yaml: by the compose specification's own types, and by the rules that a stack of ours keeps."""

import copy
import re

import compose_spec
import pytest
import yaml

from components.config import load_config
from tests.infra.files import INFRA, PASSWORDS, compose, secret_names

SERVICES = compose()["services"]
ONCE = {"buckets", "account", "deployments"}


def check(document: dict) -> None:
    compose_spec.PyCompose.from_yaml(yaml.safe_dump(document)).to_spec()


def test_it_fits_the_specification():
    check(compose())


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("services", "worker", "reed_only"), True),
        (("services", "postgres", "restart"), "sometimes"),
        (("services", "postgres", "healthcheck", "interval"), "5 moments"),
        (("services", "mlflow", "ports"), ["127.0.0.1:http:5000"]),
        (("services", "worker", "depends_on", "account"), {"condition": "service_fine"}),
    ],
)
def test_the_specification_refuses_what_is_wrong(path, value):
    """The validator is one: it notices each of these."""
    document = copy.deepcopy(compose())
    place = document
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    with pytest.raises(ValueError):
        check(document)


@pytest.mark.parametrize("name", SERVICES)
def test_a_container_can_change_nothing_but_its_volumes(name):
    service = SERVICES[name]
    user, group = map(int, service["user"].split(":"))
    assert user > 0 and group > 0
    assert service["read_only"] is True and service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["mem_limit"] and service["pids_limit"] and "privileged" not in service
    assert not any(str(volume).startswith(("/", "/var/run/docker.sock")) for volume in service.get("volumes", []))


@pytest.mark.parametrize("name", SERVICES)
def test_images_are_pinned(name):
    repository, _, tag = SERVICES[name]["image"].rpartition(":")
    assert repository and re.fullmatch(r"\d+\.\d+(\.\d+)?(-[a-z]+)?", tag), SERVICES[name]["image"]


@pytest.mark.parametrize("name", SERVICES)
def test_ports_are_open_on_loopback_only(name):
    assert all(re.fullmatch(r"127\.0\.0\.1:\d+:\d+", port) for port in SERVICES[name].get("ports", []))


@pytest.mark.parametrize("name", SERVICES)
def test_services_say_when_they_are_well_and_jobs_end(name):
    check, restart = SERVICES[name]["healthcheck"], SERVICES[name]["restart"]
    if name in ONCE:
        assert check == {"disable": True} and restart == "on-failure"
    else:
        assert check["test"][0] == "CMD" and check["retries"] and check["timeout"] and restart == "unless-stopped"


def test_nobody_waits_for_what_never_comes():
    for service in SERVICES.values():
        for other, wanted in service.get("depends_on", {}).items():
            expected = "service_completed_successfully" if other in ONCE else "service_healthy"
            assert wanted == {"condition": expected}


@pytest.mark.parametrize("name", SERVICES)
def test_secrets_are_asked_for_and_have_no_default(name):
    for key, value in (SERVICES[name].get("environment") or {}).items():
        if any(part in key for part in PASSWORDS):
            assert re.fullmatch(r"(equipoise:)?\$\{[A-Z0-9_]+:\?set it in infra/\.env\}", value), f"{key}={value}"
        assert "password" not in str(value).lower().replace("_password", ""), f"{key}={value}"
        assert not re.search(r"://[^/@]*:[^/@]*@", str(value)), f"a password in an address: {key}"


def test_every_secret_is_in_the_example_and_none_has_a_value_there():
    text = (INFRA / "compose.yaml").read_text()
    assert set(re.findall(r"\$\{([A-Z0-9_]+):\?", text)) == secret_names()
    assert re.findall(r"^[A-Z0-9_]+=$", (INFRA / "env.example").read_text(), re.M) == [
        f"{name}=" for name in re.findall(r"^([A-Z0-9_]+)=", (INFRA / "env.example").read_text(), re.M)
    ]
    assert "infra/.env" in (INFRA.parent / ".gitignore").read_text().split()


def test_volumes_and_networks_are_declared():
    document = compose()
    named = {
        str(v).split(":")[0] for s in SERVICES.values() for v in s.get("volumes", []) if not str(v).startswith(".")
    }
    assert named == set(document["volumes"])
    assert {network for service in SERVICES.values() for network in service["networks"]} == set(document["networks"])


def test_the_image_has_the_version_of_the_product():
    project = (INFRA.parent / "pyproject.toml").read_text()
    version = re.search(r'^version = "(.+)"', project, re.M)
    assert version is not None
    images = {s["image"] for s in SERVICES.values() if s["image"].startswith("equipoise")}
    assert images == {f"equipoise:{version[1]}"}
    pool = yaml.safe_load((INFRA / "prefect.yaml").read_text())["deployments"][0]["work_pool"]["name"]
    assert f" --pool {pool} " in SERVICES["worker"]["command"][2]
    assert f"work-pool create {pool} " in SERVICES["deployments"]["command"][2]
    assert load_config(INFRA.parent / "params.yaml").project == "equipoise"
