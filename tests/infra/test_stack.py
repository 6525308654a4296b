"""The servers of the compose file as processes, set up by its own first steps: who is let in."""

import json

import pytest

W = "tool_calling"
pytestmark = [pytest.mark.infra, pytest.mark.timeout(4800)]


@pytest.mark.parametrize(
    ("variable", "arguments", "code"),
    [
        ("MLFLOW_TRACKING_PASSWORD", ("predict", W, "--input", "asked.jsonl", "--version", "1"), "E_TRACKING"),
        ("PREFECT_API_AUTH_STRING", ("retrain", W), "E_PREFECT"),
        ("PGPASSWORD", ("history", W), "E_LEDGER_UNREACHABLE"),
    ],
)
def test_a_wrong_password_is_a_line_and_69(stack, variable, arguments, code):
    done = stack.equipoise(*arguments, "--json", **{variable: "equipoise:not the password"})
    assert done.returncode == 69, done.stdout + done.stderr
    assert json.loads(done.stdout)["error"]["code"] == code
    assert not any(secret in done.stdout + done.stderr for secret in [*stack.secrets.values(), "not the password"])
