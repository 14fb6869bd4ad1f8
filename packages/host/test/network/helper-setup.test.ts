import assert from "node:assert/strict";
import { promises as fs } from "node:fs";
import { join } from "node:path";
import { test, type TestContext } from "node:test";
import { nativePrograms, refusal } from "@workfort/testing";
import { installHelper, removeHelper, uidsIn, type HelperPlaces } from "../../src/network/helper-setup.ts";

/** What `sudo nexusctl network setup` leaves on a host, in a directory of root's own beside the real places. */
const source = join(nativePrograms, "network-helper");
const uid = 64_321;

async function places(t: TestContext): Promise<HelperPlaces> {
  const root = await fs.mkdtemp("/var/lib/workfort-test-"); // not /tmp, where others may write
  await fs.chmod(root, 0o755);
  t.after(async () => await fs.rm(root, { recursive: true, force: true }));
  return {
    program: join(root, "libexec/workfort/network-helper"),
    configuration: join(root, "etc/workfort/helper.conf"),
  };
}

const modeOf = async (path: string): Promise<string> => ((await fs.stat(path)).mode & 0o7777).toString(8);

/** The helper believes its own configuration alone, which is not the test's: it says so. */
async function install(who: number, at: HelperPlaces): Promise<void> {
  const { message } = await refusal(installHelper(source, who, at));
  assert.match(message, new RegExp(`does not serve user ${who}: network-helper: .*/etc/workfort`));
}

test("it is installed for a user, again, for another, and removed with the last", async (t) => {
  const at = await places(t);
  for (const who of [uid, uid, uid + 1]) await install(who, at);
  assert.deepEqual([await modeOf(at.program), await modeOf(at.configuration)], ["4755", "644"]);
  assert.equal((await fs.stat(at.program)).uid, 0);
  assert.deepEqual(uidsIn(await fs.readFile(at.configuration, "utf8")), [uid, uid + 1]);
  await fs.appendFile(at.configuration, "links 2\n");

  assert.equal(await removeHelper(uid, at), "user");
  assert.match(await fs.readFile(at.configuration, "utf8"), /^allow 64322\nlinks 2$/m);
  assert.equal(await removeHelper(uid, at), "nothing");
  assert.equal(await removeHelper(uid + 1, at), "all");
  assert.equal(await removeHelper(uid + 1, at), "nothing");
  await assert.rejects(fs.stat(at.program), { code: "ENOENT" });
  await assert.rejects(fs.stat(at.configuration), { code: "ENOENT" });
});

test("places that others can write in are refused", async (t) => {
  const spoils: ((at: HelperPlaces) => Promise<void>)[] = [
    async ({ program }) => {
      await fs.mkdir(join(program, ".."), { recursive: true });
      await fs.chmod(join(program, ".."), 0o777);
    },
    async ({ program }) => {
      await fs.mkdir(join(program, "../.."), { recursive: true });
      await fs.symlink("/tmp", join(program, ".."));
    },
    async ({ configuration }) => {
      await fs.mkdir(join(configuration, ".."), { recursive: true });
      await fs.writeFile(configuration, "allow 1\n");
      await fs.chown(configuration, uid, uid);
    },
    async ({ configuration }) => {
      await fs.mkdir(join(configuration, ".."), { recursive: true });
      await fs.symlink("/etc/passwd", configuration);
    },
  ];
  for (const spoil of spoils) {
    const at = await places(t);
    await spoil(at);
    const { code, message } = await refusal(installHelper(source, uid, at));
    assert.equal(code, "network_unavailable");
    assert.match(message, /that root alone can write/);
  }
  const at = await places(t);
  assert.match((await refusal(installHelper(`${source}-none`, uid, at))).message, /is missing/);
});
