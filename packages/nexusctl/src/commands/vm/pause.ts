import { switchCommand } from "../../switch-command.ts";

export default switchCommand("pause", {
  about: "It keeps its memory and takes no processor time. Stopping a paused VM lets it go on first.",
  example: "what runs in it stands still",
  next: "resume",
});
