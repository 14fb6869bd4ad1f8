import { createHash } from "node:crypto";
import { promises as fs } from "node:fs";
import { join } from "node:path";
import { runTool } from "@workfort/host/process/run.ts";
import { mirrorNames, mirrorOf } from "./addresses.ts";

/** Small real mirrors: one package of Debian's, one of npm's, one repository of git's; all are called this. */
export const mirrored = "workfort-hello";

/** Makes them in a directory; the answer is what `sites` of an internet wants. */
export async function makeMirrors(directory: string): Promise<Record<string, string>> {
  const sites = Object.fromEntries(mirrorNames.map((host) => [host, join(directory, host)]));
  await makeDebianMirror(join(directory, mirrorOf.debian));
  await makeNpmRegistry(join(directory, mirrorOf.npm));
  await makeGitServer(join(directory, mirrorOf.github));
  return sites;
}

async function makeDebianMirror(site: string): Promise<void> {
  const root = join(site, "debian");
  const tree = join(site, "tree");
  const { stdout } = await runTool(["dpkg", "--print-architecture"]);
  const lists = join(root, "dists/bookworm/main", `binary-${stdout.trim()}`);
  for (const path of [join(tree, "DEBIAN"), join(tree, "usr/bin"), join(root, "pool"), lists])
    await fs.mkdir(path, { recursive: true });
  const control = `Package: ${mirrored}\nVersion: 1.0\nArchitecture: all\nMaintainer: Nobody <nobody@example.test>\nDescription: says hello\n`;
  await fs.writeFile(join(tree, "DEBIAN/control"), control);
  await fs.writeFile(join(tree, `usr/bin/${mirrored}`), "#!/bin/sh\necho hello by apt\n", { mode: 0o755 });
  const name = `pool/${mirrored}_1.0_all.deb`;
  await runTool(["dpkg-deb", "--root-owner-group", "--build", tree, join(root, name)]);
  await fs.rm(tree, { recursive: true });
  const deb = await fs.readFile(join(root, name));
  const packages = `${control}Filename: ${name}\nSize: ${deb.length}\nSHA256: ${digest("sha256", deb, "hex")}\n`;
  await fs.writeFile(join(lists, "Packages"), packages);
  const listed = `${lists.slice(join(root, "dists/bookworm/").length)}/Packages`;
  const release = `Suite: bookworm\nCodename: bookworm\nComponents: main\nArchitectures: ${stdout.trim()}\nSHA256:\n ${digest("sha256", packages, "hex")} ${packages.length} ${listed}\n`;
  await fs.writeFile(join(root, "dists/bookworm/Release"), release);
}

async function makeNpmRegistry(site: string): Promise<void> {
  const tree = join(site, "tree/package");
  await fs.mkdir(tree, { recursive: true });
  await fs.mkdir(join(site, "files"));
  const manifest = { name: mirrored, version: "1.0.0", bin: { [mirrored]: "hello.js" } };
  await fs.writeFile(join(tree, "package.json"), JSON.stringify(manifest));
  await fs.writeFile(join(tree, "hello.js"), '#!/usr/bin/env node\nconsole.log("hello by npm");\n', { mode: 0o755 });
  const file = `files/${mirrored}-1.0.0.tgz`;
  await runTool([
    "tar",
    "--create",
    "--gzip",
    "--file",
    join(site, file),
    "--directory",
    join(site, "tree"),
    "package",
  ]);
  await fs.rm(join(site, "tree"), { recursive: true });
  const integrity = `sha512-${digest("sha512", await fs.readFile(join(site, file)), "base64")}`;
  const dist = { tarball: `https://${mirrorOf.npm}/${file}`, integrity };
  const document = {
    name: mirrored,
    "dist-tags": { latest: "1.0.0" },
    versions: { "1.0.0": { ...manifest, dist } },
  };
  await fs.writeFile(join(site, mirrored), JSON.stringify(document));
}

async function makeGitServer(site: string): Promise<void> {
  const repository = join(site, `workfort/${mirrored}.git`);
  const tree = join(site, "tree");
  const git = (...words: string[]): Promise<unknown> =>
    runTool(["git", "-c", "user.name=Nobody", "-c", "user.email=nobody@example.test", ...words], { cwd: tree });
  await fs.mkdir(tree, { recursive: true });
  await fs.writeFile(join(tree, "README"), "hello by git\n");
  await git("init", "--quiet", "--initial-branch=main");
  await git("add", "README");
  await git("commit", "--quiet", "--message=Hello");
  await git("clone", "--quiet", "--bare", tree, repository);
  await git("--git-dir", repository, "config", "http.receivepack", "true");
  await fs.rm(tree, { recursive: true });
}

function digest(kind: string, bytes: Buffer | string, encoding: "hex" | "base64"): string {
  return createHash(kind).update(bytes).digest(encoding);
}
