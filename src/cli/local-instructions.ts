/** Registers, changes and retires instructions: what can't be embedded for every user is refused here. */

import { RequestError } from '../errors.ts'
import { TEXT_MODALITIES } from '../events/behavior-event.ts'
import {
  GENERAL,
  type Group,
  type GroupName,
  INSTRUCTION_LENGTH_MAX,
  type Instruction,
  type InstructionId,
  MAIN_GROUP,
  NAME_PATTERN,
  SHADOW_GROUP,
} from '../instructions/instruction.ts'
import type { UserInput } from '../model/embedding-model.ts'
import type { NewInstruction } from '../server/service.ts'
import { DAY_MS } from '../window/day.ts'
import { knownInstruction } from './local-search.ts'
import type { Parts } from './parts.ts'

export class LocalInstructions {
  private readonly parts: Parts

  constructor(parts: Parts) {
    this.parts = parts
  }

  async list() {
    const { control, scheduler, sweep } = this.parts.updater
    const { instructions, groups } = control.view.instructions
    return {
      instructions: [...instructions.values()],
      groups: [...groups.values()].map(({ group }) => group),
      backfill: { underWay: !sweep.idle, waiting: scheduler.sweptCount },
    }
  }

  /**
   * Registers an instruction, or changes one; the same again changes nothing.
   *
   * @throws {RequestError} `instruction-id`, `instruction-text`, `instruction-too-long`, `instruction-group`,
   *   `instruction-control-token`, `text-too-long`
   */
  async add(given: NewInstruction): Promise<Instruction> {
    const { updater, backend } = this.parts
    this.check(given)
    // Another worker may have changed it since we last looked.
    await updater.control.readToEnd()
    const status = given.status ?? 'active'
    const before = updater.control.view.instructions.instructions.get(given.id)
    const group = (status === 'shadow' ? SHADOW_GROUP : (given.group ?? MAIN_GROUP)) as GroupName
    const next: Instruction = {
      id: given.id,
      text: given.text,
      lang: given.lang ?? before?.lang ?? 'en',
      group,
      status,
      maxStalenessMs: given.maxStalenessMs ?? before?.maxStalenessMs ?? DAY_MS,
      owner: given.owner ?? before?.owner ?? null,
      previous: this.previous(given, group, before),
    }
    if (before !== undefined && JSON.stringify(before) === JSON.stringify(next)) return before
    await backend.appendInstruction(next)
    await updater.control.readToEnd()
    return next
  }

  /** @throws {RequestError} `instruction-unknown` */
  async retire(id: InstructionId): Promise<Instruction> {
    const { updater, backend } = this.parts
    await updater.control.readToEnd()
    const instruction = knownInstruction(updater.control.view.instructions.instructions, id)
    if (instruction.status === 'retired') return instruction
    const retired: Instruction = { ...instruction, status: 'retired', previous: null }
    await backend.appendInstruction(retired)
    await updater.control.readToEnd()
    return retired
  }

  /** @throws {RequestError} `instruction-group` */
  async setGroup(group: Group): Promise<Group> {
    const { updater, backend } = this.parts
    if (!NAME_PATTERN.test(group.name))
      throw badGroup(`1 to 40 of a-z, 0-9 and -`, JSON.stringify(group.name))
    if (group.name === MAIN_GROUP && group.paused)
      throw badGroup('a group other than main to pause', 'main, which acknowledges events')
    if (group.name === MAIN_GROUP && group.minRefreshMs > 0)
      throw badGroup(
        'minRefreshMs 0 for main, whose cadence refresh.quietMs and refresh.maxDelayMs set',
        String(group.minRefreshMs),
      )
    if (!Number.isSafeInteger(group.minRefreshMs) || group.minRefreshMs < 0)
      throw badGroup('minRefreshMs of 0 or more milliseconds', String(group.minRefreshMs))
    await backend.appendGroup(group)
    await updater.control.readToEnd()
    return group
  }

  /** Readers of a changed text keep the old one until the new is back-filled, and `retireAfterMs` beyond (design 9). */
  private previous({ text }: NewInstruction, group: GroupName, before: Instruction | undefined) {
    const { settings, clock } = this.parts
    if (before === undefined || before.status === 'retired' || before.group !== group) return null
    if (before.text === text) return before.previous
    return { text: before.text, retireAtMs: clock.nowMs() + settings.instructions.retireAfterMs }
  }

  private check({ id, text, group, status }: NewInstruction): void {
    if (!NAME_PATTERN.test(id))
      throw new RequestError(
        'instruction-id',
        `expected an id of 1 to 40 of a-z, 0-9 and -, got ${JSON.stringify(id.slice(0, 60))}: choose another`,
      )
    if ((text === null) !== (id === GENERAL))
      throw new RequestError(
        'instruction-text',
        `expected a text for every instruction but ${GENERAL}, which has none, got ${text === null ? 'none' : 'one'} for ${id}: correct it`,
      )
    if (group !== undefined && (!NAME_PATTERN.test(group) || group === SHADOW_GROUP))
      throw badGroup(
        '1 to 40 of a-z, 0-9 and -, and not shadow (status: shadow puts it there)',
        JSON.stringify(group),
      )
    if (group !== undefined && status === 'shadow')
      throw badGroup(
        'no group for a shadow instruction, as all are in the group shadow',
        JSON.stringify(group),
      )
    if (text === null) return
    if (text.trim() === '')
      throw new RequestError('instruction-text', `expected a text that says something, got only white space`)
    if (text.length > INSTRUCTION_LENGTH_MAX)
      throw new RequestError(
        'instruction-too-long',
        `expected at most ${INSTRUCTION_LENGTH_MAX} characters, got ${text.length}: ask a shorter question, it is computed for every user`,
      )
    this.checkPositions(text)
  }

  /** Tokenises the text, which refuses control tokens, and lays it behind a user whose every slot is full. */
  private checkPositions(text: string): void {
    const { model, positionsMax } = this.parts.opened
    const events: UserInput['events'] = {}
    for (const modality of TEXT_MODALITIES)
      events[modality] = new Array<string>(model.slots[modality]).fill('x')
    const tabular = model.tabularFeatures?.map(() => 0) ?? null
    const positions = model.positions({ events, tabular }, [text])
    if (positions <= positionsMax) return
    throw new RequestError(
      'text-too-long',
      `expected a text that fits ${positionsMax} positions behind a user with all slots filled, got ${positions} in all: shorten the text, or raise model.positionsMax`,
    )
  }
}

function badGroup(expected: string, got: string): RequestError {
  return new RequestError('instruction-group', `expected a group of ${expected}, got ${got}: correct it`)
}
