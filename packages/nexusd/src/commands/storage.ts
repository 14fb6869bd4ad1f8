import { WorkfortError } from "@workfort/contract";
import type { Locations } from "@workfort/contract/locations";
import { pathsOf } from "@workfort/host/paths.ts";
import { initLoopStore, unmountStore } from "@workfort/host/storage/loop-store.ts";

/** `nexusd storage init`: makes and mounts a btrfs for the disks, for the user that sudo came from. */
export async function storageInit(
  locations: Locations,
  options: { json: boolean; size: string | null; file: string | null },
): Promise<number> {
  return await report(options.json, async () => {
    const owner = invokingUser();
    const store = await initLoopStore(pathsOf(locations), {
      directory: locations.dataDirectory,
      file: options.file,
      sizeBytes: options.size === null ? null : parseSize(options.size),
      owner,
      fstab: "/etc/fstab",
      onProgress: (text) => process.stderr.write(`${text}\n`),
    });
    process.stdout.write(
      options.json
        ? `${JSON.stringify(store)}\n`
        : `${store.changed ? "The store is ready" : "The store is there already"}: ${store.directory}${store.file === store.directory ? "" : ` (in ${store.file})`}\n`,
    );
  });
}

/** `nexusd storage unmount`: what the store holds stays. */
export async function storageUnmount(locations: Locations): Promise<number> {
  return await report(false, async () => {
    const done = await unmountStore(locations.dataDirectory);
    process.stdout.write(
      done ? `unmounted ${locations.dataDirectory}\n` : `nothing of ours is mounted on ${locations.dataDirectory}\n`,
    );
  });
}

async function report(json: boolean, work: () => Promise<void>): Promise<number> {
  try {
    if (process.getuid?.() !== 0)
      throw new WorkfortError("storage_unavailable", "mounting a file system needs root", {
        hint: "sudo --preserve-env=NEXUS_INSTANCE,XDG_DATA_HOME,XDG_STATE_HOME,HOME nexusctl storage init",
      });
    await work();
    return 0;
  } catch (error) {
    const known =
      error instanceof WorkfortError
        ? error
        : new WorkfortError("storage_unavailable", error instanceof Error ? error.message : String(error), {
            cause: error,
          });
    if (json) process.stderr.write(`${JSON.stringify({ error: known.toProblem() })}\n`);
    else process.stderr.write(`error: ${known.message}\n${known.hint === undefined ? "" : `  try: ${known.hint}\n`}`);
    return 1;
  }
}

/** Under sudo the store is for the user who called it. */
function invokingUser(): { uid: number; gid: number } {
  const uid = Number(process.env["SUDO_UID"] ?? process.getuid?.());
  const gid = Number(process.env["SUDO_GID"] ?? process.getgid?.());
  return { uid, gid };
}

function parseSize(text: string): number {
  const match = /^(\d+(?:\.\d+)?)\s*([KMGT]?)(i?B)?$/i.exec(text);
  if (match === null)
    throw new WorkfortError("invalid_request", `"${text}" is no size`, { hint: "for example --size 20G" });
  const power = ["", "K", "M", "G", "T"].indexOf((match[2] ?? "").toUpperCase());
  return Math.floor(Number(match[1]) * 1024 ** power);
}
