#!/bin/bash
# Run once by the PostgreSQL image, after initdb: the site's role and its database.
set -euo pipefail

psql --set ON_ERROR_STOP=1 --set password="$SITE_PASSWORD" --username "$POSTGRES_USER" <<'SQL'
CREATE ROLE publication LOGIN CREATEDB PASSWORD :'password';
CREATE DATABASE publication OWNER publication;
SQL
