/** `npm run help` */
const verbs: [verb: string, what: string][] = [
  ["npm run up", "set everything up and run a command in a microVM"],
  ["npm run down", "stop VMs and daemon, unmount the store, say what stays"],
  ["npm test", "set up what the tests need and run them; npm test -- FILE… runs some"],
  ["npm run test:full", "the tests that take long, too"],
  ["npm run check", "types, format, lint, unused code, shell syntax"],
  ["npm run format", "format every file"],
  ["npm run bench", "measure, as ratios within one run; npm run bench -- NAME runs one"],
  ["npm run build", "build the native programs"],
  ["bin/nexusctl --help", "the CLI of this checkout"],
];
for (const [verb, what] of verbs) console.log(`${verb.padEnd(22)} ${what}`);
