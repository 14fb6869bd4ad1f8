/**
 * Entries that people need together, by name. Names only, from each service's own documentation; what is not needed to
 * install, clone or ask a model is not in them.
 */
export const policyPresets = {
  npm: ["registry.npmjs.org", "registry.yarnpkg.com", "npmjs.com", "*.npmjs.com"],
  pypi: ["pypi.org", "files.pythonhosted.org"],
  github: [
    "github.com",
    "github.com:22",
    "ssh.github.com",
    "api.github.com",
    "codeload.github.com",
    "uploads.github.com",
    "*.githubusercontent.com",
  ],
  debian: [
    "deb.debian.org",
    "security.debian.org",
    "ftp.debian.org",
    "cdn-aws.deb.debian.org",
    "cdn-fastly.deb.debian.org",
  ],
  anthropic: ["api.anthropic.com"],
  openai: ["api.openai.com"],
} as const satisfies Record<string, readonly string[]>;
