import { COLOURS, NEUTRAL } from './theme'

/** One metric as a line of a panel. */
export interface PanelLine {
  metric: string
  name: string
  colour: string
  /** From the metric's unit to the panel's. Default 1. */
  scale?: number
  dash?: string
  /** Metrics between which a band is drawn behind the line. */
  band?: readonly [string, string]
}

export interface Panel {
  title: string
  unit: string
  lines: PanelLine[]
  /** Lines add up: each lies on the one before it. */
  stacked?: boolean
  /** The value axis begins at 0. */
  fromZero?: boolean
  /** Drawn with a running mean on top of the noisy line. */
  smoothed?: boolean
  /** Filled with the evaluations instead. */
  accuracy?: boolean
  /** Left out where the run has no such metric. */
  where?: string
}

const { waad: BLUE, fai: ORANGE, receiver: PINK, entropy: GREEN } = COLOURS

const accuracy: Panel = { title: 'held-out accuracy', unit: '%', lines: [], accuracy: true }
const entropy: Panel = {
  title: 'entropy',
  unit: 'nats',
  lines: [{ metric: 'entropy', name: 'entropy', colour: GREEN }],
  fromZero: true,
}
const gradientNorm: Panel = {
  title: 'gradient norm',
  unit: 'before clipping',
  lines: [{ metric: 'grad_norm', name: 'gradient norm', colour: BLUE }],
  fromZero: true,
}
const throughput: Panel = {
  title: 'throughput',
  unit: '1,000 tokens/s',
  lines: [{ metric: 'perf/throughput', name: 'throughput', colour: BLUE, scale: 1e-3 }],
  fromZero: true,
}
const memory: Panel = {
  title: 'memory',
  unit: 'GB',
  lines: [
    { metric: 'memory/resident_gb', name: 'process', colour: BLUE },
    { metric: 'memory/gpu_gb', name: 'GPU', colour: ORANGE },
  ],
  fromZero: true,
}
const gpuBusy: Panel = {
  title: 'GPU busy',
  unit: '% of the time',
  lines: [{ metric: 'perf/gpu_utilization', name: 'GPU busy', colour: ORANGE, scale: 100 }],
  fromZero: true,
  where: 'perf/gpu_utilization',
}

/** The panels of warm-up. */
const supervised: Panel[] = [
  {
    title: 'loss',
    unit: 'nats a token',
    lines: [{ metric: 'loss', name: 'loss', colour: BLUE }],
    fromZero: true,
  },
  accuracy,
  entropy,
  gradientNorm,
  {
    title: 'time of a step',
    unit: 's',
    stacked: true,
    lines: [
      { metric: 'timing_s/data', name: 'data', colour: NEUTRAL },
      { metric: 'timing_s/gradient', name: 'gradient', colour: PINK },
      { metric: 'timing_s/optimizer', name: 'optimizer', colour: BLUE },
    ],
  },
  throughput,
  gpuBusy,
  { ...memory, where: 'memory/gpu_gb' },
]

/** The panels of GRPO. */
const grpo: Panel[] = [
  {
    title: 'reward',
    unit: 'mean',
    lines: [{ metric: 'reward', name: 'reward', colour: BLUE }],
    smoothed: true,
    fromZero: true,
  },
  accuracy,
  entropy,
  {
    title: 'response length',
    unit: 'tokens',
    lines: [
      {
        ...{ metric: 'completions/mean_length', name: 'mean, shortest to longest', colour: BLUE },
        band: ['completions/min_length', 'completions/max_length'],
      },
    ],
    fromZero: true,
  },
  {
    title: 'truncation, groups without a lesson',
    unit: '%',
    lines: [
      { metric: 'completions/clipped_ratio', name: 'responses cut short', colour: ORANGE, scale: 100 },
      { metric: 'frac_reward_zero_std', name: 'groups of equal reward', colour: BLUE, scale: 100, dash: 'dot' },
    ],
    fromZero: true,
  },
  gradientNorm,
  {
    title: 'tokens whose ratio was clipped',
    unit: '%',
    lines: [{ metric: 'clip_ratio/region_mean', name: 'clipped', colour: BLUE, scale: 100 }],
    fromZero: true,
  },
  {
    title: 'time of a step',
    unit: 's',
    stacked: true,
    lines: [
      { metric: 'timing_s/gen', name: 'rollouts', colour: BLUE },
      { metric: 'timing_s/old_log_prob', name: 'log-probs + rhythm', colour: GREEN },
      { metric: 'timing_s/credit', name: 'credit', colour: ORANGE },
      { metric: 'timing_s/update_actor', name: 'updates', colour: PINK },
      { metric: 'timing_s/reward', name: 'verdicts', colour: NEUTRAL },
    ],
  },
  throughput,
  {
    title: 'mean gamma',
    unit: '1 = plain GRPO',
    lines: [{ metric: 'rhythm/gamma_mean', name: 'mean gamma', colour: ORANGE }],
  },
  {
    title: 'rhythm',
    unit: '%',
    lines: [
      { metric: 'rhythm/dominated_share', name: 'dominated anchors', colour: ORANGE, scale: 100 },
      { metric: 'rhythm/head_turnover', name: 'head turnover', colour: BLUE, scale: 100, dash: 'dot' },
    ],
    fromZero: true,
  },
  memory,
  gpuBusy,
]

export const TRAINING_PANELS = { supervised, grpo } as const
