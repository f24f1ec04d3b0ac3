# An empty Debian in a folder, for suites that need a machine with nothing on it. Source it after lib.sh.
# shellcheck shell=bash

# Whatever a suite starts or mounts is in namespaces of its own, and gone when it ends, however it ends.
# Call it first, with the script's own arguments.
enter_namespaces() {
  [[ $(id -u) == 0 ]] || die "needs root: it makes a chroot"
  [[ -z ${PGRECALL_IN_NAMESPACES-} ]] || return 0
  command -v debootstrap >/dev/null || apt-get install -q -y --no-install-recommends debootstrap ||
    die "debootstrap cannot be installed"
  PGRECALL_IN_NAMESPACES=yes exec unshare --mount --pid --fork --kill-child "$0" "$@"
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
  printf '%s\n' "$found"
}

# make_root RELEASE FOLDER: a minimal system there, its kernel file systems mounted.
make_root() {
  local release=$1 root=$2
  rm -rf --one-file-system "$root"
  mkdir -p "$root"
  debootstrap --variant=minbase "$release" "$root" "$(mirror)" >"$root.log" 2>&1 || {
    tail -n 20 "$root.log"
    return 1
  }
  mount -t proc proc "$root/proc"
  mount --rbind /dev "$root/dev"
  mount -t tmpfs tmpfs "$root/dev/shm"
  cp /etc/resolv.conf "$root/etc/resolv.conf"
  install -d "$root/srv"
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
