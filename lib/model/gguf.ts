/** Models in GGUF files (https://github.com/ggml-org/ggml/blob/master/docs/gguf.md), as float32 in the Hugging Face layout. */
import { CheckpointError, quoted } from './checkpointError'
import type { ModelConfig } from './config'
import { dequantize, unreadableType } from './dequantize'
import { checkTensors } from './expectedTensors'
import { ggmlTypes } from './ggmlTypes'
import { type GgufHeader, type GgufMetadata, type GgufTensor, readGgufHeader } from './ggufHeader'
import { ggufModelConfig, ropeFactorsTensor } from './ggufModelConfig'
import { RandomAccessFile } from './randomAccessFile'
import type { WeightSource } from './weightSource'

export { type GgufArray, type GgufMetadata, type GgufValue, readGgufMetadata } from './ggufHeader'

export interface GgufSource extends WeightSource {
  readonly metadata: GgufMetadata
}

/** Tensors are read and dequantised in pieces of so many numbers, a multiple of every type's block. */
const PIECE = 2 ** 20
const MAX_ELEMENTS = 2 ** 30

/**
 * Opens a GGUF file of version 2 or 3 with a llama, qwen2 or qwen3 model. Tensors have their Hugging Face names and layout:
 * in llama models the rows of the query and key projections, which the file holds in another order, are put back.
 * Throws CheckpointError if the file is damaged, or the model or a number type is of an unsupported kind.
 */
export async function openGguf(path: string): Promise<GgufSource> {
  const file = RandomAccessFile.open(path)
  try {
    const header = readGgufHeader(file)
    const config = ggufModelConfig(header, path, await readRopeFactors(file, header))
    const tensors = new Map<string, GgufTensor>()
    for (const tensor of header.tensors) {
      if (tensor.name === ropeFactorsTensor) continue
      tensors.set(huggingFaceName(tensor.name), tensor)
    }
    checkTensors(config, new Map([...tensors].map(([name, tensor]) => [name, tensor.shape])), path)
    for (const tensor of tensors.values()) checkReadable(tensor, path)
    const find = (name: string) => {
      const tensor = tensors.get(name)
      if (!tensor) throw new CheckpointError(`${path} has no tensor ${quoted(name)}`)
      return tensor
    }
    return {
      path,
      config,
      metadata: header.metadata,
      names: () => [...tensors.keys()],
      shape: (name) => [...find(name).shape],
      read: async (name) => {
        const values = await readTensor(file, find(name))
        return isRotated(name, config) ? rotaryHalves(values, find(name).shape[0], config.headDim) : values
      },
      close: async () => file.close(),
    }
  } catch (error) {
    file.close()
    throw error
  }
}

function checkReadable(tensor: GgufTensor, path: string): void {
  if (!ggmlTypes.has(tensor.type))
    throw new CheckpointError(unreadableType(tensor.type, `${path}: tensor ${quoted(tensor.name)}`))
  if (tensor.size > MAX_ELEMENTS)
    throw new CheckpointError(
      `${path}: tensor ${quoted(tensor.name)} of shape [${tensor.shape}] has more than ${MAX_ELEMENTS} numbers, ` +
        'more than one array holds',
    )
}

async function readTensor(file: RandomAccessFile, tensor: GgufTensor): Promise<Float32Array> {
  checkReadable(tensor, file.path)
  const { blockSize, blockBytes } = ggmlTypes.get(tensor.type)!
  const what = `tensor ${quoted(tensor.name)}`
  const values = new Float32Array(tensor.size)
  const range = {
    position: tensor.position,
    length: (tensor.size / blockSize) * blockBytes,
    pieceBytes: (PIECE / blockSize) * blockBytes,
    what,
  }
  await file.readPieces(range, (bytes, done) => {
    const first = (done / blockBytes) * blockSize
    const out = values.subarray(first, first + (bytes.length / blockBytes) * blockSize)
    dequantize(tensor.type, bytes, out, `${file.path}: ${what}`)
  })
  return values
}

async function readRopeFactors(file: RandomAccessFile, header: GgufHeader): Promise<Float32Array | null> {
  const tensor = header.tensors.find(({ name }) => name === ropeFactorsTensor)
  if (!tensor) return null
  if (tensor.size > 2 ** 16)
    throw new CheckpointError(
      `${file.path}: ${ropeFactorsTensor} has ${tensor.size} numbers; expected half a head's width`,
    )
  return readTensor(file, tensor)
}

const outerNames: Record<string, string | undefined> = {
  token_embd: 'model.embed_tokens',
  output_norm: 'model.norm',
  output: 'lm_head',
}
const layerNames: Record<string, string | undefined> = {
  attn_norm: 'input_layernorm',
  attn_q: 'self_attn.q_proj',
  attn_k: 'self_attn.k_proj',
  attn_v: 'self_attn.v_proj',
  attn_output: 'self_attn.o_proj',
  attn_q_norm: 'self_attn.q_norm',
  attn_k_norm: 'self_attn.k_norm',
  ffn_norm: 'post_attention_layernorm',
  ffn_gate: 'mlp.gate_proj',
  ffn_up: 'mlp.up_proj',
  ffn_down: 'mlp.down_proj',
}

/** `blk.3.attn_q.weight` → `model.layers.3.self_attn.q_proj.weight`. Names of other things stay, and fail the check that follows. */
function huggingFaceName(name: string): string {
  const [, layer, part, kind] = /^(?:blk\.(0|[1-9]\d{0,6})\.)?([a-z_]+)\.(weight|bias)$/.exec(name) ?? []
  if (part === undefined) return name
  if (layer === undefined) return Object.hasOwn(outerNames, part) ? `${outerNames[part]}.${kind}` : name
  return Object.hasOwn(layerNames, part) ? `model.layers.${layer}.${layerNames[part]}.${kind}` : name
}

function isRotated(name: string, config: ModelConfig): boolean {
  return config.modelType === 'llama' && /\.self_attn\.[qk]_proj\./.test(name)
}

/**
 * llama.cpp rotates neighbouring rows of a head, 2i and 2i + 1, where the Hugging Face layout rotates i and i + headDim/2;
 * its converter reorders the rows of each head accordingly. This is the way back. `values` has `rows` rows; those of a
 * bias are single numbers.
 */
function rotaryHalves(values: Float32Array, rows: number, headDim: number): Float32Array {
  const width = values.length / rows
  const reordered = new Float32Array(values.length)
  for (let row = 0; row < rows; row++) {
    const inHead = row % headDim
    const from = row - inHead + (inHead < headDim / 2 ? 2 * inHead : 2 * inHead - headDim + 1)
    reordered.set(values.subarray(from * width, (from + 1) * width), row * width)
  }
  return reordered
}
