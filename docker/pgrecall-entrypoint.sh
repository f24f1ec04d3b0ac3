#!/bin/bash
# Starts pgrecall with a configuration made of the environment, so that a password may hold any character:
#   PGRECALL_UPSTREAM_HOST, _PORT, _USER, _PASSWORD   the primary and the control role
#   PGRECALL_REDIS_URL                                the second tier
# Arguments are passed on and override it; without arguments it serves on every address of the container.
# Without any of these variables nothing is written, and without arguments too the help is shown. Other variables
# PGRECALL_* are refused, but not those that Kubernetes sets for a Service called pgrecall or pgrecall-NAME.
set -euo pipefail

allowed=(PGRECALL_UPSTREAM_HOST PGRECALL_UPSTREAM_PORT PGRECALL_UPSTREAM_USER PGRECALL_UPSTREAM_PASSWORD
  PGRECALL_REDIS_URL)

# of_service NAME: whether Kubernetes set it, beside the SERVICE_HOST of the same Service.
of_service() {
  local host service
  for host in "${!PGRECALL_@}"; do
    service=${host%_SERVICE_HOST}
    [[ $service == "$host" || $1 != "$service"_@(SERVICE|PORT)* ]] || return 0
  done
  return 1
}
# Ends as pgrecall does over a mistake in its configuration.
check_variables() {
  local name unknown=()
  for name in "${!PGRECALL_@}"; do
    [[ " ${allowed[*]} " == *" $name "* ]] || of_service "$name" || unknown+=("$name")
  done
  ((${#unknown[@]} > 0)) || return 0
  printf '%s: unknown variables: %s; allowed: %s\n' "${0##*/}" "${unknown[*]}" "${allowed[*]}" >&2
  exit 2
}

# A TOML basic string of any text: quote, backslash and control characters are escaped.
toml_string() {
  local LC_ALL=C text=$1 char escape code
  text=${text//\\/\\\\}
  text=${text//\"/\\\"}
  for code in {1..31} 127; do
    printf -v char '%b' "\\x$(printf '%02x' "$code")."
    printf -v escape '\\u%04x' "$code"
    text=${text//"${char%.}"/"$escape"}
  done
  printf '"%s"' "$text"
}

configuration() {
  local upstream=("${!PGRECALL_UPSTREAM_@}")
  if ((${#upstream[@]} > 0)); then
    printf '[upstream]\n'
    [[ -z ${PGRECALL_UPSTREAM_HOST+x} ]] || printf 'host = %s\n' "$(toml_string "$PGRECALL_UPSTREAM_HOST")"
    # A number: pgrecall itself says what is wrong with anything else.
    [[ -z ${PGRECALL_UPSTREAM_PORT+x} ]] || printf 'port = %s\n' "$PGRECALL_UPSTREAM_PORT"
    [[ -z ${PGRECALL_UPSTREAM_USER+x} ]] || printf 'user = %s\n' "$(toml_string "$PGRECALL_UPSTREAM_USER")"
    [[ -z ${PGRECALL_UPSTREAM_PASSWORD+x} ]] || printf 'password = %s\n' "$(toml_string "$PGRECALL_UPSTREAM_PASSWORD")"
  fi
  [[ -z ${PGRECALL_REDIS_URL+x} ]] || printf '[redis]\nurl = %s\n' "$(toml_string "$PGRECALL_REDIS_URL")"
}

check_variables
text=$(configuration)
if [[ -z $text ]]; then
  (($# > 0)) || set -- --help
  exec pgrecall "$@"
fi
(($# > 0)) || set -- --listen=0.0.0.0:6432 --admin=0.0.0.0:6433
# A restart replaces the file of the start before.
file=${TMPDIR:-/tmp}/pgrecall.toml
rm -f "$file"
(umask 077 && set -o noclobber && printf '%s\n' "$text" >"$file")
unset "${!PGRECALL_@}"
exec pgrecall --config "$file" "$@"
