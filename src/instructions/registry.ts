/** The registry folded: which texts each group embeds now, and when that set last changed. */

import {
  GENERAL,
  type Group,
  type GroupName,
  type Instruction,
  type InstructionId,
  MAIN_GROUP,
  type RetiredText,
  type VectorName,
  vectorName,
} from './instruction.ts'

/** One record of `freshet.instructions`, with its offset there. */
export type RegistryRecord = { offset: number } & (
  | { kind: 'instruction'; instruction: Instruction }
  | { kind: 'retired-text'; retired: RetiredText }
  | { kind: 'group'; group: Group }
)

export interface GroupTexts {
  group: Group
  /** What is embedded, by vector name: texts in use and those kept for readers that were not switched yet. */
  texts: ReadonlyMap<VectorName, string | null>
  /** Which vector a reader of an instruction should get once it is back-filled. */
  readerNames: ReadonlyMap<InstructionId, VectorName>
  /** Offset of the last change of the set of texts: part of every input hash, so that a hash never comes back (E1). */
  changeNumber: number
}

/** An immutable reading of the registry; `apply` gives the next. */
export class InstructionRegistry {
  readonly instructions: ReadonlyMap<InstructionId, Instruction>
  readonly groups: ReadonlyMap<GroupName, GroupTexts>
  /** Offset of the last record read; -1 before any. */
  readonly offset: number

  private constructor(
    instructions: ReadonlyMap<InstructionId, Instruction>,
    groups: ReadonlyMap<GroupName, GroupTexts>,
    offset: number,
  ) {
    this.instructions = instructions
    this.groups = groups
    this.offset = offset
  }

  /** `general` in the group `main`, as a fresh installation has it. */
  static initial(): InstructionRegistry {
    const general: Instruction = {
      id: GENERAL,
      text: null,
      lang: 'en',
      group: MAIN_GROUP,
      status: 'active',
      maxStalenessMs: 86_400_000,
      owner: null,
      previous: null,
    }
    const instructions = new Map([[GENERAL, general]])
    const main = foldGroup({ name: MAIN_GROUP, minRefreshMs: 0, paused: false }, instructions, -1)
    return new InstructionRegistry(instructions, new Map([[MAIN_GROUP, main]]), -1)
  }

  apply(record: RegistryRecord): InstructionRegistry {
    const instructions = new Map(this.instructions)
    const settings = new Map([...this.groups].map(([name, texts]) => [name, texts.group]))
    if (record.kind === 'group') settings.set(record.group.name, record.group)
    else if (record.kind === 'retired-text') retireText(instructions, record.retired)
    else {
      instructions.set(record.instruction.id, record.instruction)
      const { group } = record.instruction
      if (!settings.has(group)) settings.set(group, { name: group, minRefreshMs: 0, paused: false })
    }
    const groups = new Map<GroupName, GroupTexts>()
    for (const [name, group] of settings) {
      const before = this.groups.get(name)
      const after = foldGroup(group, instructions, record.offset)
      // A record that leaves the set of texts alone keeps the number: nothing has to be embedded again.
      const sameTexts = before !== undefined && sameKeys(before.texts, after.texts)
      groups.set(name, sameTexts ? { ...after, changeNumber: before.changeNumber } : after)
    }
    return new InstructionRegistry(instructions, groups, record.offset)
  }
}

/** Whoever wrote it may have known an older instruction: what was changed since stays. */
function retireText(instructions: Map<InstructionId, Instruction>, retired: RetiredText): void {
  const instruction = instructions.get(retired.id)
  const previous = instruction?.previous
  if (previous?.text === retired.text && previous.retireAtMs === retired.retireAtMs)
    instructions.set(retired.id, { ...instruction!, previous: null })
}

function foldGroup(
  group: Group,
  instructions: ReadonlyMap<InstructionId, Instruction>,
  changeNumber: number,
): GroupTexts {
  const texts = new Map<VectorName, string | null>()
  const readerNames = new Map<InstructionId, VectorName>()
  const ids = [...instructions.keys()].sort()
  for (const id of ids) {
    const instruction = instructions.get(id)!
    if (instruction.group !== group.name || instruction.status === 'retired') continue
    const name = vectorName(id, instruction.text)
    texts.set(name, instruction.text)
    readerNames.set(id, name)
    if (instruction.previous) texts.set(vectorName(id, instruction.previous.text), instruction.previous.text)
  }
  return { group, texts, readerNames, changeNumber }
}

function sameKeys(a: ReadonlyMap<VectorName, unknown>, b: ReadonlyMap<VectorName, unknown>): boolean {
  return a.size === b.size && [...a.keys()].every((key) => b.has(key))
}
