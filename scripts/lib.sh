# Shared by the scripts of this folder: source it, it runs nothing.
# shellcheck shell=bash

repository=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
: "${repository:?}"

say() { printf '\n== %s\n' "$*"; }
die() {
  printf '%s: %s\n' "${0##*/}" "$*" >&2
  exit 1
}

# Configures and builds a CMake preset; further arguments go to the build.
build_preset() {
  local preset=$1
  shift
  (cd "$repository" && cmake --preset "$preset" >"$repository/build/configure-$preset.log" 2>&1) || {
    cat "$repository/build/configure-$preset.log"
    return 1
  }
  (cd "$repository" && cmake --build --preset "$preset" "$@")
}

# has_server FOLDER: whether a PostgreSQL server of Debian's packages is there that pgrecall supports.
has_server() {
  local initdb version
  for initdb in "$1"/*/bin/initdb; do
    version=${initdb%/bin/initdb}
    version=${version##*/}
    [[ $version =~ ^[0-9]+$ ]] && ((version >= 13)) && return 0
  done
  return 1
}

# -- steps: each is timed, all are run, the summary tells --------------------------------------
step_names=()
step_results=()
step_seconds=()

# run_step NAME COMMAND...: runs the command and remembers how it went.
run_step() {
  local name=$1 begin=$SECONDS result=ok
  shift
  say "$name"
  "$@" || result="FAILED ($?)"
  step_names+=("$name")
  step_results+=("$result")
  step_seconds+=($((SECONDS - begin)))
  [[ $result == ok ]]
}

# skip_step NAME REASON: a step that cannot run because another failed; counts as a failure.
skip_step() {
  step_names+=("$1")
  step_results+=("FAILED (not run: $2)")
  step_seconds+=(0)
}

# Prints every step with its result and time; fails if any failed.
summary() {
  local i failed=0
  say "summary"
  for i in "${!step_names[@]}"; do
    printf '%-44s %5d s  %s\n' "${step_names[$i]}" "${step_seconds[$i]}" "${step_results[$i]}"
    [[ ${step_results[$i]} == ok ]] || failed=$((failed + 1))
  done
  if ((failed > 0)); then
    printf '%d of %d steps failed, %d s in all\n' "$failed" "${#step_names[@]}" "$SECONDS"
    return 1
  fi
  printf 'all %d steps passed, %d s in all\n' "${#step_names[@]}" "$SECONDS"
}
