import assert from "node:assert/strict";
import { readdirSync } from "node:fs";
import { test } from "node:test";
import { operations, type OperationName } from "@workfort/contract";
import type { AnyCommand } from "../../src/command.ts";
import { commandTable, isGroup, walk, type Entry, type Leaf } from "../../src/command-table.ts";
import { painter } from "../../src/format/colour.ts";
import { renderHelp } from "../../src/help.ts";
import { disambiguate } from "../../src/scan.ts";

const leaves = leavesOf(commandTable);

function leavesOf(table: Readonly<Record<string, Entry>>, above: string[] = []): [path: string[], leaf: Leaf][] {
  return Object.entries(table).flatMap(([name, entry]): [string[], Leaf][] =>
    isGroup(entry) ? leavesOf(entry.commands, [...above, name]) : [[[...above, name], entry]],
  );
}

test("a command's file is where its words say", () => {
  const files = readdirSync(new URL("../../src/commands", import.meta.url), { recursive: true, encoding: "utf8" });
  assert.deepEqual(
    files.filter((file) => file.endsWith(".ts")).toSorted(),
    leaves.map(([path]) => `${path.join("/")}.ts`).toSorted(),
  );
});

test("summaries of what the daemon does are the contract's", () => {
  /** commands that do more or less than the operation of the same words */
  const own = new Set(["vm exec", "network log", "network policy get", "network policy set"]);
  for (const [path, { summary }] of leaves) {
    const operation = operations[path.join(".") as OperationName] as { summary: string } | undefined;
    if (operation !== undefined && !own.has(path.join(" "))) assert.equal(summary, operation.summary, path.join(" "));
  }
  assert.equal(walk(["status"]).path.join(), "status");
  assert.equal((commandTable["status"] as Leaf).summary, operations["system.status"].summary);
});

test("aliases lead to the same command", () => {
  assert.deepEqual(walk(["ws", "ls"]).path, ["workspace", "list"]);
  assert.deepEqual(walk(["vm", "rm", "dev"]), {
    ...walk(["vm", "delete", "dev"]),
    path: ["vm", "delete"],
    rest: ["dev"],
  });
  assert.deepEqual(walk(["vm", "terminal", "rm", "dev", "main"]).rest, ["dev", "main"]);
  assert.deepEqual(walk(["vm", "file", "ls", "dev:"]).path, ["vm", "file", "list"]);
  assert.deepEqual(walk(["vm", "nonsense"]).path, ["vm"]);
  assert.deepEqual(walk(["vm", "ps", "rm", "dev", "p"]).path, ["vm", "process", "delete"]);
  assert.deepEqual(walk(["vm", "process", "dev"]).rest, ["dev"]);
  assert.deepEqual(walk(["nonsense"]).path, []);
});

for (const [path, leaf] of leaves) {
  test(`${path.join(" ")}: its help shows its flags and examples, and the examples are of it`, async () => {
    const command = (await leaf.load()).default;
    const help = await renderHelp(path, command, painter(false));
    for (const name of Object.keys(command.parameters.flags ?? {}))
      assert.match(help, new RegExp(`--${kebab(name)}\\b`));
    assert.ok(command.examples.length > 0);
    for (const [line] of command.examples) {
      assert.ok(help.includes(`nexusctl ${line}`), line);
      await assertParses(path, command, line);
    }
    assert.ok(!help.includes("undefined"), help);
    for (const line of help.split("\n")) assert.ok(line.length <= 130 && line === line.trimEnd(), line);
  });
}

/** Words of an example are words and flags of its command (or of another one, shown as the next step). */
async function assertParses(path: readonly string[], command: AnyCommand, line: string): Promise<void> {
  const words = (line.split(/ [|<]+ |(?<= )\|\| /)[0] ?? "").match(/'[^']*'|\S+/g) ?? [];
  const found = walk(words);
  assert.ok(found.entry !== null && !isGroup(found.entry), line);
  const meant = found.path.join(" ") === path.join(" ") ? command : (await found.entry.load()).default;
  const flags = Object.keys(meant.parameters.flags ?? {}).map(kebab);
  const aliases = Object.keys(meant.parameters.aliases ?? {});
  for (const word of disambiguate(found.rest, meant)) {
    if (word === "--") break;
    if (word.startsWith("--")) assert.ok(flags.includes(word.slice(2).split("=")[0] ?? ""), `${line}: ${word}`);
    else if (word.startsWith("-"))
      assert.ok(
        word
          .slice(1)
          .split("")
          .every((letter) => aliases.includes(letter)),
        `${line}: ${word}`,
      );
  }
}

function kebab(name: string): string {
  return name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
}
