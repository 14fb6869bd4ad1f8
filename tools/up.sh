#!/bin/sh
# npm run up: from a fresh checkout to a command's output from inside a microVM.
. "$(dirname "$0")/setup.sh"

say "[1/6] Host packages"
install_host_packages
say "[2/6] Dependencies and native programs"
install_npm_packages
build_native_programs
find_node
exec "$node" tools/up.ts "$@"
