import { WorkfortError } from "@workfort/contract";
import type { Locations } from "@workfort/contract/locations";
import type { Config } from "../config/schema.ts";
import { Daemon } from "../daemon.ts";
import { installFailpoint } from "../failpoints.ts";
import { createLog } from "../log.ts";
import { notifySystemd } from "../systemd/notify.ts";

/** `nexusd`: serves until TERM or INT; exit code 0, or 1 if it could not start. */
export async function serve(config: Config, configFile: string | null, locations: Locations): Promise<number> {
  const log = await createLog(config.log.level);
  installFailpoint();
  const { promise: asked, resolve: ask } = Promise.withResolvers<string>();
  process.once("SIGTERM", ask);
  process.once("SIGINT", ask);
  // a defect in one request must not take the others down; what it was is in the log
  process.on("unhandledRejection", (error) => log.error({ err: error }, "a promise failed unheard"));
  let daemon: Daemon;
  try {
    daemon = await Daemon.start(config, configFile, locations, log);
  } catch (error) {
    const hint = error instanceof WorkfortError ? error.hint : undefined;
    log.fatal(
      hint === undefined ? { err: error } : {},
      `nexusd cannot start: ${error instanceof Error ? error.message : String(error)}${hint === undefined ? "" : `\n  try: ${hint}`}`,
    );
    return 1;
  }
  notifySystemd("READY=1", log);
  const signal = await asked;
  notifySystemd("STOPPING=1", log);
  log.info({ signal }, "stopping; running VMs stay");
  await daemon.stop();
  log.info({}, "stopped");
  return 0;
}
