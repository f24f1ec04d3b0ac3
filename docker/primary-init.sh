#!/bin/bash
# Run once by the PostgreSQL image, after initdb: the site's role and database, and what a replica
# needs to copy the primary and follow it.
set -euo pipefail

psql --set ON_ERROR_STOP=1 --set password="$SITE_PASSWORD" --username "$POSTGRES_USER" <<'SQL'
CREATE ROLE publication LOGIN CREATEDB PASSWORD :'password';
CREATE DATABASE publication OWNER publication;
CREATE ROLE replicator LOGIN REPLICATION PASSWORD :'password';
SQL
echo "host replication replicator all scram-sha-256" >>"$PGDATA/pg_hba.conf"
