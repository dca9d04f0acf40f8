/** Instructions that stand in files are registered at each start; what stands there already changes nothing. */

import { type DeclaredInstruction, readInstructionDirectory } from '../config/instruction-files.ts'
import type { InstructionId } from '../instructions/instruction.ts'
import type { FreshetService } from '../server/service.ts'

/** @param directory null: none are declared */
export async function registerDeclared(service: FreshetService, directory: string | null): Promise<void> {
  if (directory === null) return
  await register(service, readInstructionDirectory(directory, process.env))
}

export async function register(
  service: FreshetService,
  declared: readonly DeclaredInstruction[],
): Promise<void> {
  const { instructions } = await service.instructions()
  for (const { id, status, group, owner, ...rest } of declared) {
    if (status === 'retired') {
      if (instructions.some((one) => one.id === id)) await service.retireInstruction(id as InstructionId)
      continue
    }
    await service.addInstruction({
      ...rest,
      id: id as InstructionId,
      status,
      ...(status === 'active' ? { group } : {}),
      ...(owner === null ? {} : { owner }),
    })
  }
}
