import { switchCommand } from "../../switch-command.ts";

export default switchCommand("resume", {
  about: "A paused VM goes on where it stood.",
  example: "what ran in it goes on",
  next: "get",
});
