#!/bin/bash
# Prints the Debian packages, one a line, whose shared libraries a program needs on this release.
set -euo pipefail

# dpkg knows a library under /lib or under /usr/lib, whichever its package says.
owner() {
  local path=$1 try
  for try in "$path" "/usr$path" "${path#/usr}" "$(realpath "$path")"; do
    dpkg-query --search "$try" 2>/dev/null | sed -n '/^diversion by/!s/:.*//p' && return 0
  done
  echo "${0##*/}: no package owns $path" >&2
  return 1
}

listed=$(ldd "$1")
! grep 'not found' <<<"$listed" >&2 || { echo "${0##*/}: $1 needs libraries that are not here" >&2; exit 1; }
libraries=$(sed -nE 's/^(.* => )?\s*(\/[^ ]+) \(.*/\2/p' <<<"$listed")
[[ -n $libraries ]] || { echo "${0##*/}: $1 needs no shared library, or is no program" >&2; exit 1; }
packages=()
while read -r library; do
  owned=$(owner "$library")  # ends the script if it fails, which it does not inside an argument
  packages+=("$owned")
done <<<"$libraries"
printf '%s\n' "${packages[@]}" | LC_ALL=C sort -u
