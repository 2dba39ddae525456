/**
 * The plans in the comments of data/configs: what the command above them prints; and the table of them in environment.md.
 * `node --import tsx tests/training/presetPlans.ts` writes them anew after the plan or a preset changed.
 */
import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { readConfig } from '../../lib/training/readConfig'
import { planLines, shortageText, size, type TrainingPlan, trainingPlan } from '../../lib/training/trainingPlan'

const CONFIGS = join(__dirname, '..', '..', 'data', 'configs')
export const ENVIRONMENT = join(__dirname, '..', '..', 'environment.md')
const COMMAND =
  /^\/\/ {3}npm run -s rhythm -- train data\/configs\/(\S+) .*--plan --gpu-memory (\d+) --prompt-tokens (\d+)$/

/** The presets for one GPU. */
export const presetFiles = () => readdirSync(CONFIGS).filter((name) => /^(qwen3|paper)-.*\.jsonc$/.test(name))

export interface PresetPlan {
  /** The file that the command in the comment names. */
  named: string
  /** Lines of the comment below the command. */
  written: string[]
  plan: TrainingPlan
  /** What the command prints today. */
  printed: string[]
}

/** What the comment of a preset says, and what its command prints. Throws if there is no command. */
export async function presetPlan(file: string): Promise<PresetPlan> {
  const lines = readFileSync(join(CONFIGS, file), 'utf8').split('\n')
  const at = lines.findIndex((line) => COMMAND.test(line))
  if (at < 0) throw new Error(`${file}: no comment has a command that matches ${COMMAND}`)
  const [, named, gibibytes, promptTokens] = COMMAND.exec(lines[at]!)!
  const plan = await trainingPlan(readConfig(join(CONFIGS, file)), {
    gpuBytes: Number(gibibytes) * 2 ** 30,
    promptTokens: Number(promptTokens),
  })
  const shortage = shortageText(plan)
  const end = lines.findIndex((line, i) => i > at && !line.startsWith('// plan: '))
  return {
    named: named!,
    written: lines.slice(at + 1, end).map((line) => line.slice(3)),
    plan,
    printed: [...planLines(plan), ...(shortage ? [`plan: ${shortage}`] : [])],
  }
}

/** The row of environment.md: planned peak, when that is, and the three largest parts. */
export function environmentRow(file: string, { peakBytes, peakMoment, memory }: TrainingPlan): string {
  const largest = Object.entries(memory)
    .sort(([, a], [, b]) => b - a)
    .slice(0, 3)
  const parts = largest.map(([name, bytes]) => `${name} ${size(bytes)}`)
  return `| \`${file.replace('.jsonc', '')}\` | ${size(peakBytes)}, in the ${peakMoment} | ${parts.join(', ')} |`
}

async function writePlans(): Promise<void> {
  for (const file of presetFiles()) {
    const { written, printed, plan } = await presetPlan(file)
    const row = environmentRow(file, plan)
    const before = new RegExp(`^${row.split('`', 2).join('`').replace('|', '\\|')}\`.*$`, 'm')
    writeFileSync(ENVIRONMENT, readFileSync(ENVIRONMENT, 'utf8').replace(before, row))
    const path = join(CONFIGS, file)
    const lines = readFileSync(path, 'utf8').split('\n')
    const at = lines.findIndex((line) => COMMAND.test(line))
    lines.splice(at + 1, written.length, ...printed.map((line) => `// ${line}`))
    writeFileSync(path, lines.join('\n'))
    process.stdout.write(`${file}\n${printed.join('\n')}\n`)
  }
}

if (require.main === module) writePlans()
