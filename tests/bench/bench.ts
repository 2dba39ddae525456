/**
 * `npm run bench`: how long the library takes, and how much memory, each piece of work in fresh processes; in float32, as PyTorch's side
 * always is, and with bfloat16 products where a name ends in -bf16.
 * `--peer PYTHON MODEL` runs the same work in PyTorch in turn (ours, theirs, ours, theirs, …) and prints median ratios;
 * MODEL is a folder made with `npm run -s rhythm -- export --output MODEL`.
 */
import { spawnSync } from 'node:child_process'
import { cpus } from 'node:os'
import { join } from 'node:path'
import { Command } from 'commander'
import { type GrpoPhases, grpoReport } from './grpoReport'
import { NARROW, WORK } from './work'

interface Measurement {
  seconds: number
  /** Processor time of all threads, which a busy machine changes less; not of a load. */
  cpuSeconds?: number
  peakMegabytes: number
  phases?: GrpoPhases
  notes?: string[]
}

const program = new Command('bench')
  .option('--peer <python...>', 'PYTHON MODEL: a Python with torch and transformers, and a model folder')
  .option('--pairs <n>', 'measurements of each piece of work', (text) => Math.max(1, Number(text)), 0)
  .option(
    '--only <names...>',
    `only the work whose name contains one of these; names: ${WORK.map(({ name }) => name).join(', ')}`,
  )
  .parse()
const options = program.opts<{ peer?: string[]; pairs: number; only?: string[] }>()
if (options.peer && options.peer.length !== 2) program.error('--peer takes two values: PYTHON MODEL')
const runs = options.pairs || (options.peer ? 5 : 3)

function run(command: string, args: string[]): Measurement {
  const { stdout, stderr, status } = spawnSync(command, args, { encoding: 'utf8' })
  const line = stdout.trim().split('\n').at(-1)
  if (status !== 0 || !line) throw new Error(`${command} ${args.join(' ')} failed (${status}):\n${stderr.slice(-2000)}`)
  return JSON.parse(line) as Measurement
}
const ours = (name: string) => run(process.execPath, ['--import', 'tsx', join(__dirname, 'workloads.ts'), name])
const theirs = (name: string) =>
  run(options.peer![0]!, [join(__dirname, 'peer.py'), options.peer![1]!, name.replace(NARROW, '')])
const median = (values: number[]) => [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)]!
const print = (text: string) => process.stdout.write(`${text}\n`)

print(`${cpus()[0]?.model ?? 'unknown processor'}, ${cpus().length} cores, Node ${process.versions.node}`)
print(
  `median of ${runs} fresh processes${options.peer ? '; ratio = ours / PyTorch, pair by pair: below 1 is faster or smaller' : ''}\n`,
)
const plain = new Map<string, number>()
for (const { name, title, tokens, peer = true } of WORK) {
  if (options.only && !options.only.some((text) => name.includes(text))) continue
  const withPeer = options.peer !== undefined && peer
  const pairs = Array.from({ length: runs }, () => ({ own: ours(name), peer: withPeer ? theirs(name) : null }))
  const seconds = median(pairs.map(({ own }) => own.seconds))
  const parts = [`${seconds.toFixed(2)} s`]
  if (tokens) parts.push(`${(tokens / seconds).toFixed(1)} tokens/s`)
  parts.push(`peak ${Math.round(median(pairs.map(({ own }) => own.peakMegabytes)))} MB`)
  if (name.startsWith('forward-')) plain.set(name.slice(8), seconds)
  const base = name.startsWith('statistics-') ? plain.get(name.slice(11)) : undefined
  if (base) parts.push(`${((seconds / base - 1) * 100).toFixed(1)} % over the plain pass`)
  if (withPeer) {
    const ratio = (what: 'seconds' | 'cpuSeconds' | 'peakMegabytes') => {
      const sorted = pairs.map(({ own, peer }) => own[what]! / peer![what]!).sort((a, b) => a - b)
      return `${median(sorted).toFixed(2)} [${sorted[0]!.toFixed(2)}, ${sorted.at(-1)!.toFixed(2)}]`
    }
    const peerSeconds = median(pairs.map(({ peer }) => peer!.seconds)).toFixed(2)
    const peerPeak = Math.round(median(pairs.map(({ peer }) => peer!.peakMegabytes)))
    parts.push(
      `PyTorch ${peerSeconds} s, ${peerPeak} MB`,
      `ratio ${ratio('seconds')} time${pairs[0]!.own.cpuSeconds === undefined ? '' : `, ${ratio('cpuSeconds')} processor time`}, ${ratio('peakMegabytes')} memory`,
    )
  }
  print(`${title}: ${parts.join(', ')}`)
  for (const note of [...pairs].sort((a, b) => a.own.seconds - b.own.seconds)[Math.floor(runs / 2)]!.own.notes ?? [])
    print(`  ${note}`)
  const phases = pairs.flatMap(({ own }) => own.phases ?? [])
  if (phases.length > 0) for (const line of grpoReport(phases)) print(`  ${line}`)
}
