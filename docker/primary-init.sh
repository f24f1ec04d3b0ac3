#!/bin/bash
# Run once by the PostgreSQL image, after initdb: the site's role and its database.
set -euo pipefail

# psql reads the password itself: arguments are seen by everybody. (\getenv is not in psql 13.)
psql --set ON_ERROR_STOP=1 --username "$POSTGRES_USER" <<'SQL'
\set password `printenv SITE_PASSWORD`
CREATE ROLE publication LOGIN CREATEDB PASSWORD :'password';
CREATE DATABASE publication OWNER publication;
SQL
