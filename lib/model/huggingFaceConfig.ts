import { z } from 'zod'
import { CheckpointError, quoted } from './checkpointError'
import type { ModelConfig } from './config'

type ModelType = ModelConfig['modelType']
type RopeScaling = NonNullable<ModelConfig['ropeScaling']>

/** What transformers assumes where config.json is silent, and the class that reads the weights. */
const families = {
  llama: {
    architecture: 'LlamaForCausalLM',
    vocab_size: 32000,
    intermediate_size: 11008,
    num_key_value_heads: null,
    head_dim: null,
    max_position_embeddings: 2048,
    bos_token_id: 1,
    eos_token_id: 2,
  },
  qwen2: {
    architecture: 'Qwen2ForCausalLM',
    vocab_size: 151936,
    intermediate_size: 22016,
    num_key_value_heads: 32,
    head_dim: null,
    max_position_embeddings: 32768,
    bos_token_id: null,
    eos_token_id: null,
  },
  qwen3: {
    architecture: 'Qwen3ForCausalLM',
    vocab_size: 151936,
    intermediate_size: 22016,
    num_key_value_heads: 32,
    head_dim: 128,
    max_position_embeddings: 32768,
    bos_token_id: null,
    eos_token_id: null,
  },
} as const

/** For messages that refuse a model. */
export const supportedModels = 'Llama 2 and 3 (and SmolLM2), Qwen2, Qwen2.5 and Qwen3'

const size = z
  .int()
  .min(1)
  .max(2 ** 31 - 1)
const tokenId = z.int().min(-1).nullish()
const tokenIds = z.union([z.int().min(0), z.array(z.int().min(0)), z.null()]).optional()
const positive = z.number().positive()
const ropeParameters = z
  .looseObject({
    rope_type: z.string().optional(),
    type: z.string().optional(),
    rope_theta: positive.optional(),
    partial_rotary_factor: z.number().nullish(),
  })
  .nullish()

const generationSchema = z.looseObject({ bos_token_id: tokenId, eos_token_id: tokenIds, pad_token_id: tokenId })

const configSchema = generationSchema.extend({
  architectures: z.array(z.string()).nullish(),
  vocab_size: size.optional(),
  hidden_size: size.default(4096),
  intermediate_size: size.optional(),
  num_hidden_layers: size.default(32),
  num_attention_heads: size.default(32),
  num_key_value_heads: size.nullish(),
  head_dim: size.nullish(),
  max_position_embeddings: size.optional(),
  rms_norm_eps: positive.default(1e-6),
  rope_theta: positive.optional(),
  rope_scaling: ropeParameters,
  rope_parameters: ropeParameters,
  partial_rotary_factor: z.number().nullish(),
  attention_bias: z.boolean().nullish(),
  mlp_bias: z.boolean().nullish(),
  hidden_act: z.string().default('silu'),
  tie_word_embeddings: z.boolean().default(false),
  use_sliding_window: z.boolean().nullish(),
  sliding_window: z.int().nullable().default(4096),
  max_window_layers: z.int().default(28),
  layer_types: z.array(z.string()).nullish(),
  quantization_config: z.unknown(),
})
type HuggingFaceConfig = z.infer<typeof configSchema>

/**
 * The shape of a decoder from the contents of a config.json, and of a generation_config.json if there is one (its
 * end-of-sequence ids are added). What config.json leaves out has the value that transformers would take.
 * Throws CheckpointError, naming the key, on what is invalid or not supported. `source` is named in messages.
 */
export function parseHuggingFaceConfig(config: unknown, generationConfig: unknown, source: string): ModelConfig {
  const modelType = checkModelType(config, source)
  const family = families[modelType]
  const raw = parse(configSchema, config, source)
  const generation = parse(generationSchema, generationConfig ?? {}, `generation_config.json beside ${source}`)
  refuseUnsupported(raw, modelType, source)

  const numAttentionHeads = raw.num_attention_heads
  // An explicit null means as many as query heads, in every family; only silence means the family's default.
  const keyValueHeads = raw.num_key_value_heads === undefined ? family.num_key_value_heads : raw.num_key_value_heads
  const headDim = raw.head_dim ?? family.head_dim ?? Math.floor(raw.hidden_size / numAttentionHeads)
  const attentionBias = modelType !== 'qwen2' && raw.attention_bias === true
  const ids = (value: number | number[] | null | undefined) => (value == null ? [] : [value].flat())
  const eosTokenId = raw.eos_token_id === undefined ? family.eos_token_id : raw.eos_token_id
  const bosTokenId = raw.bos_token_id === undefined ? family.bos_token_id : raw.bos_token_id
  const model: ModelConfig = {
    modelType,
    vocabSize: raw.vocab_size ?? family.vocab_size,
    hiddenSize: raw.hidden_size,
    intermediateSize: raw.intermediate_size ?? family.intermediate_size,
    numHiddenLayers: raw.num_hidden_layers,
    numAttentionHeads,
    numKeyValueHeads: keyValueHeads ?? numAttentionHeads,
    headDim,
    maxPositionEmbeddings: raw.max_position_embeddings ?? family.max_position_embeddings,
    rmsNormEps: raw.rms_norm_eps,
    ...parseRope(raw, source),
    qkvBias: modelType === 'qwen2' || attentionBias,
    outputBias: attentionBias,
    queryKeyNorm: modelType === 'qwen3',
    tieWordEmbeddings: raw.tie_word_embeddings,
    bosTokenId: noneIfNegative(bosTokenId ?? generation.bos_token_id),
    eosTokenIds: [...new Set([...ids(eosTokenId), ...ids(generation.eos_token_id)])],
    padTokenId: noneIfNegative(raw.pad_token_id ?? generation.pad_token_id),
  }
  checkModelConfig(model, source)
  return model
}

function checkModelType(config: unknown, source: string): ModelType {
  const { model_type: modelType } = parse(z.looseObject({ model_type: z.string() }), config, source)
  if (!Object.hasOwn(families, modelType))
    throw new CheckpointError(
      `${source}: models of type ${quoted(modelType)} are not supported; supported are ${supportedModels} ` +
        `(model_type ${Object.keys(families).join(', ')})`,
    )
  return modelType as ModelType
}

function parse<T>(schema: z.ZodType<T>, value: unknown, source: string): T {
  const result = schema.safeParse(value)
  if (result.success) return result.data
  const issues = result.error.issues
    .slice(0, 5)
    .map((issue) => `${issue.path.join('.') || 'the file'}: ${issue.message}`)
  throw new CheckpointError(`${source} is not valid: ${issues.join('; ')}`)
}

function refuseUnsupported(raw: HuggingFaceConfig, modelType: ModelType, source: string): void {
  const { architecture } = families[modelType]
  const refuse = (what: string) => {
    throw new CheckpointError(`${source}: ${what}`)
  }
  if (raw.architectures && raw.architectures.length > 0 && !raw.architectures.includes(architecture))
    refuse(
      `architecture ${raw.architectures.map(quoted).join(', ')} is not supported; ${modelType} needs ${architecture}`,
    )
  if (raw.quantization_config != null)
    refuse(
      'quantization_config: quantised weights are read from GGUF files only; use the unquantised model or a GGUF of it',
    )
  if (raw.hidden_act !== 'silu') refuse(`hidden_act ${quoted(raw.hidden_act)} is not supported, only "silu"`)
  if (raw.mlp_bias === true) refuse('mlp_bias (biases in the feed-forward layers) is not supported')
  if (modelType !== 'llama' && usesSlidingWindow(raw))
    refuse('sliding-window attention is switched on (use_sliding_window, layer_types), which is not supported')
}

function usesSlidingWindow(raw: HuggingFaceConfig): boolean {
  if (raw.layer_types) return raw.layer_types.some((type) => type !== 'full_attention')
  const window = raw.use_sliding_window ? raw.sliding_window : null
  return window !== null && raw.max_window_layers < raw.num_hidden_layers
}

/** Up to transformers 4 there are `rope_theta` and `rope_scaling`; from 5 on `rope_parameters` holds both. */
function parseRope(raw: HuggingFaceConfig, source: string): Pick<ModelConfig, 'ropeTheta' | 'ropeScaling'> {
  const scalings = [raw.rope_scaling, raw.rope_parameters]
    .filter((parameters) => parameters != null)
    .map((parameters) => parseRopeScaling(parameters, source))
  const thetas = [raw.rope_scaling?.rope_theta, raw.rope_parameters?.rope_theta, raw.rope_theta].filter(
    (theta) => theta !== undefined,
  )
  if (new Set(thetas).size > 1)
    throw new CheckpointError(`${source} gives different values of rope_theta: ${thetas.join(', ')}`)
  if (new Set(scalings.map((scaling) => JSON.stringify(scaling))).size > 1)
    throw new CheckpointError(`${source}: rope_scaling and rope_parameters contradict each other`)
  const partial = [raw, raw.rope_scaling, raw.rope_parameters].find((part) => (part?.partial_rotary_factor ?? 1) !== 1)
  if (partial)
    throw new CheckpointError(
      `${source}: partial_rotary_factor ${partial.partial_rotary_factor} is not supported, only 1`,
    )
  return { ropeTheta: thetas[0] ?? 10000, ropeScaling: scalings[0] ?? null }
}

function parseRopeScaling(parameters: Record<string, unknown>, source: string): RopeScaling | null {
  const type = parameters.rope_type ?? parameters.type ?? 'default'
  const numbers = <Key extends string>(...keys: Key[]) => {
    const schema = z.looseObject(Object.fromEntries(keys.map((key) => [key, positive])))
    return parse(schema, parameters, `${source}: rotary embedding of type ${type}`) as Record<Key, number>
  }
  if (type === 'default') return null
  if (type === 'linear') return { ropeType: 'linear', factor: numbers('factor').factor }
  if (type === 'llama3') {
    const values = numbers('factor', 'low_freq_factor', 'high_freq_factor', 'original_max_position_embeddings')
    if (values.high_freq_factor <= values.low_freq_factor)
      throw new CheckpointError(
        `${source}: high_freq_factor ${values.high_freq_factor} should be above low_freq_factor ${values.low_freq_factor}`,
      )
    return {
      ropeType: 'llama3',
      factor: values.factor,
      lowFreqFactor: values.low_freq_factor,
      highFreqFactor: values.high_freq_factor,
      originalMaxPositionEmbeddings: values.original_max_position_embeddings,
    }
  }
  throw new CheckpointError(
    `${source}: rotary embeddings of type ${quoted(String(type))} are not supported; supported are default, linear and llama3`,
  )
}

/** Some configs write "no such token" as -1. */
function noneIfNegative(id: number | null | undefined): number | null {
  return id == null || id < 0 ? null : id
}

/** Throws CheckpointError if the numbers of a config do not go together. */
export function checkModelConfig(config: ModelConfig, source: string): void {
  const { numAttentionHeads, numKeyValueHeads, headDim, padTokenId, vocabSize } = config
  if (numAttentionHeads % numKeyValueHeads !== 0)
    throw new CheckpointError(
      `${source}: ${numAttentionHeads} attention heads cannot share ${numKeyValueHeads} key-value heads evenly`,
    )
  if (headDim < 2 || headDim % 2 !== 0)
    throw new CheckpointError(`${source}: heads are ${headDim} wide; rotary embeddings need an even number`)
  if (padTokenId !== null && padTokenId >= vocabSize)
    throw new CheckpointError(`${source}: pad_token_id ${padTokenId} lies outside the vocabulary of ${vocabSize}`)
}

/** Number types of checkpoints, as config.json names them. */
export type CheckpointDtype = 'float32' | 'float16' | 'bfloat16'

/**
 * The text of a config.json that transformers 4 and 5 read alike, and `parseHuggingFaceConfig` reads back as it was.
 * Throws CheckpointError for a decoder that no model type of transformers describes.
 */
export function formatHuggingFaceConfig(config: ModelConfig, dtype: CheckpointDtype): string {
  const text = JSON.stringify(configContents(config, dtype), null, 2)
  // transformers 4 warns if these are written as whole numbers.
  return `${text.replace(/^( *"(?:\w*factor|rope_theta)": \d+)(,?)$/gm, '$1.0$2')}\n`
}

function configContents(config: ModelConfig, dtype: CheckpointDtype): Record<string, unknown> {
  const { modelType, ropeTheta, ropeScaling } = config
  if (modelType === 'qwen2' ? !config.qkvBias || config.outputBias : config.qkvBias !== config.outputBias)
    throw new CheckpointError(
      `config.json cannot say that a ${modelType} model has qkvBias ${config.qkvBias} and outputBias ${config.outputBias}`,
    )
  if (config.queryKeyNorm !== (modelType === 'qwen3'))
    throw new CheckpointError(
      `config.json cannot say that a ${modelType} model has queryKeyNorm ${config.queryKeyNorm}`,
    )
  const scaling = ropeScaling && formatRopeScaling(ropeScaling)
  return {
    architectures: [families[modelType].architecture],
    ...(modelType === 'qwen2' ? {} : { attention_bias: config.outputBias }),
    attention_dropout: 0,
    bos_token_id: config.bosTokenId,
    dtype,
    eos_token_id: config.eosTokenIds.length > 1 ? config.eosTokenIds : (config.eosTokenIds[0] ?? null),
    head_dim: config.headDim,
    hidden_act: 'silu',
    hidden_size: config.hiddenSize,
    initializer_range: 0.02,
    intermediate_size: config.intermediateSize,
    max_position_embeddings: config.maxPositionEmbeddings,
    ...(modelType === 'llama' ? { mlp_bias: false } : {}),
    model_type: modelType,
    num_attention_heads: config.numAttentionHeads,
    num_hidden_layers: config.numHiddenLayers,
    num_key_value_heads: config.numKeyValueHeads,
    pad_token_id: config.padTokenId,
    rms_norm_eps: config.rmsNormEps,
    rope_parameters: { rope_theta: ropeTheta, ...(scaling ?? { rope_type: 'default' }) },
    rope_scaling: scaling,
    rope_theta: ropeTheta,
    tie_word_embeddings: config.tieWordEmbeddings,
    torch_dtype: dtype,
    use_cache: true,
    ...(modelType === 'llama' ? {} : { use_sliding_window: false, sliding_window: null }),
    vocab_size: config.vocabSize,
  }
}

function formatRopeScaling(scaling: RopeScaling): Record<string, unknown> {
  if (scaling.ropeType === 'linear') return { rope_type: 'linear', factor: scaling.factor }
  return {
    rope_type: 'llama3',
    factor: scaling.factor,
    low_freq_factor: scaling.lowFreqFactor,
    high_freq_factor: scaling.highFreqFactor,
    original_max_position_embeddings: scaling.originalMaxPositionEmbeddings,
  }
}
