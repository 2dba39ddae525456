import { createHash } from 'node:crypto'
import { pacer } from '../engine/cooperate'
import type { Decoder } from './decoder'
import { storedWeights } from './weights'

/**
 * SHA-256 of a model's config and of all its weights as numbers, in the names and layout of a checkpoint: the same for the same
 * weights however they are stored or loaded. Reads every weight; 1-2 seconds for 135M of them. Throws `Interrupted`.
 */
export async function modelFingerprint({ config, weights }: Decoder, signal?: AbortSignal): Promise<string> {
  const pause = pacer(signal)
  const hash = createHash('sha256')
  hash.update(JSON.stringify(Object.entries(config).sort(([a], [b]) => (a < b ? -1 : 1))))
  for (const { name, shape, load } of storedWeights(config, weights)) {
    const values = load()
    hash.update(`${name}[${shape}]`)
    hash.update(new Uint8Array(values.buffer, values.byteOffset, values.byteLength))
    await pause()
  }
  return hash.digest('hex')
}
