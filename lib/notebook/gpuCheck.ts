import path from 'node:path'
import { type GpuCheckReport, readGpuCheck } from '../device/checkReport'
import { gpuCheckTables } from '../device/checkTables'
import { workspaceRoot } from '../model/workspace'
import { gpuCheckFigure } from '../plots/gpuCheckFigure'
import { show, showTable } from './display'

const GIGABYTES = { 'memory GB': 2, 'planned GB': 2 }

/**
 * Shows what `npm run gpu-check` found: the device, rates, agreement with the CPU, speed and memory, and a figure of them. Returns the report.
 * @param file default: the one that the command writes, data/reports/gpu-check.json
 */
export async function gpuCheck(
  file = path.join(workspaceRoot(), 'data', 'reports', 'gpu-check.json'),
): Promise<GpuCheckReport> {
  const report = readGpuCheck(file)
  const tables = gpuCheckTables(report)
  showTable(tables.device, { title: 'What was checked' })
  if (tables.rates.length > 0) showTable(tables.rates, { title: 'Products of matrices', format: { '% of peak': 1 } })
  if (tables.agreement.length > 0)
    showTable(tables.agreement, {
      title: 'Agreement with the CPU',
      limit: 100,
      format: { value: (value: number) => value.toPrecision(2) },
    })
  if (report.speed.length > 0) {
    const shares = { 'MFU %': 1, '% of products here': 1 }
    showTable(tables.decoding, { title: 'Decoding', format: { ...shares, 'tokens/s': 0 } })
    showTable(tables.training, {
      title: 'A step of GRPO with rhythm credit',
      format: { ...shares, ...GIGABYTES, 'tokens/s': 0, 'step s': 2, 'credit %': 1, 'GPU busy %': 0 },
    })
  }
  const failed = tables.parts.filter(({ state }) => state !== 'done')
  if (failed.length > 0) showTable(failed, { title: 'Failed or left out', format: { seconds: 0 } })
  await show(gpuCheckFigure(report))
  return report
}
