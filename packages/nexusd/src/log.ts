import { pino, type Logger } from "pino";

/** Pretty on a terminal, JSON otherwise; without timestamps under journald, which adds its own. */
export async function createLog(level: string): Promise<Logger> {
  if (process.stderr.isTTY) {
    const { default: pretty } = await import("pino-pretty");
    return pino(
      { level },
      pretty({ destination: 2, sync: true, ignore: "pid,hostname", translateTime: "SYS:HH:MM:ss.l" }),
    );
  }
  const underJournal = process.env["JOURNAL_STREAM"] !== undefined;
  return pino(
    {
      level,
      base: null,
      timestamp: underJournal ? false : pino.stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
    },
    pino.destination({ dest: 2, sync: true }),
  );
}
