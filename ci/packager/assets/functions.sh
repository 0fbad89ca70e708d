# The list of platforms that the VRS keeps, where its package is installed. In a shell of its own, which it may end.
platform() {
  library=/usr/share/openvswitch/scripts/vrs-platform-lib
  [ -e "$library" ] || return 0
  (. "$library" && "$1" k8s) || echo "nuage-cni: $1 k8s of $library failed" >&2
}

# Files get the contexts that the node's policy has for their places.
relabel() {
  if command -v selinuxenabled > /dev/null 2>&1 && selinuxenabled; then
    restorecon "$@" || echo "nuage-cni: restorecon failed" >&2
  fi
}

# Asks systemd; not at all where there is none, and nothing about running services where it does not run: in a root that is
# being made a service can only be enabled.
service() {
  command -v systemctl > /dev/null 2>&1 || return 0
  case $1 in
    enable | disable) ;;
    *) [ -d /run/systemd/system ] || return 0 ;;
  esac
  systemctl "$@" || echo "nuage-cni: systemctl $* failed" >&2
}

