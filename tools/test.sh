#!/bin/sh
# npm test: sets up what the tests need, then runs them.
. "$(dirname "$0")/setup.sh"

say "Host packages"
install_host_packages "$needed_tests"
say "Dependencies and native programs"
install_npm_packages
build_all_programs
find_node
exec "$node" tools/test.ts "$@"
