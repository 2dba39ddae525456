import assert from 'node:assert/strict'
import test from 'node:test'
import type { RecordedRun } from '../../lib/analysis/recordedRuns'
import type { MetricsRow } from '../../lib/analysis/runMetrics'
import {
  creditedRollouts,
  type Figure,
  learningCurves,
  rolloutRhythm,
  staticSvg,
  trainingCurves,
} from '../../lib/plots'
import { runningMean } from '../../lib/plots/trainingCurves'

// biome-ignore lint/suspicious/noExplicitAny: Plotly's traces have no types
type Drawn = Record<string, any>
const named = ({ data }: Figure, name: string) => (data as Drawn[]).filter((trace) => trace.name === name)
const titles = ({ layout }: Figure) => (layout.annotations as Drawn[]).map(({ text }) => text as string)

const accuracy = (name: string, value: number) => ({
  [`eval/${name}`]: value,
  [`eval/${name}_low`]: value - 0.1,
  [`eval/${name}_high`]: value + 0.1,
})
const evaluated = (value: number) => ({
  ...accuracy('greedy', value + 0.05),
  ...accuracy('avg@4', value),
  ...accuracy('pass@4', 0.9),
})
const metrics: MetricsRow[] = [
  { step: 1, phase: 'supervised', phaseStep: 1, loss: 3, entropy: 2, 'timing_s/gradient': 0.1 },
  { step: 2, phase: 'supervised', phaseStep: 2, loss: 1, entropy: 1, 'timing_s/gradient': 0.2, ...evaluated(0.2) },
  ...Array.from(
    { length: 20 },
    (_, i): MetricsRow => ({
      ...{ step: 3 + i, phase: 'grpo', phaseStep: 1 + i, reward: i % 2, entropy: 0.5, grad_norm: i === 4 ? null : 1 },
      ...{ 'completions/mean_length': 10, 'completions/min_length': 5, 'completions/max_length': 20 },
      ...{ 'completions/clipped_ratio': 0.25, frac_reward_zero_std: 0.5, 'clip_ratio/region_mean': 0.01 },
      ...{ 'timing_s/gen': 0.5, 'timing_s/old_log_prob': 0.25, 'timing_s/credit': 0.01, 'timing_s/update_actor': 0.75 },
      ...{ 'timing_s/reward': 0, 'timing_s/step': 1.6, 'perf/throughput': 5000, 'memory/resident_gb': 1.5 },
      ...{ 'rhythm/gamma_mean': 1.2, 'rhythm/dominated_share': 0.4, 'rhythm/head_turnover': 0.1 },
      ...(i === 19 ? evaluated(0.4) : {}),
    }),
  ),
]

test('on a GPU: how busy it was, and its memory beside the process; without one neither', async () => {
  const gpu = { 'perf/gpu_utilization': 0.75, 'memory/gpu_gb': 40 }
  const onGpu = metrics.map((line) => ({ ...line, ...gpu }))
  const figure = trainingCurves(onGpu)
  const panels = titles(figure)
  assert.deepEqual([panels.length, titles(trainingCurves(metrics)).length], [13, 12])
  assert.match(panels.join('\n'), /GPU busy<\/b> \(% of the time\)/)
  assert.match(panels.join('\n'), /memory<\/b> \(GB\)<br>.*process.*GPU/)
  assert.ok(!titles(trainingCurves(metrics)).join().includes('GPU'))
  assert.deepEqual(
    ['GPU busy', 'GPU', 'process'].map((name) => named(figure, name)[0]!.y.at(-1)),
    [75, 40, 1.5],
  )
  // The lowest panel of each column has the axis's numbers.
  const labelled = Object.entries(figure.layout).flatMap(([key, value]) =>
    key.startsWith('xaxis') && (value as Drawn).showticklabels ? [key] : [],
  )
  assert.deepEqual(labelled, ['xaxis11', 'xaxis12', 'xaxis13'])
  const warmUp = trainingCurves(onGpu, { phase: 'supervised' })
  assert.deepEqual([titles(warmUp).length, titles(trainingCurves(metrics, { phase: 'supervised' })).length], [8, 6])
  assert.match(await staticSvg(figure), /GPU busy/)
})

test('GRPO: every panel, each line that of its metric in the unit of its title', () => {
  const figure = trainingCurves(metrics)
  const text = titles(figure).join('\n')
  for (const title of [
    'reward',
    'accuracy',
    'entropy',
    'length',
    'truncation',
    'gradient norm',
    'clipped',
    'time of a step',
  ])
    assert.ok(text.includes(title), title)
  for (const title of ['mean gamma', 'dominated anchors', 'head turnover', 'memory'])
    assert.ok(text.includes(title), title)
  const first = (name: string) => named(figure, name)[0]!.y[0]
  assert.deepEqual(
    ['responses cut short', 'groups of equal reward', 'clipped', 'throughput', 'mean gamma', 'dominated anchors'].map(
      first,
    ),
    [25, 50, 1, 5, 1.2, 40],
  )
  assert.equal(named(figure, 'gradient norm')[0]!.y[4], null, 'a number that was not finite is a gap')
  const [raw] = named(figure, 'reward')
  assert.deepEqual(raw!.y.slice(0, 4), [0, 1, 0, 1])
  assert.equal(named(figure, 'reward, running mean')[0]!.y.at(-1), 0.5)
})

test('seconds of a step lie on top of each other', () => {
  const figure = trainingCurves(metrics)
  const parts = (figure.data as Drawn[]).filter(({ stackgroup }) => stackgroup)
  assert.deepEqual(
    parts.map(({ name, y }) => [name, y[0]]),
    [
      ['rollouts', 0.5],
      ['log-probs + rhythm', 0.25],
      ['credit', 0.01],
      ['updates', 0.75],
      ['verdicts', 0],
    ],
  )
  assert.equal(new Set(parts.map(({ xaxis }) => xaxis)).size, 1)
})

test('accuracy in percent with its interval, from the end of warm-up on', () => {
  const figure = trainingCurves(metrics)
  const line = named(figure, 'avg@4').at(-1)!
  assert.deepEqual(
    [line.x, line.y],
    [
      [0, 20],
      [20, 40],
    ],
  )
  const band = (figure.data as Drawn[]).find(
    ({ fill, xaxis, line: l }) => fill && xaxis === line.xaxis && l.color === line.line.color,
  )
  assert.deepEqual(band?.y, [30, 50, 30, 10])
  // One evaluation alone has no band: its interval is a bar.
  const warmUp = trainingCurves(metrics, { phase: 'supervised' })
  assert.deepEqual(named(warmUp, 'loss')[0]!.y, [3, 1])
  const warm = named(warmUp, 'avg@4').at(-1)!
  assert.deepEqual(warm.y, [20])
  assert.ok(Math.abs(warm.error_y.array[0] - 10) < 1e-9)
})

test('the axis shows all steps of the phase from the start; many steps become few points', () => {
  const range = (figure: Figure) => (figure.layout.xaxis as Drawn).range
  assert.deepEqual(range(trainingCurves(metrics, { steps: 50 })), [0, 50])
  assert.deepEqual(range(trainingCurves(metrics)), [0, 20])
  assert.equal(named(trainingCurves(metrics, { points: 5 }), 'entropy')[0]!.y.length, 5)
  assert.throws(() => trainingCurves([]), /no metrics to draw yet/)
  assert.deepEqual(runningMean([1, null, 3, 5], 2), [1, 1, 3, 4])
})

const rollout = {
  ...{ step: 7, prompt: 'ab', tokens: ['1', '+', '<b>', '\n'], correct: true, reward: 1, advantage: 0.5 },
  gamma: [1, 1.5, 1.25, 0.5],
  entropy: [0.1, 0.2, 0.3, 0.4],
  rhythm: { waad: [1, 2, 3, 4], fai: [0.01, 0.02, 0.03, 0], faiValid: [true, true, true, false] },
}

test('a rollout: token text on bars as high as gamma, WAAD, FAI and entropy on the same token axis', () => {
  const { data, layout } = rolloutRhythm(rollout)
  const [bars, waad, fai, entropy] = data as Drawn[]
  assert.deepEqual(bars!.y, [1, 1.5, 1.25, 0.5])
  assert.deepEqual(bars!.text, ['1', '+', '&lt;b&gt;', '↵'])
  assert.equal(new Set(bars!.marker.color).size, 4, 'colour follows gamma')
  for (const line of [waad, fai, entropy]) assert.deepEqual(line!.x, bars!.x)
  assert.deepEqual(waad!.y, [1, 2, 3, 4])
  assert.deepEqual(fai!.y, [1, 2, 3, null], 'in percent, a gap where FAI is undefined')
  assert.deepEqual(entropy!.y, rollout.entropy)
  assert.match((layout.title as Drawn).subtitle.text, /Step 7, right, advantage \+0\.50; prompt ab/)
  assert.throws(() => rolloutRhythm({ ...rollout, gamma: null }), /step 7 was given no credit/)
})

test('worth looking at: a right and a wrong response that were given credit', () => {
  const uncredited = { ...rollout, correct: false, gamma: null, rhythm: null }
  const wrong = { ...rollout, correct: false }
  assert.deepEqual(creditedRollouts([uncredited, wrong, rollout, rollout]), [rollout, wrong])
  assert.deepEqual(creditedRollouts([uncredited]), [])
})

const point = (value: number) => ({ value, low: value - 0.1, high: value + 0.1 })
const recordedRun = (label: string, seed: number, from: string | null, shares: number[]): RecordedRun => ({
  ...{ label, name: `${label}${seed}`, seed, from, differences: {}, state: 'finished', steps: 10, device: 'CPU' },
  ...{ startedAt: '', endedAt: '', seconds: { supervised: 0, grpo: 0, evaluation: 0 }, metrics: {} },
  evaluations: shares.map((share, i) => ({
    ...{
      phase: from ? 'supervised' : i === 0 ? 'supervised' : 'grpo',
      step: 10 * i,
      phaseStep: 10 * i,
      seconds: 60 * i,
    },
    ...{ greedy: point(share + 0.2), sampled: point(share), passAtK: point(0.9), length: 5, truncated: 0 },
  })),
})

test('lines that are means over several steps, with an evaluation on a line of its own, tell the time of all steps', () => {
  const means: MetricsRow[] = [
    { step: 50, phase: 'grpo', phaseStep: 50, reward: 0.5, 'timing_s/step': 1 },
    { step: 100, phase: 'grpo', phaseStep: 100, reward: 0.7, 'timing_s/step': 2 },
    { step: 100, phase: 'grpo', phaseStep: 100, ...evaluated(0.5) },
  ]
  const figure = trainingCurves(means)
  assert.match((figure.layout.title as Drawn).subtitle.text, /^100 steps of GRPO in 2\.5 minutes/)
  assert.deepEqual(named(figure, 'reward')[0]!.y, [0.5, 0.7])
  assert.deepEqual(named(figure, 'avg@4').at(-1)!.y, [50])
})

test('recorded runs: a thin line a seed with its intervals, a thick mean, by minutes or steps', () => {
  const recorded = {
    ...{ samples: 8, items: 512 },
    runs: [
      recordedRun('GRPO', 0, null, [0.2, 0.3, 0.5]),
      recordedRun('GRPO', 1, null, [0.3, 0.5, 0.7]),
      recordedRun('more', 0, 'GRPO0/checkpoints/step-0', [0.2, 0.25]),
    ],
  }
  const figure = learningCurves(recorded)
  const sampled = named(figure, 'GRPO').filter(({ xaxis }) => xaxis === 'x')
  const thick = sampled.find(({ mode }) => mode === 'lines+markers')!
  assert.deepEqual(
    [thick.x, thick.y],
    [
      [0, 1, 2],
      [25, 40, 60],
    ],
  )
  const thin = sampled.filter(({ mode }) => mode === 'lines')
  assert.deepEqual(
    thin.map(({ y }) => y),
    [
      [20, 30, 50],
      [30, 50, 70],
    ],
  )
  assert.ok(thin.every(({ error_y }) => Math.abs(error_y.array[0] - 10) < 1e-9))
  const [single] = named(figure, 'more')
  assert.deepEqual([single!.y, single!.mode], [[20, 25], 'lines+markers'])
  assert.ok(Math.abs(single!.error_y.arrayminus[1] - 10) < 1e-9, 'one seed has its own interval')
  const greedy = named(figure, 'GRPO').find(({ xaxis, mode }) => xaxis === 'x2' && mode === 'lines+markers')!
  assert.deepEqual(greedy.y, [45, 60, 80])
  assert.deepEqual(named(learningCurves(recorded, { x: 'step' }), 'more')[0]!.x, [0, 10])
  assert.match((figure.layout.title as Drawn).subtitle.text, /512 held-out items, 2 seeds/)
  assert.throws(() => learningCurves({ ...recorded, runs: [] }), /no runs to draw/)
})

test('all are well-formed pictures without undefined numbers', async () => {
  const figures = [trainingCurves(metrics), trainingCurves(metrics.slice(0, 1)), rolloutRhythm(rollout)]
  for (const figure of figures) {
    const svg = await staticSvg(figure)
    assert.doesNotMatch(svg, /NaN|undefined|Infinity/)
    assert.ok(svg.length < 150_000)
  }
})
