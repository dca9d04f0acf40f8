/** A bundle, verified, on the inference runtime that the settings name. */

import type { Settings } from '../config/settings.ts'
import { openOnnxRuntime } from '../drivers/onnx/onnx-runtime.ts'
import { openBundle } from '../model/bundle.ts'
import { openBundleModel } from '../model/bundle-model.ts'
import type { EmbeddingModel, EventVectorCache } from '../model/embedding-model.ts'
import { type RenderEvent, rendererFor } from '../model/renderer.ts'

export interface OpenedModel {
  model: EmbeddingModel
  render: RenderEvent
  /** Positions of one packed row at most: the setting's, or what the backbone can. */
  positionsMax: number
  close(): Promise<void>
}

/** @throws {ConfigError} of the bundle, the provider or the settings */
export async function openModel(
  directory: string,
  settings: Settings['model'],
  cache: EventVectorCache | null,
): Promise<OpenedModel> {
  const bundle = await openBundle(directory, { verify: true })
  const { provider, precision, threads, batchTokensMax, positionsMax } = settings
  try {
    const runtime = await openOnnxRuntime({ provider, precision, threads })
    try {
      const model = await openBundleModel(bundle, runtime, { cache, batchTokensMax, positionsMax })
      return {
        model,
        render: rendererFor(model.rendererVersion, settings.timezone),
        positionsMax: Math.min(positionsMax, bundle.backbone.config.maxPositions),
        close: async () => {
          await model.close()
          await runtime.close()
        },
      }
    } catch (error) {
      await runtime.close()
      throw error
    }
  } catch (error) {
    bundle.close()
    throw error
  }
}
