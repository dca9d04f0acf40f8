/** Says at start whether a provider can be had here, and what to do where it can't. */

import { BugError, ConfigError, type FreshetError } from '../../errors.ts'
import type { Precision, Provider } from '../../model/embedding-model.ts'

const PROVIDERS: readonly string[] = ['cpu', 'webgpu', 'cuda'] satisfies Provider[]

/** What to do, by provider, when the native library can't give it. */
const REMEDY: Record<Provider, string> = {
  cpu: 'install onnxruntime-node for this platform (npm ci on the machine that runs it)',
  webgpu:
    "install a Vulkan driver for this machine's GPU (Mesa, NVIDIA, or SwiftShader for tests), or set model.provider to cpu",
  cuda: "install CUDA 12 and cuDNN 9 and run onnxruntime-node's install script (npm rebuild onnxruntime-node), or set model.provider to cpu or webgpu",
}

/**
 * The native library only warns about a name that it doesn't know, and computes on the CPU: so we look first.
 *
 * @throws {ConfigError} `provider-unknown`, `precision-unsupported`
 */
export function checkProvider(provider: string, precision: Precision): void {
  if (!PROVIDERS.includes(provider)) {
    throw new ConfigError(
      'provider-unknown',
      `expected model.provider to be one of ${PROVIDERS.join(', ')}, got ${provider}: correct the setting`,
    )
  }
  const allowed: readonly Precision[] = provider === 'cuda' ? ['fp32', 'fp16'] : ['fp32']
  if (!allowed.includes(precision)) {
    throw new ConfigError(
      'precision-unsupported',
      `expected model.precision ${allowed.join(' or ')} on ${provider}, got ${precision}: set model.precision to fp32`,
    )
  }
}

/** The error for a session that could not be opened. @param message of the native library */
export function openingError(provider: Provider, stage: 'load' | 'open', message: string): FreshetError {
  const missing =
    stage === 'load' ||
    (provider === 'webgpu' && /WebGPU adapter|supported adapters|WebGPU device|dawn/i.test(message)) ||
    (provider === 'cuda' && /shared library|libonnxruntime_providers|CUDA|cudnn|not enabled/i.test(message))
  const short = message.split('\n')[0]!
  // The fallback is switched off: a refusal names a node of ours that the provider doesn't have.
  if (/fallback to CPU EP/i.test(message)) {
    return new BugError(
      'graph-fallback',
      `expected every node of the graph on ${provider}, got a node that only the CPU runs (${short}): report it`,
    )
  }
  if (missing) {
    return new ConfigError(
      'provider-unavailable',
      `expected the provider ${provider} on this machine, got "${short}": ${REMEDY[provider]}`,
    )
  }
  return new ConfigError(
    'session-open',
    `expected a graph over the bundle's weights to open, got "${short}": verify the bundle`,
  )
}
