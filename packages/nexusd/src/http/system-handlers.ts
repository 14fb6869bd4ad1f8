import { Readable } from "node:stream";
import type { Health, Status, StorageStatus } from "@workfort/contract";
import { toOpenApi } from "@workfort/contract/openapi";
import type { Events } from "@workfort/core";
import { placeAsked } from "./event-stream.ts";
import { Bytes, EventStream, type Handlers } from "./handlers.ts";

/** the daemon itself */
export function systemHandlers(daemon: {
  version: string;
  health: () => Health;
  status: () => Promise<Status>;
  storage: () => Promise<StorageStatus>;
  /** in Prometheus's text format */
  metrics: () => Promise<string>;
  events: Events;
}): Pick<Handlers, Extract<keyof Handlers, `system.${string}` | `storage.${string}` | `events.${string}`>> {
  let openApi: Record<string, unknown> | null = null;
  return {
    "system.health": () => daemon.health(),
    "system.status": () => daemon.status(),
    "system.metrics": async () => new Bytes(Readable.from([Buffer.from(await daemon.metrics())])),
    "system.openapi": () => (openApi ??= toOpenApi(daemon.version)),
    "storage.status": () => daemon.storage(),
    "events.watch": ({ query }, { headers }) => {
      const { after, vm, type: types } = query;
      return new EventStream(daemon.events.read(placeAsked(headers["last-event-id"], after), { vm, types }));
    },
  };
}
