import { CheckpointError } from './checkpointError'
import type { ModelConfig } from './config'

/**
 * Every tensor that a decoder of this shape has, with its shape: matrices are `[out, in]`, row-major, under the names of the
 * Hugging Face layout. With tied embeddings there is no `lm_head.weight`.
 */
export function expectedTensors(config: ModelConfig): Map<string, number[]> {
  const { hiddenSize: D, intermediateSize: F, vocabSize: V, headDim, numHiddenLayers } = config
  const Q = config.numAttentionHeads * headDim
  const K = config.numKeyValueHeads * headDim
  const tensors = new Map<string, number[]>()
  tensors.set('model.embed_tokens.weight', [V, D])
  for (let i = 0; i < numHiddenLayers; i++) {
    const layer = `model.layers.${i}`
    const projection = (name: string, out: number, width: number, bias: boolean) => {
      tensors.set(`${layer}.${name}.weight`, [out, width])
      if (bias) tensors.set(`${layer}.${name}.bias`, [out])
    }
    tensors.set(`${layer}.input_layernorm.weight`, [D])
    projection('self_attn.q_proj', Q, D, config.qkvBias)
    projection('self_attn.k_proj', K, D, config.qkvBias)
    projection('self_attn.v_proj', K, D, config.qkvBias)
    projection('self_attn.o_proj', D, Q, config.outputBias)
    if (config.queryKeyNorm) {
      tensors.set(`${layer}.self_attn.q_norm.weight`, [headDim])
      tensors.set(`${layer}.self_attn.k_norm.weight`, [headDim])
    }
    tensors.set(`${layer}.post_attention_layernorm.weight`, [D])
    projection('mlp.gate_proj', F, D, false)
    projection('mlp.up_proj', F, D, false)
    projection('mlp.down_proj', D, F, false)
  }
  tensors.set('model.norm.weight', [D])
  if (!config.tieWordEmbeddings) tensors.set('lm_head.weight', [V, D])
  return tensors
}

/**
 * Throws CheckpointError, naming them, if tensors are missing, have other shapes than the decoder's, or are ones that the
 * decoder would silently leave out. `found` gives shapes by name; `source` is named in the message.
 */
export function checkTensors(config: ModelConfig, found: ReadonlyMap<string, readonly number[]>, source: string): void {
  // A config can promise a million layers: the files decide how many there can be.
  if (config.numHiddenLayers > found.size)
    throw new CheckpointError(
      `${source}: the config promises ${config.numHiddenLayers} layers, but there are only ${found.size} tensors`,
    )
  const expected = expectedTensors(config)
  const missing = [...expected.keys()].filter((name) => !found.has(name))
  const misshapen = [...expected]
    .filter(([name, shape]) => found.has(name) && String(found.get(name)) !== String(shape))
    .map(([name, shape]) => `${name} is [${found.get(name)}] instead of [${shape}]`)
  const unused = [...found.keys()].filter((name) => !expected.has(name))
  const problems: string[] = []
  if (missing.length > 0) problems.push(`missing tensors: ${listed(missing)}`)
  if (misshapen.length > 0) problems.push(`wrong shapes: ${listed(misshapen)}`)
  if (unused.length > 0)
    problems.push(`tensors that a ${config.modelType} decoder with this config lacks: ${listed(unused)}`)
  if (problems.length === 0) return
  if (missing.length === 1 && missing[0] === 'lm_head.weight')
    problems.push(
      '(a model that shares its embeddings with its output needs "tie_word_embeddings": true in config.json)',
    )
  throw new CheckpointError(`${source} does not match its config: ${problems.join('; ')}`)
}

function listed(items: string[]): string {
  const shown = items.slice(0, 5).map((item) => (item.length > 120 ? `${item.slice(0, 117)}...` : item))
  return shown.join(', ') + (items.length > 5 ? ` and ${items.length - 5} more` : '')
}
