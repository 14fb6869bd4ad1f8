#!/bin/sh
# npm run down: stops the VMs and the daemon, unmounts the store, and says what stays.
. "$(dirname "$0")/setup.sh"
find_node
exec "$node" tools/down.ts "$@"
