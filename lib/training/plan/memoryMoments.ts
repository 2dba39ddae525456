import { rhythmOptions } from '../../credit/rhythmOptions'
import type { ModelConfig } from '../../model/config'
import { GreedyHead } from '../../model/greedyHead'
import { resolveLayers } from '../../rhythm/layerRange'
import type { BlockSizes } from '../gradients/blockSizes'
import { scoredTogether } from '../scoreResponses'
import type { GrpoChoice, TrainingConfig } from '../trainingConfig'
import { decodingParts, forwardPart } from './decodingParts'
import { gradientParts } from './gradientParts'
import { type ParameterCounts, parameterCounts } from './parameterCounts'
import { bytesOf, inBlocks, largeBytesOf, most, type Part, type Parts, together } from './parts'
import type { PlannedDevice } from './plannedDevice'
import type { PlannedLengths, SequenceLength } from './plannedLengths'

export type PlannedMoment = 'supervised' | 'rollout' | 'oldLogprob' | 'update' | 'evaluation' | 'checkpoint'

/** What a run holds at one kind of moment. */
export interface MomentMemory {
  moment: PlannedMoment
  parts: Parts
}

/**
 * Memory of every kind of moment of a run, in bytes beyond what a process with TensorFlow loaded holds: sequences as long as they may get,
 * no group without variance. Weights, gradients, moments of the optimizer, caches and what gradients keep are counted number by
 * number; what single operations take beside them (`working`) is an estimate. On a GPU it is the GPU's memory.
 */
export function memoryMoments(
  config: TrainingConfig,
  model: ModelConfig,
  lengths: PlannedLengths,
  { sizes, memoryIsReturned: onGpu }: Pick<PlannedDevice, 'sizes' | 'memoryIsReturned'>,
): MomentMemory[] {
  const { supervised, grpo, evaluation, recompute } = config
  const lora = config.lora !== null
  const counts = parameterCounts(model, config.lora, config.model.precision)
  const moments: MomentMemory[] = []
  const prompt = Math.max(1, ...lengths.prompts)
  const longest = (maxNewTokens: number) => Math.min(maxNewTokens, model.maxPositionEmbeddings - prompt)
  const gradient = (sequences: readonly SequenceLength[], microBatch: number) =>
    gradientParts(model, counts, sequences, { microBatch, sizes, recompute, lora, precision: config.model.precision })

  if (supervised) {
    const steps = lengths.demonstrations.map((step) => gradient(step, supervised.microBatch))
    moments.push({ moment: 'supervised', parts: { ...heldParts(config, counts, 'supervised'), ...most(steps) } })
  }
  if (grpo) {
    const held = heldParts(config, counts, 'grpo')
    const response = longest(grpo.maxNewTokens)
    const count = grpo.prompts * grpo.responses
    const batch = Math.min(grpo.rolloutBatch, count)
    const distinct = Math.min(grpo.prompts, Math.ceil(batch / grpo.responses) + 1)
    const series = onGpu ? 0 : seriesBytes(grpo, model, count * response)
    const scored = { ...held, ...(series > 0 ? { series: inBlocks(series, series / count) } : {}) }
    const part = Array.from({ length: Math.ceil(count / grpo.updates) }, () => ({ prompt, response }))
    moments.push(
      {
        moment: 'rollout',
        parts: {
          ...held,
          ...decodingParts(model, { batch, distinct, prompt, response, someWait: count > batch }, sizes.forward),
        },
      },
      {
        moment: 'oldLogprob',
        parts: {
          ...scored,
          working: scoringPart(config, model, Math.min(grpo.microBatch, count), prompt + response, sizes),
        },
      },
      { moment: 'update', parts: { ...scored, ...gradient(part, grpo.microBatch) } },
    )
  }
  const phase = grpo ? 'grpo' : 'supervised'
  if (evaluation) {
    const { items, samples, batch } = evaluation
    const response = longest(evaluation.maxNewTokens)
    const sampled = Math.min(batch, items * samples)
    const greedy = Math.min(batch, items)
    const writing = (batch: number, distinct: number, someWait: boolean) =>
      decodingParts(model, { batch, distinct, prompt, response, someWait }, sizes.forward)
    const head = onGpu || config.model.precision !== 'bf16' ? 0 : GreedyHead.bytes(model)
    const passes = [
      writing(sampled, Math.ceil(sampled / samples) + 1, items * samples > sampled),
      { ...writing(greedy, greedy, items > greedy), ...(head > 0 ? { 'greedy head': inBlocks(head, head) } : {}) },
    ]
    moments.push({
      moment: 'evaluation',
      parts: {
        ...heldParts(config, counts, phase),
        ...most(passes),
      },
    })
  }
  const tensor = 4 * counts.largest
  moments.push({
    moment: 'checkpoint',
    parts: { ...heldParts(config, counts, phase), working: inBlocks(tensor, tensor) },
  })
  return moments
}

/** The pass over a micro-batch before the updates, cut as `scoreResponses` cuts it. */
function scoringPart(
  config: TrainingConfig,
  model: ModelConfig,
  sequences: number,
  length: number,
  { forward }: BlockSizes,
): Part {
  const lengths = new Array<number>(sequences).fill(length)
  const [largest] = scoredTogether([...lengths.keys()], lengths, forward)
  // MLPs that are held in bfloat16 alone are multiplied in float32, one layer's at a time.
  const widened = config.lora && config.model.precision === 'bf16' ? 4 * model.hiddenSize * model.intermediateSize : 0
  return together(forwardPart(model, largest!.length, length, forward), inBlocks(3 * widened, widened))
}

/** What a phase holds at every moment. */
function heldParts(config: TrainingConfig, counts: ParameterCounts, phase: 'supervised' | 'grpo'): Parts {
  const { grpo, lora } = config
  const bytesPerNumber = config[phase]!.optimizer.state === 'bf16' ? 4 : 8
  return {
    weights: counts.held,
    ...(lora ? { adapters: inBlocks(4 * counts.trained, 0), 'frozen matrices': inBlocks(4 * counts.adapted, 0) } : {}),
    optimizer: inBlocks(bytesPerNumber * counts.trained, 0),
    ...(phase === 'grpo' && grpo!.klCoefficient > 0 ? { 'reference policy': counts.frozen } : {}),
  }
}

/** Head series of `tokens` response tokens in the machine's own memory: WAAD and FAI of each observed head. */
function seriesBytes({ credit }: GrpoChoice, model: ModelConfig, tokens: number): number {
  if (credit.strategy === 'uniform' && credit.skipUnneededPass) return 0
  const { rl } = rhythmOptions({ rl: credit.rl }, credit.preset)
  return 2 * 4 * tokens * resolveLayers(rl.layers, model.numHiddenLayers).length * model.numAttentionHeads
}

/**
 * Kernels of TensorFlow and code of JavaScript, or of CUDA, that come into memory as they are used, and gaps between blocks, as a share of these. Measured, not
 * derived: on CPUs, and on an H200 (runs of 17 to 107 GB, `data/results/gpu-check`).
 */
const BESIDE = { cpu: { processBytes: 90e6, gaps: 0.06 }, gpu: { processBytes: 0.9e9, gaps: 0.12 } }

/** The peak of a run: the moment that makes it, and bytes by part, which add up. */
export interface PeakMemory {
  moment: PlannedMoment
  parts: Record<string, number>
  bytes: number
}

/**
 * The peak of these moments. On a CPU, memory that was freed in small blocks stays with the process and serves only small ones later: the moment
 * with the largest blocks comes on top of what other moments needed in small ones. `returned`: freed memory serves any later use, as a GPU's does.
 */
export function peakMemory(moments: readonly MomentMemory[], returned: boolean): PeakMemory {
  const small = ({ parts }: MomentMemory) => bytesOf(parts) - largeBytesOf(parts)
  const mostSmall = Math.max(...moments.map(small))
  const unused = (moment: MomentMemory) => (returned ? 0 : mostSmall - small(moment))
  const peak = moments.reduce((a, b) => (bytesOf(b.parts) + unused(b) > bytesOf(a.parts) + unused(a) ? b : a))
  const parts = Object.fromEntries(Object.entries(peak.parts).map(([name, { bytes }]) => [name, bytes]))
  if (unused(peak) > 0) parts['freed before'] = unused(peak)
  const { processBytes, gaps } = returned ? BESIDE.gpu : BESIDE.cpu
  parts['process and gaps'] = processBytes + gaps * (bytesOf(peak.parts) + unused(peak))
  return { moment: peak.moment, parts, bytes: Object.values(parts).reduce((sum, n) => sum + n, 0) }
}
