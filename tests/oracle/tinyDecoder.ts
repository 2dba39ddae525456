import { readFileSync } from 'node:fs'
import { join } from 'node:path'

/**
 * A Llama / Qwen2 / Qwen3 decoder in plain 64-bit loops for tiny models: slow, without blocks, batches or caches,
 * so that what it returns can check the real one. It reads float32 safetensors in one file only.
 */
export interface TinyForward {
  /** `[N][vocabulary]` */
  logits: number[][]
  /** `[layer][head][t][s]`, s up to t */
  attention: number[][][][]
}

export interface Matrix {
  rows: number
  columns: number
  values: Float32Array | Float64Array
}

/** A model as its folder describes it, weights by name. */
export interface TinyModel {
  // biome-ignore lint/suspicious/noExplicitAny: a config.json as it was read
  config: any
  tensors: Map<string, Matrix>
}

export function tinyForward(folder: string, ids: readonly number[]): TinyForward {
  return forwardOf(readTinyModel(folder), ids)
}

export function readTinyModel(folder: string): TinyModel {
  const config = JSON.parse(readFileSync(join(folder, 'config.json'), 'utf8'))
  return { config, tensors: readTensors(join(folder, 'model.safetensors')) }
}

export function forwardOf({ config, tensors }: TinyModel, ids: readonly number[]): TinyForward {
  const tensor = (name: string) => {
    const found = tensors.get(name)
    if (!found) throw new Error(`the model has no tensor ${name}`)
    return found
  }
  const heads: number = config.num_attention_heads
  const groupSize = heads / config.num_key_value_heads
  const size: number = config.head_dim
  const norm = (x: number[], weight: Matrix) => {
    const scale = 1 / Math.sqrt(sum(x.map((v) => v * v)) / x.length + config.rms_norm_eps)
    return x.map((v, i) => v * scale * weight.values[i]!)
  }
  const rotate = (x: number[], position: number) =>
    x.map((v, i) => {
      const pair = i % (size / 2)
      const angle = position * frequency(config.rope_parameters, pair, size)
      const other = i < size / 2 ? -x[i + size / 2]! : x[i - size / 2]!
      return v * Math.cos(angle) + other * Math.sin(angle)
    })
  const slice = (x: number[], head: number) => x.slice(head * size, (head + 1) * size)

  let hidden = ids.map((id) => row(tensor('model.embed_tokens.weight'), id))
  const attention: number[][][][] = []
  for (let layer = 0; layer < config.num_hidden_layers; layer++) {
    const at = (name: string) => tensor(`model.layers.${layer}.${name}.weight`)
    const headNorm = (x: number[], name: string) =>
      tensors.has(`model.layers.${layer}.self_attn.${name}.weight`) ? norm(x, at(`self_attn.${name}`)) : x
    const inputs = hidden.map((x) => norm(x, at('input_layernorm')))
    const projected = (name: string) => {
      const bias = tensors.get(`model.layers.${layer}.self_attn.${name}.bias`)
      return inputs.map((x) => project(x, at(`self_attn.${name}`)).map((v, i) => v + (bias ? bias.values[i]! : 0)))
    }
    const queries = projected('q_proj')
    const keys = projected('k_proj')
    const values = projected('v_proj')
    const patterns = Array.from({ length: heads }, (_, head) => {
      const q = queries.map((x, t) => rotate(headNorm(slice(x, head), 'q_norm'), t))
      const k = keys.map((x, t) => rotate(headNorm(slice(x, Math.floor(head / groupSize)), 'k_norm'), t))
      return q.map((query, t) => softmax(k.slice(0, t + 1).map((key) => dot(query, key) / Math.sqrt(size))))
    })
    attention.push(patterns)
    hidden = hidden.map((x, t) => {
      const mixed = patterns.flatMap((pattern, head) => {
        const value = values.map((v) => slice(v, Math.floor(head / groupSize)))
        return Array.from({ length: size }, (_, i) => sum(pattern[t]!.map((weight, s) => weight * value[s]![i]!)))
      })
      const bias = tensors.get(`model.layers.${layer}.self_attn.o_proj.bias`)
      const output = project(mixed, at('self_attn.o_proj'))
      return add(x, bias ? add(output, Array.from(bias.values)) : output)
    })
    hidden = hidden.map((x) => {
      const input = norm(x, at('post_attention_layernorm'))
      const gate = project(input, at('mlp.gate_proj')).map((v) => v / (1 + Math.exp(-v)))
      const up = project(input, at('mlp.up_proj'))
      return add(
        x,
        project(
          gate.map((v, i) => v * up[i]!),
          at('mlp.down_proj'),
        ),
      )
    })
  }
  const head = config.tie_word_embeddings ? tensor('model.embed_tokens.weight') : tensor('lm_head.weight')
  return { logits: hidden.map((x) => project(norm(x, tensor('model.norm.weight')), head)), attention }
}

interface RopeParameters {
  rope_theta: number
  rope_type?: string
  factor?: number
  low_freq_factor?: number
  high_freq_factor?: number
  original_max_position_embeddings?: number
}

/** Radians per token of a pair of dimensions; `llama3` in the three cases of Meta's description. */
function frequency(rope: RopeParameters, pair: number, size: number): number {
  const plain = rope.rope_theta ** ((-2 * pair) / size)
  if (rope.rope_type === 'linear') return plain / rope.factor!
  if (rope.rope_type !== 'llama3') return plain
  const wavelength = (2 * Math.PI) / plain
  const context = rope.original_max_position_embeddings!
  if (wavelength < context / rope.high_freq_factor!) return plain
  if (wavelength > context / rope.low_freq_factor!) return plain / rope.factor!
  const smooth = (context / wavelength - rope.low_freq_factor!) / (rope.high_freq_factor! - rope.low_freq_factor!)
  return (1 - smooth) * (plain / rope.factor!) + smooth * plain
}

function readTensors(path: string): Map<string, Matrix> {
  const file = readFileSync(path)
  const headerLength = Number(file.readBigUInt64LE(0))
  const header = JSON.parse(file.subarray(8, 8 + headerLength).toString('utf8'))
  delete header.__metadata__
  return new Map(
    Object.entries(header as Record<string, { dtype: string; shape: number[]; data_offsets: [number, number] }>).map(
      ([name, { dtype, shape, data_offsets }]) => {
        if (dtype !== 'F32') throw new Error(`${name} is ${dtype}, expected F32`)
        const bytes = file.subarray(8 + headerLength + data_offsets[0], 8 + headerLength + data_offsets[1])
        const values = new Float32Array(Uint8Array.from(bytes).buffer)
        return [name, { rows: shape[0]!, columns: shape[1] ?? 1, values }]
      },
    ),
  )
}

function row(matrix: Matrix, index: number): number[] {
  return Array.from(matrix.values.subarray(index * matrix.columns, (index + 1) * matrix.columns))
}

function project(x: number[], weight: Matrix): number[] {
  const result = new Array<number>(weight.rows)
  for (let i = 0; i < weight.rows; i++) {
    let value = 0
    for (let j = 0; j < weight.columns; j++) value += weight.values[i * weight.columns + j]! * x[j]!
    result[i] = value
  }
  return result
}

function softmax(scores: number[]): number[] {
  const max = Math.max(...scores)
  const weights = scores.map((score) => Math.exp(score - max))
  const total = sum(weights)
  return weights.map((weight) => weight / total)
}

const sum = (x: number[]) => x.reduce((total, v) => total + v, 0)
const dot = (x: number[], y: number[]) => x.reduce((total, v, i) => total + v * y[i]!, 0)
const add = (x: number[], y: number[]) => x.map((v, i) => v + y[i]!)
