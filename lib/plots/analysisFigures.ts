import type { AnalysisTables } from '../analysis/analyzeTraces'
import type { PerturbationProblem } from '../analysis/perturbation'
import type { PerturbationRow } from '../analysis/perturbationTable'
import { anchorAverages } from './anchorAverages'
import { entropyBeat } from './entropyBeat'
import type { Figure } from './figure'
import { laggedCorrelations } from './laggedCorrelations'
import { layerThirdLifts } from './layerThirdLifts'
import { liftControls } from './liftControls'
import { perturbationScatter } from './perturbationScatter'
import { prominenceLifts } from './prominenceLifts'
import { robustnessLifts } from './robustnessLifts'

/** Every figure that the tables allow, by name; tables that were left out have none. */
export function analysisFigures(
  tables: Partial<AnalysisTables>,
  perturbation: { table: readonly PerturbationRow[]; perProblem: readonly PerturbationProblem[] } | null = null,
): Record<string, Figure> {
  const figures: Record<string, Figure> = {}
  const draw = <Row>(name: string, rows: readonly Row[] | undefined, build: (rows: readonly Row[]) => Figure) => {
    if (rows && rows.length > 0) figures[name] = build(rows)
  }
  draw('lifts', tables.controls, liftControls)
  draw('prominence', tables.prominenceSweep, prominenceLifts)
  draw('beat', tables.entropyAroundPeaks, entropyBeat)
  draw('anchors', tables.rhythmAroundAnchors, anchorAverages)
  draw('correlations', tables.crossCorrelation, laggedCorrelations)
  draw('layers', tables.layerThirds, layerThirdLifts)
  draw('robustness', tables.robustness, robustnessLifts)
  draw('perturbation', perturbation?.table, (rows) => perturbationScatter(rows, perturbation!.perProblem))
  return figures
}
