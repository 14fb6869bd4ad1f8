import { pino, type Logger } from "pino";
import pretty from "pino-pretty";

/** Pretty on a terminal, JSON otherwise; without timestamps under journald, which adds its own. */
export function createLog(level: string): Logger {
  if (process.stderr.isTTY)
    return pino(
      { level },
      pretty({ destination: 2, sync: true, ignore: "pid,hostname", translateTime: "SYS:HH:MM:ss.l" }),
    );
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
