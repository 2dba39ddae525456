/**
 * What the plan of a training run says beside what the run takes: memory beyond a process with TensorFlow loaded, and seconds of each phase.
 * `node --import tsx tests/bench/plan.ts [NAME...]`. Exit code 1 where memory is off by more than 15 %, or a time by more than a factor of 1.5.
 */
import { spawnSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { environment } from '../../kernels/environment.mjs'
import type { MetricsLine } from '../../lib/training/runFolder'
import { size, type TrainingPlan } from '../../lib/training/trainingPlan'
import { planCases } from './planCases'

const MOST_MEMORY = 0.15
const MOST_TIME = 1.5
const PHASES: [keyof TrainingPlan['seconds'], string][] = [
  ['supervised', 'timing_s/step'],
  ['rollout', 'timing_s/gen'],
  ['oldLogprob', 'timing_s/old_log_prob'],
  ['update', 'timing_s/update_actor'],
  ['evaluation', 'timing_s/evaluation'],
]

const folder = mkdtempSync(join(tmpdir(), 'rhythm-plan-'))
process.on('exit', () => rmSync(folder, { recursive: true, force: true }))

function inProcess<T>(...args: string[]): T {
  const { stdout, stderr, status } = spawnSync(process.execPath, [join(__dirname, 'planProcess.cjs'), ...args], {
    encoding: 'utf8',
    env: environment(),
    maxBuffer: 2 ** 26,
  })
  if (status !== 0) throw new Error(`planProcess.cjs ${args.join(' ')} failed (${status}):\n${stderr.slice(-2000)}`)
  return JSON.parse(stdout.trim().split('\n').at(-1)!) as T
}

const print = (text: string) => process.stdout.write(`${text}\n`)
const median = (values: number[]) => [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)]!

/** Seconds of a phase, in the steps after its first, which pays for what is done once. */
function measured(metrics: readonly MetricsLine[], phase: string, name: string): number | null {
  const kind = phase === 'supervised' ? 'supervised' : 'grpo'
  const all = metrics.filter((line) => phase === 'evaluation' || (line.phase === kind && line.phaseStep > 0))
  // The plan takes it that every group has variance; others drop out before the pass.
  const learned = (line: MetricsLine) =>
    phase === 'oldLogprob' || phase === 'update' ? 1 - Number(line.frac_reward_zero_std) : 1
  const values = all.flatMap((line) => (typeof line[name] === 'number' ? [line[name] / learned(line)] : []))
  const later = values.length > 1 ? values.slice(1) : values
  return later.length === 0 ? null : median(later)
}

function main(): void {
  const cases = planCases(folder)
  const names = process.argv.length > 2 ? process.argv.slice(2) : Object.keys(cases)
  const unknown = names.find((name) => !Object.hasOwn(cases, name))
  if (unknown) throw new Error(`no case '${unknown}'; expected ${Object.keys(cases).join(', ')}`)
  const baseline = inProcess<{ bytes: number }>('baseline').bytes
  print(`a process with TensorFlow loaded: ${size(baseline)}; planned / measured`)
  for (const name of names) {
    const [file, run] = [join(folder, `${name}.json`), join(folder, name)]
    writeFileSync(file, JSON.stringify(cases[name]!()))
    mkdirSync(run)
    const plan = inProcess<TrainingPlan>('plan', file)
    const { metrics, bytes } = inProcess<{ metrics: MetricsLine[]; bytes: number }>('train', file, run)
    rmSync(run, { recursive: true })
    const ratio = plan.peakBytes / (bytes - baseline)
    let off = Math.abs(ratio - 1) > MOST_MEMORY
    const times = PHASES.flatMap(([phase, timing]) => {
      const planned = plan.seconds[phase]
      const taken = measured(metrics, phase, timing)
      if (planned === undefined || taken === null) return []
      off ||= Math.max(planned / taken, taken / planned) > MOST_TIME
      return [`${phase} ${planned.toFixed(3)} / ${taken.toFixed(3)} s = ${(planned / taken).toFixed(2)}`]
    })
    print(
      `${off ? 'OFF ' : ''}${name}: memory ${size(plan.peakBytes)} / ${size(bytes - baseline)} = ${ratio.toFixed(2)}; ${times.join(', ')}`,
    )
    if (off) process.exitCode = 1
  }
}

main()
