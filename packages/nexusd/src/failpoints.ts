import { appendFileSync } from "node:fs";
import { onFailpoint } from "@workfort/core";

/**
 * For tests: `NEXUS_FAILPOINT=vm.create.snapshot` makes the daemon die as by `kill -9` when it gets there, `name:2` at
 * the second time. `NEXUS_FAILPOINT=record:<file>` writes down every place that is reached.
 */
export function installFailpoint(): void {
  const wanted = process.env["NEXUS_FAILPOINT"];
  if (wanted === undefined || wanted === "") return;
  const [name, count = "1"] = wanted.split(":");
  if (name === "record") {
    onFailpoint((reached) => appendFileSync(count, `${reached}\n`));
    return;
  }
  let left = Number(count);
  onFailpoint((reached) => {
    if (reached !== name) return;
    left -= 1;
    if (left === 0) process.kill(process.pid, "SIGKILL");
  });
}
