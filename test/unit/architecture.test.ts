import assert from "node:assert/strict";
import { promises as fs } from "node:fs";
import { test } from "node:test";

/** What each room may import: the arrows of the architecture, as data. */
const mayImport: Record<string, readonly string[]> = {
  contract: [],
  core: ["contract"],
  host: ["contract", "core"],
  client: ["contract"],
  mcp: ["contract", "client"],
  nexusctl: ["contract", "client", "mcp"],
  nexusd: ["contract", "core", "host", "mcp"],
  gateway: ["contract", "core", "host"],
  testing: ["client", "contract", "core", "host"],
};

/** The same inside packages/host, where each adapter is a room; what is not named may be imported by all. */
const adapters: Record<string, readonly string[]> = {
  vmm: ["confinement", "native", "process"],
  confinement: ["process", "storage"],
  guest: [],
  ingress: [],
  network: ["confinement", "process"],
  storage: ["native", "process"],
  store: [],
  kernels: ["assets"],
  assets: ["native", "images", "process"],
  images: ["process"],
  process: [],
  native: [],
};

/** libraries that only one room may know */
const keptIn: Record<string, RegExp> = {
  koffi: /^packages\/host\/src\/native\//,
  fastify: /^packages\/nexusd\/src\/http\//,
  "node:sqlite": /^packages\/(host\/src\/store|testing\/src)\//,
  ws: /^packages\/(nexusd\/src\/http|client\/src)\//,
  yaml: /^packages\/nexusd\/src\/config\//,
  "@stricli/core": /^packages\/nexusctl\/src\//,
};

async function importsOf(path: string, options = { types: true }): Promise<string[]> {
  const whole = await fs.readFile(path, "utf8");
  const text = options.types ? whole : whole.replace(/^(?:import|export) type [^;]*;/gms, "");
  return [...text.matchAll(/(?:^(?:import|export)\s[^;]*?from\s|^import\s|import\()"([^"]+)"/gms)].map(
    (match) => match[1] ?? "",
  );
}

async function eachSource(use: (path: string, imports: string[]) => void): Promise<number> {
  let files = 0;
  for await (const path of fs.glob("packages/*/src/**/*.ts")) {
    files += 1;
    use(path, await importsOf(path));
  }
  return files;
}

test("packages import only along the arrows", async () => {
  const files = await eachSource((path, imports) => {
    const [, from = ""] = path.split("/");
    for (const specifier of imports) {
      const to = /^@workfort\/([^/]+)/.exec(specifier)?.[1];
      if (to !== undefined && to !== from)
        assert.ok(mayImport[from]?.includes(to), `${path} may not import ${specifier}`);
      assert.ok(
        !/^(\.\.\/)+packages\/|^(\.\.\/){3,}(contract|core|host|client|mcp|nexusctl|nexusd|gateway|testing)\//.test(
          specifier,
        ),
        `${path} reaches into a package by ${specifier}`,
      );
    }
  });
  assert.ok(files > 80, `only ${files} files were seen`);
});

test("adapters import one another only where the table says so", async () => {
  await eachSource((path, imports) => {
    const from = /^packages\/host\/src\/([^/]+)\//.exec(path)?.[1];
    if (from === undefined) return;
    for (const specifier of imports.filter((name) => name.startsWith("../"))) {
      const resolved = new URL(specifier, `file:///${path}`).pathname;
      const to = /^\/packages\/host\/src\/([^/]+)\//.exec(resolved)?.[1];
      if (to !== undefined && to !== from)
        assert.ok(adapters[from]?.includes(to), `${path} may not import ${specifier}`);
    }
  });
});

test("a library that is kept in one room stays there", async () => {
  await eachSource((path, imports) => {
    for (const [library, room] of Object.entries(keptIn)) {
      if (imports.some((name) => name === library || name.startsWith(`${library}/`)))
        assert.match(path, room, `${path} may not import ${library}`);
    }
  });
});

test("no file imports itself by way of others", async () => {
  // types are gone when the code runs, so they may point both ways
  const arrows = new Map<string, string[]>();
  for await (const path of fs.glob("packages/*/src/**/*.ts")) {
    const own = (await importsOf(path, { types: false })).filter((name) => name.startsWith("."));
    arrows.set(
      path,
      own.map((name) => new URL(name, `file:///${path}`).pathname.slice(1)),
    );
  }
  const done = new Set<string>();
  const visit = (path: string, way: string[]): void => {
    assert.ok(!way.includes(path), `a circle: ${[...way, path].join(" → ")}`);
    if (done.has(path)) return;
    for (const next of arrows.get(path) ?? []) visit(next, [...way, path]);
    done.add(path);
  };
  for (const path of arrows.keys()) visit(path, []);
});
