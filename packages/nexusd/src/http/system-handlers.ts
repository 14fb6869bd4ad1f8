import { Readable } from "node:stream";
import type { Health, Status, StorageStatus } from "@workfort/contract";
import { toOpenApi } from "@workfort/contract/openapi";
import { Bytes, type Handlers } from "./handlers.ts";

/** the daemon itself */
export function systemHandlers(daemon: {
  version: string;
  health: () => Health;
  status: () => Promise<Status>;
  storage: () => Promise<StorageStatus>;
  /** in Prometheus's text format */
  metrics: () => Promise<string>;
}): Pick<Handlers, Extract<keyof Handlers, `system.${string}` | `storage.${string}`>> {
  let openApi: Record<string, unknown> | null = null;
  return {
    "system.health": () => daemon.health(),
    "system.status": () => daemon.status(),
    "system.metrics": async () => new Bytes(Readable.from([Buffer.from(await daemon.metrics())])),
    "system.openapi": () => (openApi ??= toOpenApi(daemon.version)),
    "storage.status": () => daemon.storage(),
  };
}
