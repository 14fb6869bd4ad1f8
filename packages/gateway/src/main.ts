import { ControlServer } from "./control/control-server.ts";
import { Gateway } from "./gateway.ts";

/**
 * `nexus-gateway --control SOCKET`: runs in the network namespace of a workplace until SIGTERM. Says `ready` on its
 * stdout once the socket is there.
 */
const usage = "Usage: nexus-gateway --control SOCKET\n";

async function main(argv: readonly string[]): Promise<void> {
  const [option, socket, ...more] = argv;
  if (option !== "--control" || socket === undefined || more.length > 0) {
    process.stderr.write(usage);
    process.exit(2);
  }
  // nft, ip and bridge are there, also where a user's PATH does not say so
  process.env["PATH"] = `${process.env["PATH"] ?? ""}:/usr/sbin:/sbin`;
  const gateway = new Gateway();
  const control = new ControlServer(gateway);
  await control.listen(socket);
  // one connection's error is that connection's: what has escaped its handler is told, and the others go on
  process.on("uncaughtException", (error) => process.stderr.write(`nexus-gateway: ${error.stack ?? error.message}\n`));
  process.on("unhandledRejection", (error) => process.stderr.write(`nexus-gateway: ${String(error)}\n`));
  const stop = Promise.withResolvers<void>();
  for (const signal of ["SIGTERM", "SIGINT"] as const) process.once(signal, () => stop.resolve());
  process.stdout.write("ready\n");
  await stop.promise;
  await control.close();
  gateway.close();
}

process.stdout.on("error", () => {}); // who has waited for `ready` may have gone
try {
  await main(process.argv.slice(2));
} catch (error) {
  process.stderr.write(`nexus-gateway: ${error instanceof Error ? error.message : String(error)}\n`);
  process.exit(1);
}
