import type { Health, Status, StorageStatus } from "@workfort/contract";
import { toOpenApi } from "@workfort/contract/openapi";
import type { Handlers } from "./handlers.ts";

/** the daemon itself */
export function systemHandlers(daemon: {
  version: string;
  health: () => Health;
  status: () => Promise<Status>;
  storage: () => Promise<StorageStatus>;
}): Pick<Handlers, Extract<keyof Handlers, `system.${string}` | `storage.${string}`>> {
  let openApi: Record<string, unknown> | null = null;
  return {
    "system.health": () => daemon.health(),
    "system.status": () => daemon.status(),
    "system.openapi": () => (openApi ??= toOpenApi(daemon.version)),
    "storage.status": () => daemon.storage(),
  };
}
