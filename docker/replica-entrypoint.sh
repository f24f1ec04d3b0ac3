#!/bin/bash
# Copies the primary into an empty data folder, then hands over to the entry point of the PostgreSQL
# image, which finds a cluster and starts it as a standby.
set -euo pipefail

if [[ ! -s $PGDATA/PG_VERSION ]]; then
  mkdir -p "$PGDATA"
  chown postgres: "$PGDATA"
  chmod 0700 "$PGDATA"
  export PGPASSWORD=$SITE_PASSWORD
  gosu postgres pg_basebackup --host primary --username replicator --pgdata "$PGDATA" \
    --wal-method stream --write-recovery-conf --checkpoint fast
  unset PGPASSWORD
fi
exec docker-entrypoint.sh "$@"
