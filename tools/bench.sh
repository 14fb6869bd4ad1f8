#!/bin/sh
# npm run bench: sets up what the measurements need, then makes them.
. "$(dirname "$0")/setup.sh"

install_host_packages "$needed_tests"
install_npm_packages
build_all_programs
find_node
exec "$node" bench/run.ts "$@"
