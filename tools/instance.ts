import { promises as fs } from "node:fs";
import { createHash } from "node:crypto";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { locate, type Locations } from "@workfort/contract/locations";

/** directory of this checkout */
export const checkout = fileURLToPath(new URL("..", import.meta.url)).replace(/\/$/, "");

/**
 * The instance of this checkout: `nexus`, unless another checkout of the same user has taken that. It is remembered
 * in `.workfort/instance`, which the launchers in `bin/` read, so that two checkouts never share a daemon by accident.
 */
export async function claimInstance(): Promise<Locations> {
  const uid = process.getuid?.() ?? 0;
  const instance = process.env["NEXUS_INSTANCE"] || (await remembered()) || (await choose(uid));
  await fs.mkdir(join(checkout, ".workfort"), { recursive: true });
  await fs.writeFile(join(checkout, ".workfort/instance"), `${instance}\n`);
  process.env["NEXUS_INSTANCE"] = instance;
  const locations = locate(process.env, uid);
  await fs.mkdir(locations.stateDirectory, { recursive: true, mode: 0o700 });
  await fs.writeFile(join(locations.stateDirectory, "checkout"), `${checkout}\n`);
  return locations;
}

async function remembered(): Promise<string | null> {
  return await readLine(join(checkout, ".workfort/instance"));
}

async function choose(uid: number): Promise<string> {
  const owner = await readLine(
    join(locate({ ...process.env, NEXUS_INSTANCE: "nexus" }, uid).stateDirectory, "checkout"),
  );
  const taken =
    owner !== null && owner !== checkout && (await fs.stat(join(owner, "package.json")).catch(() => null)) !== null;
  return taken ? `nexus-${createHash("sha256").update(checkout).digest("hex").slice(0, 8)}` : "nexus";
}

async function readLine(path: string): Promise<string | null> {
  const text = await fs.readFile(path, "utf8").catch(() => "");
  return text.trim() === "" ? null : text.trim();
}
