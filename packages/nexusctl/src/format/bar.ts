const eighths = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"];

/** A bar from `start` to `start + length` of a `whole`, in `width` characters; what is there is never invisible. */
export function bar(start: number, length: number, whole: number, width: number): string {
  if (whole <= 0) return "";
  const scale = (width * 8) / whole;
  const before = Math.min(width - 1, Math.floor((start * scale) / 8));
  const parts = Math.max(1, Math.min((width - before) * 8, Math.round(length * scale)));
  return " ".repeat(before) + "█".repeat(Math.floor(parts / 8)) + (eighths[parts % 8] ?? "");
}
