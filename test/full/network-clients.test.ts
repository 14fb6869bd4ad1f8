import assert from "node:assert/strict";
import { promises as fs } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { bootstrapDebian } from "@workfort/host/assets/debian-rootfs.ts";
import { buildExt4 } from "@workfort/host/images/ext4.ts";
import {
  addresses,
  copyNodeAndNpm,
  makeMirrors,
  mirrored,
  sendTree,
  testEnvironment,
  withWorkplace,
  type Guest,
  type Workplace,
} from "@workfort/testing";

/** The clients that agents use, as people install them, against mirrors of the tests' internet, by presets alone. */
const packages = ["ca-certificates", "curl", "git"];

async function startAgent(workplace: Workplace): Promise<Guest> {
  const { daemon, internet } = workplace;
  const { signal } = new AbortController();
  const [tar, image, stage] = ["clients.tar", "clients.ext4", "stage"].map((name) => join(daemon.directory, name));
  assert.ok(tar !== undefined && image !== undefined && stage !== undefined);
  await bootstrapDebian(tar, { signal, onProgress: () => {} }, packages);
  await buildExt4({ source: { tar }, target: image, sizeBytes: 3 * 1024 ** 3, label: "clients", signal });
  await daemon.client.call("image.import", { body: { name: "clients", source: image } });
  const agent = await workplace.startVm(
    "agent",
    { mode: "allow", allow: ["preset:debian", "preset:npm", "preset:github"] },
    { memoryMiB: 768, image: "clients" },
  );
  await copyNodeAndNpm(join(stage, "usr/local"));
  const authorities = join(stage, "usr/local/share/ca-certificates");
  await fs.mkdir(authorities, { recursive: true });
  await fs.copyFile(internet.authority, join(authorities, "internet.crt"));
  await sendTree(daemon, "agent", stage);
  await agent.sh("ldconfig && update-ca-certificates >/dev/null 2>&1", 600_000);
  return agent;
}

test("apt, npm, git and curl work by the presets, and reach nothing else", async (context) => {
  const directory = await fs.mkdtemp(join(testEnvironment().root, "mirrors"));
  try {
    const sites = await makeMirrors(directory);
    await withWorkplace({ sites }, async (workplace) => {
      const agent = await startAgent(workplace);
      const { outside } = workplace.internet;

      await context.test("apt updates and installs from the Debian mirror", async () => {
        const said = await agent.sh(
          `rm -rf /etc/apt/sources.list /etc/apt/sources.list.d/*
          echo "deb [trusted=yes] http://${addresses.mirrorOf.debian}/debian bookworm main" > /etc/apt/sources.list
          apt-get -q update && apt-get -q install -y ${mirrored} && ${mirrored}`,
          600_000,
        );
        assert.match(said, /hello by apt/);
      });

      await context.test("npm installs from the registry over TLS", async () => {
        const said = await agent.sh(
          `mkdir -p /root/app && cd /root/app && export NODE_EXTRA_CA_CERTS=/etc/ssl/certs/ca-certificates.crt
          npm install --no-audit --no-fund --no-update-notifier ${mirrored} && node_modules/.bin/${mirrored}`,
          600_000,
        );
        assert.match(said, /hello by npm/);
      });

      await context.test("git clones and pushes over TLS", async () => {
        const said = await agent.sh(
          `cd /root && git clone --quiet https://github.com/workfort/${mirrored}.git hello && cd hello && cat README
          git config user.name Agent && git config user.email agent@example.test
          echo more >> README && git commit --quiet --all --message=More && git push --quiet origin HEAD:refs/heads/more
          git ls-remote origin more`,
          600_000,
        );
        assert.match(said, /hello by git\n[0-9a-f]{40}\trefs\/heads\/more/);
      });

      await context.test("curl is told plainly what it may not, on 80 and on 443", async () => {
        await workplace.internet.forget();
        const plain = await agent.sh(
          "curl -sS http://forbidden.test/ 2>&1; curl -sS -H 'Host: forbidden.test' http://github.com/ 2>&1; true",
        );
        assert.match(plain, /Could not resolve host: forbidden\.test[^]*forbidden\.test[^]*policy/);
        const secure = await agent.sh(
          "curl -sS --connect-to forbidden.test:443:github.com:443 https://forbidden.test/ 2>&1; true",
        );
        assert.match(secure, /alert|access denied/i);
        const seen = await outside.ask.seen();
        assert.deepEqual(
          seen.filter(({ name }) => name.includes("forbidden")),
          [],
        );
      });
    });
  } finally {
    await fs.rm(directory, { recursive: true, force: true });
  }
});
