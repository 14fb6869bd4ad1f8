const kib = 1024;
const mib = kib * 1024;
const gib = mib * 1024;
const tib = gib * 1024;

/** `512 MiB`, `1.5 GiB`; below a MiB in KiB or bytes */
export function formatBytes(bytes: number): string {
  if (bytes < kib) return `${bytes} B`;
  if (bytes < mib) return `${tidy(bytes / kib)} KiB`;
  if (bytes < gib) return `${tidy(bytes / mib)} MiB`;
  if (bytes < tib) return `${tidy(bytes / gib)} GiB`;
  return `${tidy(bytes / tib)} TiB`;
}

export function formatMiB(amount: number): string {
  return formatBytes(amount * mib);
}

/** whole above 100 and where it is whole, else one decimal */
function tidy(value: number): string {
  return value >= 100 ? String(Math.round(value)) : String(Math.round(value * 10) / 10);
}

/** `840 ms`, `1.84 s`, `2m 5s` */
export function formatDuration(ms: number): string {
  if (ms < 10 && ms > 0) return `${Math.round(ms * 10) / 10} ms`;
  if (ms < 1000) return `${Math.round(ms)} ms`;
  if (ms < 10_000) return `${(ms / 1000).toFixed(2)} s`;
  if (ms < 60_000) return `${(ms / 1000).toFixed(1)} s`;
  const seconds = Math.round(ms / 1000);
  if (seconds < 3600) return `${Math.floor(seconds / 60)}m ${seconds % 60}s`;
  return `${Math.floor(seconds / 3600)}h ${Math.floor((seconds % 3600) / 60)}m`;
}

/** How long ago, in the largest unit that says enough: `42s`, `5m`, `3h`, `12d`, `2y` */
export function formatAge(at: number, now: number): string {
  const seconds = Math.max(0, Math.round((now - at) / 1000));
  if (seconds < 120) return `${seconds}s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 120) return `${minutes}m`;
  const hours = Math.floor(minutes / 60);
  if (hours < 48) return `${hours}h`;
  const days = Math.floor(hours / 24);
  return days < 730 ? `${days}d` : `${Math.floor(days / 365)}y`;
}

/** `2026-11-23 14:05:09`, local time */
export function formatTime(at: number): string {
  const date = new Date(at);
  const two = (part: number): string => String(part).padStart(2, "0");
  const day = `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())}`;
  return `${day} ${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}`;
}

export function plural(count: number, one: string, many: string = `${one}s`): string {
  return `${count} ${count === 1 ? one : many}`;
}
