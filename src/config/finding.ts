/** What is wrong in a configuration, and where. */

/** The environment of a process: names and values. */
export type Environment = Readonly<Record<string, string | undefined>>

export interface SettingsFinding {
  /** Dotted, as in the file: `refresh.quietMs`; empty when it concerns the file as a whole. */
  path: string
  /** `file:line`, or the name of an environment variable or flag. */
  where: string
  message: string
}

export function findingText(finding: SettingsFinding): string {
  return [finding.where, finding.path, finding.message].filter((part) => part !== '').join(': ')
}
