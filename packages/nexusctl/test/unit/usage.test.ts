import assert from "node:assert/strict";
import { test } from "node:test";
import { environment } from "../helpers/fake-daemon.ts";
import { inProcess } from "../helpers/in-process.ts";

const nobody = environment("/nonexistent");

test("wrong command lines end with 2 and say what is meant", async () => {
  const cases: [words: string[], says: RegExp][] = [
    [
      ["vm", "strat", "dev"],
      /^error: there is no command "vm strat"; did you mean "vm start"\?\n {2}try: nexusctl vm --help\n$/,
    ],
    [["vmm"], /there is no command "vmm"; did you mean "vm"/],
    [["constructor"], /there is no command "constructor"/],
    [["--constructor"], /there is no flag --constructor here/],
    [["--json", "status"], /flags come after the command/],
    [["vm", "start"], /^error: NAME is missing\n/],
    [["vm", "exec", "dev"], /a COMMAND is missing/],
    [["vm", "get", "a", "b"], /"b" is one argument too many/],
    [["vm", "get", ""], /NAME: a name or id is needed|a name or id is needed/],
    [["vm", "create", "a", "--memroy", "1"], /there is no flag --memroy; did you mean --memory\?/],
    [["vm", "create", "a", "--memory", "big"], /--memory takes MiB or a size such as 512M or 2G, not "big"/],
    [["vm", "create", "a", "--memory"], /--memory needs a value/],
    [["vm", "create", "a", "--vmm", "xen"], /--vmm takes auto, firecracker or qemu, not "xen"/],
    [["vm", "create", "a", "--image", "x", "--workspace", "y"], /--image and --workspace exclude each other/],
    [["vm", "list", "-x"], /there is no flag -x/],
    [
      ["vm", "delete", "dev"],
      /refusing to delete VM "dev" .*\n {2}stdin is not a terminal.*\n {2}try: nexusctl vm delete dev --yes\n$/,
    ],
    [["image", "import", "/x"], /--name needs a value/],
    [["drive", "create", "a", "--from", "/x", "--snapshot-of", "b"], /--from and --snapshot-of exclude each other/],
    [
      ["drive", "create", "a", "--size", "1G", "--snapshot-of", "b"],
      /--size and --snapshot-of exclude[^]*drive resize/,
    ],
    [["drive", "attach", "a"], /VM is missing/],
    [["drive", "attach", "a", "dev", "--iops", "many"], /--iops takes a whole number, not "many"/],
    [["drive", "resize", "a"], /--size needs a value/],
    [["drive", "delete", "a"], /refusing to delete drive "a"/],
  ];
  for (const [words, says] of cases) {
    const { code, stdout, stderr } = await inProcess(nobody, ...words);
    assert.deepEqual([code, stdout], [2, ""], words.join(" "));
    assert.match(stderr, says);
  }
});

test("help is on stdout, for the whole, a group and a command, however it is asked for", async () => {
  for (const words of [[], ["--help"], ["-h"], ["help"]]) {
    const { code, stdout, stderr } = await inProcess(nobody, ...words);
    assert.deepEqual([code, stderr], [0, ""]);
    assert.match(stdout, /Exit codes:[^]*3 +the daemon does not run/);
  }
  assert.match((await inProcess(nobody, "vm")).stdout, /list, ls +List VMs/);
  assert.equal(
    (await inProcess(nobody, "help", "vm", "start")).stdout,
    (await inProcess(nobody, "vm", "start", "--help")).stdout,
  );
});
