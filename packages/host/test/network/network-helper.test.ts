import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { promises as fs } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test, type TestContext } from "node:test";
import { eventually, nativePrograms, ownPlaces, strangerUid } from "@workfort/testing";
import { makeHost } from "./network-daemon.ts";
import type { TestNamespace } from "./test-namespace.ts";

/** The network helper as root installs it: who may ask, for what, and what it never does. */
const helper = join(nativePrograms, "network-helper");
const other = strangerUid + 1;

interface Said {
  code: number | null;
  output: string;
  errors: string;
}

/** A host on which root has installed it; `conf` are the lines of its configuration. */
class Host {
  readonly namespace: TestNamespace;
  readonly #conf: string;
  readonly #install: string;

  constructor(namespace: TestNamespace, conf: string, install: string) {
    this.namespace = namespace;
    this.#conf = conf;
    this.#install = install;
  }

  /** Runs words as a user, after the helper has been installed in a mount namespace of its own. */
  async run(uid: number, argv: readonly string[], env: Record<string, string> = {}): Promise<Said> {
    const script = `${ownPlaces}
      mkdir -p /etc/workfort /usr/local/libexec/workfort
      cp ${helper} /usr/local/libexec/workfort/network-helper
      chmod 4755 /usr/local/libexec/workfort/network-helper
      printf '%s' "$CONF" > /etc/workfort/network-helper.conf
      ${this.#install}
      exec setpriv --reuid ${uid} --regid ${uid} --clear-groups -- "$@"`;
    const [enter, ...entered] = this.namespace.enter;
    const child = spawn(enter, [...entered, "unshare", "--mount", "--", "sh", "-c", script, "sh", ...argv], {
      env: { ...process.env, ...env, CONF: this.#conf },
      stdio: ["ignore", "pipe", "pipe"],
    });
    let [output, errors] = ["", ""];
    child.stdout.on("data", (chunk: Buffer) => (output += chunk.toString()));
    child.stderr.on("data", (chunk: Buffer) => (errors += chunk.toString()));
    const [code] = (await once(child, "close")) as [number | null];
    return { code, output, errors };
  }

  async ask(uid: number, ...words: string[]): Promise<Said> {
    return await this.run(uid, ["/usr/local/libexec/workfort/network-helper", ...words]);
  }
}

async function makeInstalled(t: TestContext, conf: string, install = ""): Promise<Host> {
  return new Host((await makeHost(t)).host, conf, install);
}

/** A network namespace that a user has made; the pid of a process in it. */
async function namespaceOf(t: TestContext, uid: number): Promise<number> {
  const child = spawn("unshare", ["--user", "--map-root-user", "--net", "sleep", "infinity"], { uid, gid: uid });
  t.after(async () => {
    child.kill("SIGKILL");
    if (child.exitCode === null && child.signalCode === null) await once(child, "exit");
  });
  const own = await fs.readlink("/proc/self/ns/net");
  await eventually(
    () => fs.readlink(`/proc/${child.pid}/ns/net`).catch(() => own),
    (found) => found !== own,
  );
  return child.pid ?? 0;
}

const allow = `# who may\nallow ${strangerUid}\nlinks 2\n`;

test("a named user joins a namespace of his own, again where it is half done, and takes it away", async (t) => {
  const host = await makeInstalled(t, allow);
  const pid = await namespaceOf(t, strangerUid);
  const rules = await host.namespace.run(["nft", "list", "ruleset"]);
  const up = await host.ask(strangerUid, "up", "0a1b2c", String(pid));
  assert.deepEqual([up.code, up.errors], [0, ""]);
  const { interface: link, ipv4 } = JSON.parse(up.output) as { interface: string; ipv4: string };
  assert.equal(link, "nx0a1b2c");
  const index = async (): Promise<string> => await host.namespace.run(["ip", "-o", "link", "show", link]);
  const first = await index();
  assert.equal((await host.ask(strangerUid, "up", "0a1b2c", String(pid))).output, up.output);
  assert.equal(await index(), first, "what is whole is left alone");
  await host.namespace.run(["ip", "link", "delete", link]);
  assert.match((await host.ask(strangerUid, "status", "0a1b2c")).output, /"state":"broken"/);
  assert.equal((await host.ask(strangerUid, "up", "0a1b2c", String(pid))).code, 0);
  assert.match((await host.ask(strangerUid, "status", "0a1b2c")).output, new RegExp(`"ipv4":"${ipv4}"`));
  for (const _ of [1, 2]) assert.equal((await host.ask(strangerUid, "down", "0a1b2c")).code, 0);
  assert.match((await host.ask(strangerUid, "status", "0a1b2c")).output, /"state":"down"/);
  assert.equal(await host.namespace.run(["nft", "list", "ruleset"]), rules);
});

test("nobody gets another's namespace, another's link, the host's own namespace, or more links than he may have", async (t) => {
  const host = await makeInstalled(t, `${allow}allow ${other}\n`);
  const [mine, theirs] = [await namespaceOf(t, strangerUid), await namespaceOf(t, other)];
  const refused = async (uid: number, words: string[], says: RegExp): Promise<void> => {
    const { code, output, errors } = await host.ask(uid, ...words);
    assert.deepEqual([code, output], [code === 1 ? 1 : 77, ""], errors);
    assert.match(errors, says);
  };
  await refused(strangerUid, ["up", "0a1b2c", String(theirs)], new RegExp(`belongs to uid ${other}, not to`));
  await refused(strangerUid, ["up", "0a1b2c", String(process.pid)], /belongs to uid 0/);
  await refused(strangerUid, ["up", "0a1b2c", "4194304"], /No such file/);
  await refused(0 + other + 5, ["up", "0a1b2c", String(mine)], /may not; as root: nexusctl network setup/);
  assert.equal((await host.ask(strangerUid, "up", "0a1b2c", String(mine))).code, 0);
  for (const words of [
    ["down", "0a1b2c"],
    ["status", "0a1b2c"],
    ["up", "0a1b2c", String(theirs)],
  ])
    await refused(other, words, /somebody else's/);
  const second = await namespaceOf(t, strangerUid);
  assert.equal((await host.ask(strangerUid, "up", "000002", String(second))).code, 0);
  await refused(strangerUid, ["up", "000003", String(await namespaceOf(t, strangerUid))], /has 2 links/);
  for (const tag of ["0a1b2c", "000002"]) assert.equal((await host.ask(strangerUid, "down", tag)).code, 0);
});

test("it takes nothing of its caller but its words", async (t) => {
  const host = await makeInstalled(t, allow);
  const pid = await namespaceOf(t, strangerUid);
  const trap = await fs.mkdtemp(join(tmpdir(), "trap"));
  t.after(async () => await fs.rm(trap, { recursive: true, force: true }));
  await fs.chmod(trap, 0o777);
  for (const tool of ["ip", "nft"])
    await fs.writeFile(join(trap, tool), `#!/bin/sh\ntouch ${trap}/sprung\n`, { mode: 0o755 });
  const env = { PATH: trap, LD_PRELOAD: `${trap}/x.so`, LD_LIBRARY_PATH: trap, IFS: "/", LC_ALL: "de_DE.UTF-8" };
  const program = "/usr/local/libexec/workfort/network-helper";
  const environment = Object.entries(env).map(([name, value]) => `${name}=${value}`);
  const careless = [
    "sh",
    "-c",
    `cd ${trap}; ulimit -n 20; ulimit -f 0; trap '' CHLD PIPE TERM; exec "$@" 3<${trap}`,
    "sh",
  ];
  const up = await host.run(strangerUid, [
    ...careless,
    "/usr/bin/env",
    ...environment,
    program,
    "up",
    "0a1b2c",
    String(pid),
  ]);
  assert.deepEqual([up.code, up.errors], [0, ""]);
  await assert.rejects(fs.stat(join(trap, "sprung")), { code: "ENOENT" });
  for (const words of [
    ["up"],
    ["up", "0a1b2c", "1; id"],
    ["up", "../../x", "1"],
    ["--help"],
    ["down", "0a1b2c", "x"],
  ]) {
    const { code, output } = await host.ask(strangerUid, ...words);
    assert.deepEqual([code, output], [2, ""], words.join(" "));
  }
  assert.equal((await host.ask(strangerUid, "down", "0a1b2c")).code, 0);
});

test("a configuration that others could have written is not believed", async (t) => {
  const conf = "/etc/workfort/network-helper.conf";
  const spoiled: [install: string, says: RegExp][] = [
    [`chmod 666 ${conf}`, /not root's alone to write/],
    [`chown ${strangerUid} ${conf}`, /not root's alone to write/],
    ["chmod 777 /etc/workfort", /\/etc\/workfort is not root's alone/],
    [`mv ${conf} /etc/workfort/x; ln -s x ${conf}`, /Too many levels of symbolic links/],
    [`ln ${conf} /etc/workfort/y`, /not root's alone to write/],
    [`rm ${conf}`, /No such file/],
    [`rm ${conf}; mkfifo ${conf}`, /not root's alone to write/],
    [`echo "include /etc/passwd" >> ${conf}`, /is not understood/],
  ];
  for (const [install, says] of spoiled) {
    const host = await makeInstalled(t, allow, install);
    const { code, errors } = await host.ask(strangerUid, "status", "0a1b2c");
    assert.equal(code, 77, install);
    assert.match(errors, says, install);
  }
  const host = await makeInstalled(t, allow, "chmod 0755 /usr/local/libexec/workfort/network-helper");
  assert.match((await host.ask(strangerUid, "status", "0a1b2c")).errors, /not installed for users/);
});
