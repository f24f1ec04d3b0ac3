# An empty Debian in a folder, for suites that need a machine with nothing on it. Source it after lib.sh.
# shellcheck shell=bash

# enter_namespaces ROOT KEEP ARGUMENTS...: runs the script again, with its own arguments, in namespaces of its
# own. Whatever it starts or mounts there is gone when this one ends, however it ends, and so is the folder
# ROOT unless KEEP is yes. Only one run at a time may use a ROOT.
enter_namespaces() {
  namespaces_root=$1 namespaces_keep=$2
  shift 2
  [[ -z ${PGRECALL_IN_NAMESPACES-} ]] || return 0
  [[ $(id -u) == 0 ]] || die "needs root: it makes a chroot"
  mkdir -p "$(dirname "$namespaces_root")"
  exec {namespaces_lock}>"$namespaces_root.lock"
  flock --nonblock "$namespaces_lock" || die "another run uses $namespaces_root"
  command -v debootstrap >/dev/null || apt-get install -q -y --no-install-recommends --no-remove debootstrap ||
    die "debootstrap cannot be installed"
  trap leave_namespaces EXIT
  trap 'exit 129' HUP
  trap 'exit 130' INT
  trap 'exit 143' TERM
  # In the background, for then a signal ends the wait at once; there SIGINT would be ignored.
  PGRECALL_IN_NAMESPACES=yes env --default-signal=INT,QUIT setpriv --pdeathsig KILL \
    unshare --mount --pid --fork --kill-child "$0" "$@" &
  namespaces=$!
  wait "$namespaces"
  local result=$?
  namespaces=
  exit "$result"
}
# The first process of the namespaces ends after all others of them.
leave_namespaces() {
  local first
  if [[ -n ${namespaces-} ]]; then
    read -r first <"/proc/$namespaces/task/$namespaces/children"
    kill -KILL "${first:-$namespaces}"
    wait "$namespaces"
  fi 2>/dev/null
  [[ $namespaces_keep == yes ]] || rm -rf --one-file-system "$namespaces_root"
}

# check_release NAME: it becomes the name of a folder that is removed.
check_release() {
  [[ $1 =~ ^[a-z]+$ ]] || die "\"$1\" is no release of Debian"
}

# The mirror of Debian's main archive that apt uses here.
mirror() {
  local found
  # shellcheck disable=SC2016
  found=$(apt-get indextargets --format '$(REPO_URI) $(LABEL) $(COMPONENT)' 'Created-By: Packages' |
    sed -n 's/ Debian main$//p' | head -1)
  [[ -n $found ]] || die "apt knows no mirror of Debian's main archive"
  [[ $found =~ ^(https?|file): ]] || die "debootstrap cannot read from apt's mirror $found; allowed: http, https, file"
  printf '%s\n' "$found"
}

# make_root RELEASE FOLDER: a minimal system there, its kernel file systems mounted.
make_root() {
  local release=$1 root=$2 from
  from=$(mirror) || return 1
  rm -rf --one-file-system "$root"
  mkdir -p "$root"
  debootstrap --variant=minbase "$release" "$root" "$from" >"$root.log" 2>&1 || {
    tail -n 20 "$root.log"
    return 1
  }
  # A mount point, as a machine's root is: without one, nothing in it could get mounts of its own.
  mount --bind "$root" "$root" &&
    mount -t proc proc "$root/proc" &&
    mount --rbind /dev "$root/dev" &&
    mount -t tmpfs tmpfs "$root/dev/shm" &&
    cp /etc/resolv.conf "$root/etc/resolv.conf" &&
    install -d "$root/srv" &&
    git clone --quiet --no-hardlinks "$repository" "$root/srv/pgrecall"
}

# in_root FOLDER COMMAND...: runs it in the clone, with the environment of a new login.
in_root() {
  local root=$1
  shift
  chroot "$root" /usr/bin/env -i HOME=/root USER=root TERM=dumb LANG=C.UTF-8 \
    PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
    /bin/bash -c 'cd /srv/pgrecall && exec "$@"' bash "$@"
}
