import { ConfigError } from '../training/readConfig'
import { type Axis, labelOf, type Sweep } from './sweepFile'

/** One run of the grid, before its configuration is made. */
export interface GridCell {
  /** Axis name → label of its value. */
  labels: Record<string, string>
  /** What is compared: the labels without seeds. */
  arm: string
  seed: number
  /** Seed of the warm-up that it begins at; null where none is shared. */
  warmup: number | null
  /** Changes to the base, by key. */
  set: Record<string, unknown>
}

/**
 * The runs of a sweep: every combination of the axes' values for each seed (and warm-up), without those that an exclusion names. The
 * seed changes slowest, so that an unfinished sweep has whole seeds, which can be compared in pairs.
 */
export function expandGrid(sweep: Pick<Sweep, 'axes' | 'seeds' | 'warmup' | 'exclude'>): GridCell[] {
  checkExclusions(sweep)
  const combinations = sweep.axes.reduce<Pick<GridCell, 'labels' | 'set'>[]>(
    (found, axis) =>
      found.flatMap(({ labels, set }) =>
        axis.values.map((value) => ({
          labels: { ...labels, [axis.name]: value.label },
          set: { ...set, ...value.set },
        })),
      ),
    [{ labels: {}, set: {} }],
  )
  const starts = sweep.seeds.flatMap((seed): Pick<GridCell, 'seed' | 'warmup'>[] => {
    if (!sweep.warmup) return [{ seed, warmup: null }]
    const { seeds, pairing } = sweep.warmup
    const chosen = pairing === 'cross' ? seeds : [seeds[seed % seeds.length]!]
    return chosen.map((warmup) => ({ seed, warmup }))
  })
  const cells = starts.flatMap((start) =>
    combinations.map((combination) => ({ ...combination, ...start, arm: armName(sweep.axes, combination.labels) })),
  )
  const kept = cells.filter((cell) => !sweep.exclude.some((exclusion) => matches(cell, exclusion, sweep.axes)))
  if (kept.length === 0) throw new ConfigError('exclude: no cell is left')
  return kept
}

/** The label alone where there is one axis; with several, each with its axis. */
export function armName(axes: readonly Axis[], labels: Record<string, string>): string {
  if (axes.length === 0) return 'base'
  if (axes.length === 1) return labels[axes[0]!.name]!
  return axes.map(({ name }) => `${name} ${labels[name]}`).join(', ')
}

function matches(cell: GridCell, exclusion: Record<string, unknown>, axes: readonly Axis[]): boolean {
  return Object.entries(exclusion).every(([key, wanted]) => {
    const labels = labelsOf(wanted)
    if (key === 'seed') return labels.includes(String(cell.seed))
    if (key === 'warmup') return labels.includes(String(cell.warmup))
    return labels.includes(cell.labels[axisNamed(axes, key)!.name]!)
  })
}

/** A condition's labels. A list is several of them; a value that is a list itself is named by its label. */
const labelsOf = (wanted: unknown): string[] => (Array.isArray(wanted) ? wanted.map(labelOf) : [labelOf(wanted)])

const axisNamed = (axes: readonly Axis[], key: string) => axes.find((axis) => axis.key === key || axis.name === key)

function checkExclusions({ axes, seeds, warmup, exclude }: Pick<Sweep, 'axes' | 'seeds' | 'warmup' | 'exclude'>): void {
  exclude.forEach((exclusion, i) => {
    if (Object.keys(exclusion).length === 0)
      throw new ConfigError(`exclude.${i}: is empty and would leave out all cells`)
    for (const [key, wanted] of Object.entries(exclusion)) {
      // A seed that this sweep does not have may be there after the next change of its seeds.
      if (key === 'seed' && seeds.length > 0) continue
      if (key === 'warmup' && warmup) continue
      const axis = axisNamed(axes, key)
      const known = [...axes.map(({ name }) => name), 'seed', ...(warmup ? ['warmup'] : [])]
      if (!axis) throw new ConfigError(`exclude.${i}.${key}: is no axis; expected one of ${known.join(', ')}`)
      const labels = axis.values.map(({ label }) => label)
      const odd = labelsOf(wanted).find((label) => !labels.includes(label))
      if (odd !== undefined)
        throw new ConfigError(
          `exclude.${i}.${key}: ${JSON.stringify(odd)} is no value of it; expected one of ${labels.join(', ')}`,
        )
    }
  })
}
