import assert from "node:assert/strict";
import { test } from "node:test";
import exec from "../../src/commands/vm/exec.ts";
import start from "../../src/commands/vm/start.ts";
import { UsageError } from "../../src/failures.ts";
import { disambiguate } from "../../src/scan.ts";

test("the words of the guest's command line stay as they are", () => {
  const cases: [string, string][] = [
    ["dev ls -la", "dev -- ls -la"],
    ["dev -- ls --help", "dev -- ls --help"],
    ["-u 1000 dev -e A=1 env", "-u 1000 dev -e A=1 -- env"],
    ["-i dev cat", "-i dev -- cat"],
    ["dev --timeout 5s sh -c x -- y", "dev --timeout 5s -- sh -c x -- y"],
    ["--timeout=5s dev git log -- file", "--timeout=5s dev -- git log -- file"],
    ["dev", "dev"],
    ["-- dev ls", "-- dev ls"],
    ["dev - x", "dev -- - x"],
  ];
  for (const [given, expected] of cases)
    assert.deepEqual(disambiguate(given.split(" "), exec), expected.split(" "), given);
});

test("a value that is empty or of several lines becomes a word of its own", () => {
  assert.deepEqual(disambiguate(["--env=A=1\n2", "dev", "env"], exec), ["--env", "A=1\n2", "dev", "--", "env"]);
  assert.deepEqual(disambiguate(["--cwd=", "dev", "pwd"], exec), ["--cwd", "", "dev", "--", "pwd"]);
});

test("a word that looks like a flag and cannot be one is refused", () => {
  for (const word of ["-eA=1", "-1", "--1", "---", "-é"])
    assert.throws(() => disambiguate(["dev", word], start), UsageError, word);
});
