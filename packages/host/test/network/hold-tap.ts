import { openTap } from "@workfort/testing";

/** Holds the tap that its argument names until it is ended. */
await openTap(process.argv[2] ?? "", "hold-tap:");
setInterval(() => {}, 3_600_000);
