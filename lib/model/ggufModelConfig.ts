import { CheckpointError, quoted } from './checkpointError'
import type { Llama3RopeScaling, ModelConfig } from './config'
import type { GgufHeader, GgufMetadata } from './ggufHeader'
import { checkModelConfig, supportedModels } from './huggingFaceConfig'

/** Divisors of the rotary frequencies, `[headDim / 2]`: how llama.cpp stores the `llama3` scaling. */
export const ropeFactorsTensor = 'rope_freqs.weight'

/**
 * The shape of a decoder from the metadata and tensor names of a GGUF file. `ropeFactors` is the content of
 * `rope_freqs.weight`, if there is such a tensor.
 * Throws CheckpointError, naming the key, on what is missing, invalid or not supported.
 */
export function ggufModelConfig(header: GgufHeader, path: string, ropeFactors: Float32Array | null): ModelConfig {
  const architecture = header.metadata['general.architecture']
  if (architecture !== 'llama' && architecture !== 'qwen2' && architecture !== 'qwen3')
    throw new CheckpointError(
      `${path}: models of architecture ${quoted(String(architecture ?? 'unnamed'))} are not supported; ` +
        `supported are ${supportedModels} (llama, qwen2, qwen3)`,
    )
  const keys = new MetadataReader(header.metadata, architecture, path)
  refuseUnsupported(header, keys, path)

  const shapes = new Map(header.tensors.map(({ name, shape }) => [name, shape]))
  const embedding = shapes.get('token_embd.weight')
  if (embedding?.length !== 2) throw new CheckpointError(`${path} has no matrix of embeddings (token_embd.weight)`)
  const hiddenSize = keys.size('embedding_length')
  const numAttentionHeads = keys.size('attention.head_count')
  const headDim = keys.size('attention.key_length', Math.floor(hiddenSize / numAttentionHeads))
  for (const key of ['attention.value_length', 'rope.dimension_count'])
    if (keys.size(key, headDim) !== headDim)
      throw new CheckpointError(
        `${path}: ${architecture}.${key} is ${keys.size(key)}; only the heads' width ${headDim} is supported`,
      )

  const ropeTheta = keys.positive('rope.freq_base', 10000)
  const config: ModelConfig = {
    modelType: architecture,
    vocabSize: embedding[0],
    hiddenSize,
    intermediateSize: keys.size('feed_forward_length'),
    numHiddenLayers: keys.size('block_count'),
    numAttentionHeads,
    numKeyValueHeads: keys.size('attention.head_count_kv', numAttentionHeads),
    headDim,
    maxPositionEmbeddings: keys.size('context_length'),
    rmsNormEps: keys.positive('attention.layer_norm_rms_epsilon'),
    ropeTheta,
    ropeScaling: ropeScaling(keys, { ropeFactors, headDim, ropeTheta }, path),
    qkvBias: shapes.has('blk.0.attn_q.bias'),
    outputBias: shapes.has('blk.0.attn_output.bias'),
    queryKeyNorm: architecture === 'qwen3',
    tieWordEmbeddings: !shapes.has('output.weight'),
    bosTokenId: keys.tokenId('bos_token_id'),
    eosTokenIds: [...new Set([keys.tokenId('eos_token_id'), keys.tokenId('eot_token_id')])].filter((id) => id !== null),
    padTokenId: keys.tokenId('padding_token_id'),
  }
  checkModelConfig(config, path)
  return config
}

function refuseUnsupported(header: GgufHeader, keys: MetadataReader, path: string): void {
  const splits = header.metadata['split.count']
  if (typeof splits === 'number' && splits > 1)
    throw new CheckpointError(`${path} is one of ${splits} pieces of a model: merge them with llama-gguf-split --merge`)
  if (keys.size('expert_count', 0) > 0)
    throw new CheckpointError(`${path} is a mixture of ${keys.size('expert_count')} experts, which is not supported`)
  if (keys.size('attention.sliding_window', 0) > 0)
    throw new CheckpointError(`${path} uses sliding-window attention, which is not supported`)
}

interface Rotary {
  ropeFactors: Float32Array | null
  headDim: number
  ropeTheta: number
}

function ropeScaling(keys: MetadataReader, rotary: Rotary, path: string): ModelConfig['ropeScaling'] {
  const type = keys.text('rope.scaling.type', 'none')
  const factor = keys.positive('rope.scaling.factor', keys.positive('rope.scale_linear', 1))
  if (type !== 'none' && type !== 'linear')
    throw new CheckpointError(
      `${path}: rotary embeddings of type ${quoted(type)} are not supported; supported are none and linear`,
    )
  const linear = factor !== 1 && (type === 'linear' || keys.has('rope.scale_linear'))
  if (!rotary.ropeFactors) return linear ? { ropeType: 'linear', factor } : null
  if (linear)
    throw new CheckpointError(
      `${path} scales rotary embeddings both linearly and by ${ropeFactorsTensor}, which is not supported`,
    )
  return llama3Scaling(rotary.ropeFactors, rotary, path)
}

/**
 * The `llama3` scaling that gives these factors. The file lacks its parameters, but every Llama 3.1 to 3.3 has the same ones
 * up to `factor`, the largest of the numbers. (Another form of scaling in the config would serve other models, of which none
 * is known, and could not be saved in the Hugging Face layout.)
 */
function llama3Scaling(factors: Float32Array, { headDim, ropeTheta }: Rotary, path: string): Llama3RopeScaling | null {
  if (factors.length !== headDim / 2)
    throw new CheckpointError(`${path}: ${ropeFactorsTensor} has ${factors.length} numbers; expected ${headDim / 2}`)
  if (factors.every((factor) => factor === 1)) return null
  const scaling: Llama3RopeScaling = {
    ropeType: 'llama3',
    factor: factors.reduce((a, b) => Math.max(a, b)),
    lowFreqFactor: 1,
    highFreqFactor: 4,
    originalMaxPositionEmbeddings: 8192,
  }
  const agrees = factors.every((factor, i) => {
    const expected = llama3Factor(scaling, (2 * Math.PI) / ropeTheta ** ((-2 * i) / headDim))
    return Math.abs(factor - expected) <= 1e-4 * expected
  })
  if (!agrees)
    throw new CheckpointError(
      `${path}: the frequency factors in ${ropeFactorsTensor} are not those of Llama 3.1 to 3.3 ` +
        '(low_freq_factor 1, high_freq_factor 4, original context 8192); other ones are not supported',
    )
  return scaling
}

/** By how much the frequency of a wavelength (in tokens) is divided. */
function llama3Factor(scaling: Llama3RopeScaling, wavelength: number): number {
  const { factor, lowFreqFactor, highFreqFactor, originalMaxPositionEmbeddings } = scaling
  if (wavelength < originalMaxPositionEmbeddings / highFreqFactor) return 1
  if (wavelength > originalMaxPositionEmbeddings / lowFreqFactor) return factor
  const smooth = (originalMaxPositionEmbeddings / wavelength - lowFreqFactor) / (highFreqFactor - lowFreqFactor)
  return 1 / ((1 - smooth) / factor + smooth)
}

/** Reads the values of `<architecture>.<key>`, checked. A fallback is for a missing key; without one that is an error. */
class MetadataReader {
  constructor(
    private readonly metadata: GgufMetadata,
    private readonly architecture: string,
    private readonly path: string,
  ) {}

  has(key: string): boolean {
    return this.metadata[`${this.architecture}.${key}`] !== undefined
  }

  /** A whole number from 1 (0 where the fallback is 0) to 2^31 - 1. */
  size(key: string, fallback?: number): number {
    const value = this.get(key, fallback)
    const least = fallback === 0 ? 0 : 1
    if (typeof value === 'number' && Number.isInteger(value) && value >= least && value < 2 ** 31) return value
    throw this.invalid(key, value, 'a positive whole number')
  }

  /** A positive number. 32-bit numbers are taken as the shortest decimal they stand for: 1e-5, not 9.999999747378752e-6. */
  positive(key: string, fallback?: number): number {
    const value = this.get(key, fallback)
    if (typeof value === 'number' && value > 0 && Number.isFinite(value)) {
      const decimal = Number(value.toPrecision(7))
      return Math.fround(decimal) === value ? decimal : value
    }
    throw this.invalid(key, value, 'a positive number')
  }

  text(key: string, fallback: string): string {
    const value = this.get(key, fallback)
    if (typeof value === 'string') return value
    throw this.invalid(key, value, 'text')
  }

  tokenId(key: string): number | null {
    const value = this.metadata[`tokenizer.ggml.${key}`]
    if (value === undefined) return null
    if (typeof value === 'number' && Number.isInteger(value) && value >= 0 && value < 2 ** 31) return value
    throw new CheckpointError(`${this.path}: tokenizer.ggml.${key} is ${described(value)}; expected a token's number`)
  }

  private get(key: string, fallback: string | number | undefined): unknown {
    const value = this.metadata[`${this.architecture}.${key}`] ?? fallback
    if (value === undefined)
      throw new CheckpointError(`${this.path} lacks the metadata key ${this.architecture}.${key}`)
    return value
  }

  private invalid(key: string, value: unknown, expected: string): CheckpointError {
    return new CheckpointError(
      `${this.path}: ${this.architecture}.${key} is ${described(value)}; expected ${expected}, the same in every layer`,
    )
  }
}

function described(value: unknown): string {
  return typeof value === 'object' ? 'a list' : quoted(String(value))
}
