import type { Cli } from "../../cli.ts";
import { defineCommand } from "../../command.ts";
import { runInGuest, startInGuest } from "../../exec/run-in-guest.ts";
import { UsageError } from "../../failures.ts";
import { parseDuration, parseVariable, text } from "../../parse.ts";

interface Flags {
  readonly user?: string;
  readonly cwd?: string;
  readonly env?: readonly (readonly [key: string, value: string])[];
  readonly timeout?: number;
  readonly stdin?: boolean;
  readonly tty?: boolean;
  readonly detach?: boolean;
  readonly json?: boolean;
}

export default defineCommand({
  parameters: {
    positional: {
      kind: "array",
      minimum: 2,
      parameter: { placeholder: "NAME", brief: "name or id of a VM, then the command and its arguments", parse: text },
    },
    flags: {
      user: {
        kind: "parsed",
        parse: text,
        optional: true,
        placeholder: "USER",
        brief: "name, uid, name:group or uid:gid (default root)",
      },
      cwd: {
        kind: "parsed",
        parse: text,
        optional: true,
        placeholder: "DIRECTORY",
        brief: "where it runs (default the user's home)",
      },
      env: {
        kind: "parsed",
        parse: parseVariable,
        optional: true,
        variadic: true,
        placeholder: "KEY=VALUE",
        brief: "a variable on top of the user's login environment",
      },
      timeout: {
        kind: "parsed",
        parse: parseDuration,
        optional: true,
        placeholder: "TIME",
        brief: "end it after this long, for example 30s; exit code 124",
      },
      stdin: {
        kind: "boolean",
        optional: true,
        withNegated: false,
        brief: "pass this command's stdin to it; without, it has none",
      },
      tty: {
        kind: "boolean",
        optional: true,
        withNegated: false,
        brief: "on a terminal of its own, typed into from here; it goes with the command",
      },
      detach: {
        kind: "boolean",
        optional: true,
        withNegated: false,
        brief: "start it, print its id and leave it to itself; see vm process",
      },
      json: {
        kind: "boolean",
        optional: true,
        withNegated: false,
        brief: "print exit code and the first MiB of each output as one JSON object",
      },
    },
    aliases: { u: "user", w: "cwd", e: "env", i: "stdin", t: "tty", d: "detach" },
  },
  commandAfter: 1,
  about:
    "stdout and stderr come as they are, each on its own; the exit code is the command's own. No shell is involved:\n" +
    "for pipes and variables of the guest run sh -c '…'. Ctrl-C interrupts the command, a second one kills it.",
  examples: [
    ["vm exec dev -- uname -a", "what is after NAME goes to the guest, flags and all"],
    ["vm exec dev -- sh -c 'cd /srv && make 2>&1'", "with a shell"],
    ["vm exec dev -i -- tar -x -C /srv < files.tar", "with input"],
    ["vm exec dev -it -- python3", "at a terminal; vm attach for one that stays"],
    ["vm exec dev -d -- ./serve", "and go on without it"],
    ["vm exec --user 1000 -e CI=1 --timeout 5m dev -- npm test", "as somebody, with a variable and a limit"],
  ],
  async run(cli: Cli, flags: Flags, name: string, ...argv: readonly string[]) {
    const start = {
      argv: [...argv],
      ...(flags.env === undefined ? {} : { env: Object.fromEntries(flags.env) }),
      ...(flags.cwd === undefined ? {} : { cwd: flags.cwd }),
      ...(flags.user === undefined ? {} : { user: flags.user }),
      ...(flags.timeout === undefined ? {} : { timeoutMs: flags.timeout }),
    };
    if (flags.detach && (flags.stdin || flags.tty))
      throw new UsageError("--detach goes without --stdin and --tty: nobody would be there to type");
    if (flags.tty) {
      if (flags.json || flags.timeout !== undefined)
        throw new UsageError("--tty goes neither with --json nor with --timeout");
      const { runOnTerminal } = await import("../../terminal/exec.ts");
      return await runOnTerminal(cli, name, start);
    }
    if (flags.detach) return await startInGuest(cli, name, start, flags.json ?? false);
    return await runInGuest(cli, name, start, { stdin: flags.stdin ?? false, json: flags.json ?? false });
  },
});
