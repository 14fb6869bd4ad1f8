import type { Cli } from "../../cli.ts";
import { defineCommand } from "../../command.ts";
import { doing, UsageError } from "../../failures.ts";
import { printable } from "../../format/colour.ts";
import { text } from "../../parse.ts";
import { attach, exitCodeOf } from "../../terminal/attach.ts";
import { parseDetachKeys } from "../../terminal/detach-keys.ts";
import { Recording } from "../../terminal/recording.ts";

interface Flags {
  readonly terminal?: string;
  readonly new?: boolean;
  readonly readOnly?: boolean;
  readonly takeOver?: boolean;
  readonly record?: string;
  readonly detachKeys?: string;
  readonly user?: string;
  readonly cwd?: string;
}

const defaultKeys = "ctrl-p,ctrl-q";

export default defineCommand({
  parameters: {
    positional: {
      kind: "array",
      minimum: 1,
      parameter: {
        placeholder: "NAME",
        brief: "name or id of a VM, then what a terminal that is made runs (default the user's shell)",
        parse: text,
      },
    },
    flags: {
      terminal: {
        kind: "parsed",
        parse: text,
        optional: true,
        placeholder: "ID",
        brief: "which terminal (default main); made if it is not there",
      },
      new: { kind: "boolean", optional: true, withNegated: false, brief: "make another terminal" },
      readOnly: { kind: "boolean", optional: true, withNegated: false, brief: "only look on" },
      takeOver: {
        kind: "boolean",
        optional: true,
        withNegated: false,
        brief: "type alone: who else is at it only looks on from now on",
      },
      record: {
        kind: "parsed",
        parse: text,
        optional: true,
        placeholder: "FILE.cast",
        brief: "write what is shown to a file, as asciicast v2",
      },
      detachKeys: {
        kind: "parsed",
        parse: text,
        optional: true,
        placeholder: "KEYS",
        brief: `keys that leave the terminal as it is (default ${defaultKeys})`,
      },
      user: {
        kind: "parsed",
        parse: text,
        optional: true,
        placeholder: "USER",
        brief: "name, uid, name:group or uid:gid that a terminal that is made runs as (default root)",
      },
      cwd: {
        kind: "parsed",
        parse: text,
        optional: true,
        placeholder: "DIRECTORY",
        brief: "where it runs (default the user's home)",
      },
    },
    aliases: { t: "terminal", n: "new", u: "user", w: "cwd" },
  },
  commandAfter: 1,
  about:
    "The terminal is held in the VM: it goes on when you detach, when the connection breaks and when the daemon is\n" +
    "restarted, and whoever attaches sees its screen as it is. The exit code is that of its program; 0 after detaching.",
  examples: [
    ["vm attach dev", "a shell in the VM, or back to the one that is there"],
    ["vm attach dev --new -- htop", "another terminal, with a program of its own"],
    ["vm attach dev --terminal build --read-only", "look on"],
    ["vm attach dev --take-over", "have it to oneself, as after leaving another one open somewhere"],
    ["vm attach dev --record session.cast", "for asciinema to play"],
  ],
  async run(cli: Cli, flags: Flags, vm: string, ...argv: readonly string[]) {
    if (flags.new && flags.terminal !== undefined) throw new UsageError("--new makes an id of its own: leave out one");
    const terminal = flags.new ? newTerminalId("t") : (flags.terminal ?? "main");
    const { readOnly = false, takeOver = false } = flags;
    if (readOnly && takeOver) throw new UsageError("who takes a terminal over does not only look on: leave out one");
    const create = {
      ...(argv.length === 0 ? {} : { argv: [...argv] }),
      ...(flags.user === undefined ? {} : { user: flags.user }),
      ...(flags.cwd === undefined ? {} : { cwd: flags.cwd }),
    };
    if (argv.length > 0) await checkProgram(cli, vm, terminal, argv);
    const keys = flags.detachKeys ?? defaultKeys;
    const outcome = await attach(cli, {
      vm,
      terminal,
      create: readOnly ? null : create,
      readOnly,
      takeOver,
      detachKeys: { bytes: detachKeys(keys), text: keys.replaceAll(",", " ") },
      recording: flags.record === undefined ? null : await Recording.create(flags.record),
      withoutTerminal: `nexusctl vm exec ${vm} -- …`,
    });
    if ("detached" in outcome)
      cli.err.write(
        `detached; nexusctl vm attach ${vm}${terminal === "main" ? "" : ` --terminal ${terminal}`} goes back\n`,
      );
    return exitCodeOf(outcome);
  },
});

/** A terminal that is there keeps its program; one that was asked for is not passed over in silence. */
async function checkProgram(cli: Cli, vm: string, terminal: string, wanted: readonly string[]): Promise<void> {
  const { terminals } = await doing(`list the terminals of VM "${vm}"`, () =>
    cli.client.call("vm.terminal.list", { params: { vm } }),
  );
  const there = terminals.find(({ id }) => id === terminal);
  if (there === undefined || there.argv.join("\0") === wanted.join("\0")) return;
  throw new UsageError(
    `terminal ${terminal} of VM "${vm}" is there already and runs another program: ${printable(there.argv.join(" "))}; --new makes another terminal`,
  );
}

function detachKeys(text: string): Buffer {
  try {
    return parseDetachKeys(text);
  } catch (error) {
    throw new UsageError(`--detach-keys ${(error as Error).message}`);
  }
}

function newTerminalId(kind: string): string {
  return `${kind}-${process.getBuiltinModule("node:crypto").randomBytes(4).toString("hex")}`;
}
