import type { GpuCheckReport } from './checkReport'

/** The report of `gpu-check` as rows, ready to be shown. Numbers are in the units that the names of columns give. */
export interface GpuCheckTables {
  /** What was checked. */
  device: { what: string; value: string }[]
  /** Products of matrices. */
  rates: { matrices: string; precision: string; 'TFLOP/s': number; '% of peak': number | null }[]
  agreement: {
    precision: string
    part: string
    quantity: string
    measure: string
    value: number
    limit: string
    agrees: boolean
  }[]
  decoding: {
    model: string
    precision: string
    batch: number
    'tokens/s': number
    'ms a token': number
    'MFU %': number | null
    '% of products here': number | null
  }[]
  training: {
    model: string
    precision: string
    settings: string
    'tokens/s': number
    'MFU %': number | null
    '% of products here': number | null
    'step s': number
    'credit %': number
    'memory GB': number | null
    'planned GB': number
    'GPU busy %': number | null
  }[]
  parts: { part: string; state: string; seconds: number; message: string }[]
}

const percent = (share: number | null) => (share === null ? null : 100 * share)
const gigabytes = (bytes: number | null) => (bytes === null ? null : bytes / 1e9)

const MEASURES: Record<GpuCheckReport['agreement'][number]['measure'], string> = {
  largest: 'largest difference / largest value',
  length: 'length of difference / length',
  jaccard: 'Jaccard index',
  equal: 'share of equal values',
}

export function gpuCheckTables(report: GpuCheckReport): GpuCheckTables {
  const { device, software, peak } = report
  const known: [string, string | null][] = [
    ['computes on', `${device.kind}: ${device.name}, ${(device.memoryBytes / 1e9).toFixed(0)} GB`],
    ['driver', device.driver && `${device.driver}, for CUDA up to ${device.driverCuda ?? 'unknown'}`],
    ['compute capability', device.computeCapability?.toFixed(1) ?? null],
    ['TensorFlow', `${software.tensorflow}, TensorFlow.js ${software.tfjs}, Node ${software.node}`],
    [
      'CUDA packages',
      Object.entries(software.cuda)
        .map((entry) => entry.join(' '))
        .join(', ') || null,
    ],
    ['peak rates', peak ? rateText(peak) : 'not known for this device'],
    ['checked', `${report.written}, size ${report.size}, ${report.seconds.toFixed(0)} s`],
    ...report.notes.map((note): [string, string] => ['note', note]),
  ]
  return {
    device: known.flatMap(([what, value]) => (value === null ? [] : [{ what, value }])),
    rates: report.rates.map(({ size, precision, flops }) => ({
      matrices: `${size} × ${size}`,
      precision,
      'TFLOP/s': flops / 1e12,
      '% of peak': peak?.[precision] ? (100 * flops) / peak[precision] : null,
    })),
    agreement: report.agreement.map(({ precision, section, quantity, measure, value, limit, agrees }) => ({
      precision,
      part: section,
      quantity,
      measure: MEASURES[measure],
      value,
      limit: `${measure === 'jaccard' || measure === 'equal' ? '≥' : '≤'} ${limit}`,
      agrees,
    })),
    decoding: report.speed.flatMap(({ model, precision, decoding }) =>
      decoding.map(({ batch, tokensPerSecond, utilization, shareOfMeasured }) => ({
        model,
        precision,
        batch,
        'tokens/s': tokensPerSecond,
        'ms a token': (1000 * batch) / tokensPerSecond,
        'MFU %': percent(utilization),
        '% of products here': percent(shareOfMeasured),
      })),
    ),
    training: report.speed.map(({ model, precision, settings, training, step, memory }) => ({
      model,
      precision,
      settings: settings.join(', '),
      'tokens/s': training.tokensPerSecond,
      'MFU %': percent(training.utilization),
      '% of products here': percent(training.shareOfMeasured),
      'step s': step.total,
      'credit %': 100 * step.creditShare,
      'memory GB': gigabytes(memory.measuredBytes),
      'planned GB': memory.plannedBytes / 1e9,
      'GPU busy %': percent(memory.gpuUtilization),
    })),
    parts: report.parts.map(({ part, state, seconds, message }) => ({ part, state, seconds, message: message ?? '' })),
  }
}

function rateText({ of, float32, tf32, bf16 }: NonNullable<GpuCheckReport['peak']>): string {
  const rate = (name: string, flops: number | null) => (flops === null ? [] : [`${name} ${flops / 1e12}`])
  return `${[...rate('float32', float32), ...rate('TF32', tf32), ...rate('bf16', bf16)].join(', ')} TFLOP/s (data sheet of ${of}, dense)`
}
