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

