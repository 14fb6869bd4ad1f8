import { promises as fs } from "node:fs";
import { join } from "node:path";

/**
 * The Debian archive's sources as this machine has them configured, in one-line form, and nothing else that may be
 * configured beside them. apt-get's own view is asked for, so every format it reads is understood.
 */
export interface DebianSources {
  codename: string;
  lines: string[];
  /** keyring that signs them, null for apt's own set */
  keyring: string | null;
}

const directory = "/etc/apt";

export async function debianSources(): Promise<DebianSources> {
  const release = await fs.readFile("/etc/os-release", "utf8").catch(() => "");
  const codename = /^VERSION_CODENAME=(\w+)/m.exec(release)?.[1];
  if (!/^ID=debian$/m.test(release) || codename === undefined) {
    throw new Error(
      "this host is no Debian, so no root filesystem can be bootstrapped from its package sources. Import one instead: nexusctl image import base /path/to/rootfs  (a directory or an ext4 file)",
    );
  }
  const texts = await readSources();
  const stanzas = texts.flatMap(({ name, text }) => (name.endsWith(".sources") ? readStanzas(text) : readLines(text)));
  const wanted = new Set([codename, `${codename}-updates`, `${codename}-security`]);
  const own = stanzas.filter(
    (source) => source.suites.some((suite) => wanted.has(suite)) && source.components.includes("main"),
  );
  if (own.length === 0) throw new Error(`${directory} names no source of Debian ${codename}`);
  const lines = own.flatMap((source) =>
    source.uris.flatMap((uri) =>
      source.suites
        .filter((suite) => wanted.has(suite))
        .map((suite) => `deb ${source.signedBy === null ? "" : `[signed-by=${source.signedBy}] `}${uri} ${suite} main`),
    ),
  );
  return { codename, lines, keyring: own.find((source) => source.signedBy !== null)?.signedBy ?? null };
}

interface Source {
  uris: string[];
  suites: string[];
  components: string[];
  signedBy: string | null;
}

async function readSources(): Promise<{ name: string; text: string }[]> {
  const parts = (await fs.readdir(join(directory, "sources.list.d")).catch(() => []))
    .filter((name) => /\.(list|sources)$/.test(name))
    .map((name) => join("sources.list.d", name));
  const texts: { name: string; text: string }[] = [];
  for (const name of ["sources.list", ...parts]) {
    const text = await fs.readFile(join(directory, name), "utf8").catch(() => null);
    if (text !== null) texts.push({ name, text });
  }
  return texts;
}

/** deb822 stanzas, sources.list(5) */
function readStanzas(text: string): Source[] {
  const plain = text.replace(/^#.*\n?/gm, "").replace(/\n[ \t]+/g, " ");
  return plain.split(/\n\s*\n/).flatMap((stanza) => {
    const field = (name: string): string[] =>
      (new RegExp(`^${name}:[ \\t]*(.*)$`, "im").exec(stanza)?.[1] ?? "").split(/\s+/).filter((word) => word !== "");
    if (!field("Types").includes("deb") || field("Enabled").includes("no")) return [];
    const signedBy = field("Signed-By")[0];
    return [
      {
        uris: field("URIs"),
        suites: field("Suites"),
        components: field("Components"),
        signedBy: signedBy?.startsWith("/") ? signedBy : null,
      },
    ];
  });
}

/** one-line entries, sources.list(5) */
function readLines(text: string): Source[] {
  return text.split("\n").flatMap((line) => {
    const match = /^\s*deb\s+(?:\[([^\]]*)\]\s+)?(\S+)\s+(\S+)\s+(.+)$/.exec(line);
    if (match === null) return [];
    const [, options = "", uri = "", suite = "", components = ""] = match;
    const signedBy = /signed-by=(\S+)/.exec(options)?.[1];
    return [
      {
        uris: [uri],
        suites: [suite],
        components: components.split(/\s+/),
        signedBy: signedBy?.startsWith("/") ? signedBy : null,
      },
    ];
  });
}
