import { join } from "node:path";

/**
 * Where one instance of WorkFort keeps its things, by the XDG base directories.
 *
 * The instance is the directory's name under each base (`NEXUS_INSTANCE`, default `nexus`): two checkouts of one user
 * take two instances and share nothing.
 */
export interface Locations {
  instance: string;
  configFile: string;
  /** disks: images, workspaces, kernels; on btrfs */
  dataDirectory: string;
  /** records: database, token, log */
  stateDirectory: string;
  /** sockets of this boot */
  runtimeDirectory: string;
  /** what can be fetched again: kernels and root filesystems as downloaded; shared by all instances */
  cacheDirectory: string;
  /** the daemon's socket */
  socket: string;
}

const instancePattern = /^[a-z0-9]([a-z0-9-]{0,30}[a-z0-9])?$/;

/** Throws where `NEXUS_INSTANCE` is not 1 to 32 characters of a-z, 0-9 and -. */
export function locate(env: Record<string, string | undefined>, uid: number): Locations {
  const instance = env["NEXUS_INSTANCE"] || "nexus";
  if (!instancePattern.test(instance))
    throw new Error(`NEXUS_INSTANCE is "${instance}"; allowed are 1 to 32 characters of a-z, 0-9 and -`);
  const home = env["HOME"] || (uid === 0 ? "/root" : "/");
  const base = (variable: string, otherwise: string): string => {
    const value = env[variable];
    return value?.startsWith("/") ? value : join(home, otherwise); // the XDG specification ignores relative paths
  };
  const runtimeDirectory = join(runtimeBase(env["XDG_RUNTIME_DIR"], uid), instance);
  return {
    instance,
    configFile: join(base("XDG_CONFIG_HOME", ".config"), instance, "nexus.yaml"),
    dataDirectory: join(base("XDG_DATA_HOME", ".local/share"), instance),
    stateDirectory: join(base("XDG_STATE_HOME", ".local/state"), instance),
    runtimeDirectory,
    cacheDirectory: join(base("XDG_CACHE_HOME", ".cache"), "workfort"),
    socket: join(runtimeDirectory, "nexus.sock"),
  };
}

function runtimeBase(xdg: string | undefined, uid: number): string {
  if (xdg?.startsWith("/")) return xdg;
  // an `import` of node:fs would load its lazy members, which costs nexusctl 2 ms at every start
  if (process.getBuiltinModule("node:fs").existsSync(`/run/user/${uid}`)) return `/run/user/${uid}`;
  return uid === 0 ? "/run" : `/tmp/workfort-${uid}`;
}
