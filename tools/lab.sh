#!/bin/sh
# npm run lab: the Firecracker suite against the real Firecracker, in a VM with nested virtualization.
. "$(dirname "$0")/setup.sh"

install_host_packages "$needed_tests"
install_npm_packages
build_native_programs
find_node
exec "$node" tools/lab.ts "$@"
