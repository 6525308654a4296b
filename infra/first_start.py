"""What the servers lack at their first start: the object store's buckets, and MLflow's account for workers.

Runs in the product's image, once the servers are healthy; a second time changes nothing:

    python infra/first_start.py buckets mlflow dvc     # AWS_ENDPOINT_URL, AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY
    python infra/first_start.py account equipoise      # MLFLOW_TRACKING_URI, its administrator, MLFLOW_PASSWORD
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from typing import Any

from components.errors import EquipoiseError, Exit, misconfigured


def buckets(names: Sequence[str]) -> str:
    """Makes the buckets that are missing, in a store that answers nobody without a key; says which.

    Raises:
        EquipoiseError: E_OBJECT_STORE_OPEN (78) where anybody may list it, E_OBJECT_STORE (69) where it does not
            answer, or not to this key.
    """
    import boto3
    from botocore import UNSIGNED
    from botocore.config import Config
    from botocore.exceptions import BotoCoreError, ClientError

    place = os.environ.get("AWS_ENDPOINT_URL", "object store")
    try:
        store = boto3.client("s3")
        there = {each["Name"] for each in store.list_buckets()["Buckets"]}
        new = [name for name in names if name not in there]
        for name in new:
            store.create_bucket(Bucket=name)
        if _anybody(boto3.client("s3", config=Config(signature_version=UNSIGNED, retries={"max_attempts": 0}))):
            hint = "Give it access keys before anything is kept there (docs/operations.md)"
            rule = "must refuse who has no key"
            raise misconfigured(place, rule, got="its list of buckets", hint=hint, code="OBJECT_STORE_OPEN")
    except (BotoCoreError, ClientError) as error:
        hint = "Start it and look at S3_ACCESS_KEY and S3_SECRET_KEY"
        rule, code = "must answer", Exit.SERVICE_UNAVAILABLE
        raise EquipoiseError("OBJECT_STORE", place, rule, got=str(error), hint=hint, exit_code=code) from error
    return f"{place}: made {', '.join(new)}" if new else f"{place}: all buckets are there"


def _anybody(store: Any) -> bool:
    """Whether a request without a signature is answered; an error, whichever, tells nobody anything."""
    from botocore.exceptions import ClientError

    try:
        store.list_buckets()
    except ClientError:
        return False
    return True


def account(name: str) -> str:
    """Makes the MLflow account that workers log in with, which administers nothing; says so.

    An account that is there keeps its password.

    Raises:
        EquipoiseError: E_TRACKING (69) where the server does not answer, or not to its administrator.
    """
    from mlflow.exceptions import MlflowException
    from mlflow.server import get_app_client
    from requests import RequestException

    place = os.environ["MLFLOW_TRACKING_URI"].rpartition("@")[2]
    try:
        get_app_client("basic-auth", os.environ["MLFLOW_TRACKING_URI"]).create_user(name, os.environ["MLFLOW_PASSWORD"])
    except (MlflowException, RequestException) as error:
        if getattr(error, "error_code", "") == "RESOURCE_ALREADY_EXISTS":
            return f"{place}: account {name} is there"
        hint = "Start it and look at MLFLOW_ADMIN_PASSWORD and MLFLOW_PASSWORD"
        rule, code = "must make the account", Exit.SERVICE_UNAVAILABLE
        raise EquipoiseError("TRACKING", place, rule, got=str(error), hint=hint, exit_code=code) from error
    return f"{place}: made account {name}"


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit code; one line about what was done or why not."""
    parser = argparse.ArgumentParser(description="What the servers lack at their first start.")
    verbs = parser.add_subparsers(dest="verb", required=True)
    verbs.add_parser("buckets").add_argument("names", nargs="+")
    verbs.add_parser("account").add_argument("name")
    options = parser.parse_args(arguments)
    try:
        print(buckets(options.names) if options.verb == "buckets" else account(options.name))
    except EquipoiseError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    return Exit.DONE


if __name__ == "__main__":
    sys.exit(main())
