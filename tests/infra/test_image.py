"""The image's scripts, run here as they run there: the project's code, PostgreSQL's roles; the Dockerfile's rules."""

import re
import shutil
import subprocess
from pathlib import Path

import psycopg
import pytest

from tests.infra.files import INFRA
from tests.registry.postgres import cluster, running

ROLES = {"mlflow": "it's;--", "prefect": 'say "no"', "equipoise": "$$ %s \\ plain"}


def image(folder: Path, text: str) -> Path:
    """What /srv/equipoise of an image holds, as far as enter.sh looks at it."""
    for name in ("components", "flows"):
        (folder / name).mkdir(parents=True)
        (folder / name / "code.py").write_text(text)
    for name in ("dvc.yaml", ".dvcignore", "params.yaml", "digest"):
        (folder / name).write_text(f"{name} of {text}\n")
    return folder


def enter(image: Path, project: Path, *command: str) -> subprocess.Popen:
    environment = {"EQUIPOISE_IMAGE": str(image), "EQUIPOISE_PROJECT": str(project), "PATH": "/usr/bin:/bin"}
    return subprocess.Popen([INFRA / "enter.sh", *command], env=environment, stdout=subprocess.PIPE, text=True)


def test_a_project_gets_the_images_code_and_keeps_what_is_its_own(tmp_path):
    old, new, project = image(tmp_path / "old", "1"), image(tmp_path / "new", "2"), tmp_path / "project"
    project.mkdir()
    shown, _ = enter(old, project, "cat", "components/code.py", "params.yaml").communicate(timeout=30)
    assert shown == "1params.yaml of 1\n"
    (project / "params.yaml").write_text("mine\n")
    (project / "data").mkdir()
    (project / "components" / "gone.py").write_text("of the old image only")
    started = [enter(new, project, "sh", "-c", "cat components/code.py dvc.yaml; exit 7") for _ in range(8)]
    ends = [(process.communicate(timeout=30)[0], process.returncode) for process in started]
    assert ends == [("2dvc.yaml of 2\n", 7)] * 8  # all at once, and nobody saw half of it
    assert (project / "params.yaml").read_text() == "mine\n" and (project / "data").is_dir()
    assert not (project / "components" / "gone.py").exists() and not list(project.glob(".new-*"))


def test_code_that_is_there_is_left_alone(tmp_path):
    same, project = image(tmp_path / "same", "1"), tmp_path / "project"
    project.mkdir()
    enter(same, project, "true").communicate(timeout=30)
    before = (project / "components" / "code.py").stat().st_ino
    enter(same, project, "true").communicate(timeout=30)
    assert (project / "components" / "code.py").stat().st_ino == before


@pytest.mark.skipif(shutil.which("psql") is None, reason="psql is not installed here")
def test_each_service_gets_a_role_that_opens_its_own_database_alone():
    """Passwords with quotes, semicolons and dollars arrive as they are: roles.sh splices none into SQL."""
    with cluster() as folder:
        with running(folder):
            done = subprocess.run(
                [INFRA / "postgres" / "roles.sh"],
                env={"PATH": "/usr/local/bin:/usr/bin:/bin", "PGHOST": str(folder), "POSTGRES_USER": "test"}
                | {"PREFECT_DB_PASSWORD": ROLES["prefect"], "MLFLOW_DB_PASSWORD": ROLES["mlflow"]}
                | {"EQUIPOISE_DB_PASSWORD": ROLES["equipoise"]},
                capture_output=True, text=True, timeout=60,
            )  # fmt: skip
            assert done.returncode == 0, done.stderr
        hba = folder / "data" / "pg_hba.conf"
        hba.write_text("local all test trust\nlocal all all scram-sha-256\n")
        with running(folder):
            for role, password in ROLES.items():
                own = {"mlflow": ["mlflow", "mlflow_auth"]}.get(role, [role])
                for database in own:
                    with psycopg.connect(host=str(folder), user=role, password=password, dbname=database) as opened:
                        opened.execute("CREATE TABLE mine (id int)")
                other = "equipoise" if role != "equipoise" else "prefect"
                with pytest.raises(psycopg.OperationalError, match="permission denied"):
                    psycopg.connect(host=str(folder), user=role, password=password, dbname=other)
                with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
                    psycopg.connect(host=str(folder), user=role, password="wrong", dbname=own[0])


def test_roles_are_not_made_without_passwords():
    done = subprocess.run([INFRA / "postgres" / "roles.sh"], env={"PATH": "/bin"}, capture_output=True, text=True)
    assert done.returncode != 0 and "MLFLOW_DB_PASSWORD" in done.stderr


def test_the_image_is_pinned_and_runs_as_nobody_special():
    lines = (INFRA / "Dockerfile").read_text().splitlines()
    bases = [line.split()[1] for line in lines if line.startswith("FROM ")]
    assert bases and all(re.fullmatch(r"python:3\.11\.\d+-slim-[a-z]+", base) for base in bases)
    (user,) = [line.split()[1] for line in lines if line.startswith("USER ")]
    assert int(user.split(":")[0]) > 0 and lines.index(f"USER {user}") > max(
        n for n, line in enumerate(lines) if line.startswith(("RUN", "COPY", "FROM"))
    )
    assert not any(line.startswith("ADD ") for line in lines)
    assert all("constraints.txt" in line for line in lines if "pip install" in line)


def test_the_images_context_holds_what_is_copied_and_no_secret():
    allowed = (INFRA / "Dockerfile.dockerignore").read_text().split()
    assert allowed[0] == "*" and "infra/.env" in allowed
    copied = [word for line in (INFRA / "Dockerfile").read_text().splitlines() if line.startswith("COPY ")
              and "--from" not in line for word in line.split()[1:-1]]  # fmt: skip
    assert copied and all(f"!{name}" in allowed and (INFRA.parent / name).exists() for name in copied)
