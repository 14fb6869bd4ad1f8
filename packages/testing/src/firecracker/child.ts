/** starts a program unless the double, whose pid is the first word, is no longer the parent */
const startUnlessOrphaned = '[ "$PPID" = "$0" ] && exec "$@"';

/**
 * The command line of a program that dies with the double: the kernel kills it when its parent goes, and should the
 * parent have gone before that was arranged, it does not start.
 */
export function diesWithUs(argv: readonly string[]): [string, ...string[]] {
  return ["setpriv", "--pdeathsig", "KILL", "sh", "-c", startUnlessOrphaned, String(process.pid), ...argv];
}
