#!/bin/sh
# Sets up what checks and tests need, and nothing more.
. "$(dirname "$0")/setup.sh"

install_host_packages "$needed_tests"
install_npm_packages
build_all_programs
