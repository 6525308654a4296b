#!/bin/sh
# Run by PostgreSQL's image at its first start: a role and a database of its own for each service, no one else's.
# Passwords come from the environment and reach SQL quoted, as psql variables that it reads itself.
set -eu
: "${MLFLOW_DB_PASSWORD:?must be set}" "${PREFECT_DB_PASSWORD:?must be set}" "${EQUIPOISE_DB_PASSWORD:?must be set}"
export MLFLOW_DB_PASSWORD PREFECT_DB_PASSWORD EQUIPOISE_DB_PASSWORD
psql --no-psqlrc --set ON_ERROR_STOP=1 --username "$POSTGRES_USER" --dbname "${POSTGRES_DB:-postgres}" <<'SQL'
\getenv mlflow MLFLOW_DB_PASSWORD
\getenv prefect PREFECT_DB_PASSWORD
\getenv equipoise EQUIPOISE_DB_PASSWORD
CREATE ROLE mlflow LOGIN PASSWORD :'mlflow';
CREATE ROLE prefect LOGIN PASSWORD :'prefect';
CREATE ROLE equipoise LOGIN PASSWORD :'equipoise';
CREATE DATABASE mlflow OWNER mlflow;
CREATE DATABASE mlflow_auth OWNER mlflow;
CREATE DATABASE prefect OWNER prefect;
CREATE DATABASE equipoise OWNER equipoise;
REVOKE CONNECT ON DATABASE mlflow, mlflow_auth, prefect, equipoise FROM PUBLIC;
\connect prefect
CREATE EXTENSION IF NOT EXISTS pg_trgm;
SQL
