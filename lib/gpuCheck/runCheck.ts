import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import type { CheckDevice, CheckPrecision, CheckSize, GpuCheckReport } from '../device/checkReport'
import { GPU_CHECK_FORMAT } from '../device/checkSchema'
import { gpuNotes } from '../device/gpuNotes'
import { gpuInUse, listGpus } from '../device/nvidiaSmi'
import { peakRates } from '../device/peakRates'
import { pacer } from '../engine/cooperate'
import { usablePrecision } from '../engine/precision'
import { deviceReport } from '../engine/tensorflow'
import { readSafetensors } from '../model/safetensors'
import { workspaceRoot } from '../model/workspace'
import { describeDevice, notesOn } from './checkedDevice'
import { CHECK_PLANS } from './checkShapes'
import { compareQuantities } from './compareQuantities'
import { cudaPackages } from './cudaPackages'
import { type RunPart, runPartInProcess } from './partProcess'

export interface GpuCheckOptions {
  /** Default: `full` on a GPU, `small` on a CPU. */
  size?: CheckSize
  /** Models by the names of `CHECKED_MODELS`. Default: the size's. */
  models?: readonly string[]
  /** A line for each thing that begins or was found. */
  onLine?: (text: string) => void
  signal?: AbortSignal
  /** Does a part elsewhere than in a process of its own. */
  runPart?: RunPart
}

/** Seconds for the whole check, for products and for a comparison at most, and for a model at least. Tests have no say in how busy a machine is. */
const LIMITS = { total: 560, rates: 90, comparison: 120, model: 60 }
const TEST_LIMITS = { total: 36_000, rates: 36_000, comparison: 36_000, model: 0 }

/**
 * Checks the device that TensorFlow computes on: rates of products, agreement with the CPU, speed, utilisation and memory of training. Each part is
 * a process of its own; one that fails is reported, and the others are done. Throws `Interrupted`.
 */
export async function runGpuCheck(options: GpuCheckOptions = {}): Promise<GpuCheckReport> {
  const check = new Check(options)
  try {
    return await check.run()
  } finally {
    check.end()
  }
}

class Check {
  private readonly started = performance.now()
  private readonly folder = mkdtempSync(path.join(tmpdir(), 'rhythm-gpu-check-'))
  private readonly device: CheckDevice
  private readonly report: GpuCheckReport
  /** What a GPU makes of float32 products. */
  private readonly usual: CheckPrecision
  /** Every kind of arithmetic that is checked, with the variables that it takes; the usual one first. */
  private readonly ways: { precision: CheckPrecision; env: Record<string, string> }[]
  private readonly pause: () => Promise<void>
  private readonly line: (text: string) => void
  private readonly limits: typeof LIMITS

  constructor(private readonly options: GpuCheckOptions) {
    const { device: kind, tensorflow, tfjs } = deviceReport()
    const gpus = listGpus()
    const gpu = kind === 'GPU' ? gpuInUse(gpus) : null
    this.device = describeDevice(kind, gpu, gpus)
    const hasTf32 = kind === 'GPU' && (gpu?.computeCapability ?? 8) >= 8 && process.env.NVIDIA_TF32_OVERRIDE !== '0'
    this.usual = hasTf32 ? 'tf32' : 'float32'
    const notes = notesOn(this.device)
    const hasBf16 = usablePrecision('bf16', undefined, (line) => notes.push(line)) === 'bf16'
    this.ways = [
      { precision: this.usual, env: {} },
      ...(hasTf32 ? [{ precision: 'float32' as const, env: FULL_PRECISION }] : []),
      ...(hasBf16 ? [{ precision: 'bf16' as const, env: {} }] : []),
    ]
    this.pause = pacer(options.signal)
    this.line = options.onLine ?? (() => {})
    this.report = {
      format: GPU_CHECK_FORMAT,
      written: new Date().toISOString(),
      size: options.size ?? (kind === 'GPU' ? 'full' : 'small'),
      device: this.device,
      software: { node: process.versions.node, tensorflow, tfjs, cuda: cudaPackages(workspaceRoot()) },
      peak: gpu && peakRates(gpu.name),
      notes: [...notes, ...(gpu ? gpuNotes(gpu) : [])],
      rates: [],
      agreement: [],
      speed: [],
      parts: [],
      seconds: 0,
    }
    this.limits = this.report.size === 'tiny' ? TEST_LIMITS : LIMITS
  }

  async run(): Promise<GpuCheckReport> {
    const { report } = this
    const { models = CHECK_PLANS[report.size].models } = this.options
    this.describe()
    for (const { precision, env } of this.ways) await this.rates(precision, env)
    await this.agreement()
    // What trains fastest comes first, in case time runs out; the usual arithmetic of one model is beside it to compare.
    const fastest = this.ways.at(-1)!.precision === 'bf16' ? 'bf16' : this.usual
    for (const model of models) await this.speed(model, fastest)
    if (fastest !== this.usual && models.length > 0) await this.speed(models[0]!, this.usual)
    report.seconds = this.elapsed()
    return report
  }

  end(): void {
    rmSync(this.folder, { recursive: true, force: true })
  }

  private describe(): void {
    const { device, report } = this
    const memory = `${(device.memoryBytes / 1e9).toFixed(0)} GB`
    if (device.kind === 'CPU') this.line(`no GPU is used: this is a check of the CPU, at size '${report.size}'`)
    this.line(`${device.kind}: ${device.name}, ${memory}${device.driver ? `, driver ${device.driver}` : ''}`)
    const { cuda, tensorflow } = report.software
    const runtime = cuda['cuda-runtime'] ? `, CUDA ${cuda['cuda-runtime']}, cuDNN ${cuda.cudnn ?? 'none'}` : ''
    this.line(`TensorFlow ${tensorflow}${runtime}${device.driverCuda ? `, driver for CUDA ${device.driverCuda}` : ''}`)
    for (const note of report.notes) this.line(note)
  }

  private async rates(precision: CheckPrecision, env: Record<string, string>): Promise<void> {
    await this.part(`matrix products (${precision})`, async (limit) => {
      const { size } = this.report
      const found = await this.do({ part: 'rates', size, precision }, env, Math.min(limit, this.limits.rates))
      this.report.rates.push(...found)
    })
  }

  private async agreement(): Promise<void> {
    const { size } = this.report
    const isGpu = this.device.kind === 'GPU'
    const file = (name: string) => path.join(this.folder, `${name}.safetensors`)
    const quantities = async (name: string, env: Record<string, string>, limit: number) => {
      const precision = name === 'bf16' ? 'bf16' : 'float32'
      const request = { part: 'quantities', size, file: file(name), precision } as const
      const { errors } = await this.do(request, env, Math.min(limit, this.limits.comparison))
      const { tensors } = await readSafetensors(file(name))
      const values = Object.fromEntries(Object.entries(tensors).map(([key, { data }]) => [key, data as Float32Array]))
      return { values, errors }
    }
    let reference: Awaited<ReturnType<typeof quantities>> | null = null
    await this.part('reference on the CPU', async (limit) => {
      reference = await quantities('cpu', isGpu ? NO_GPU : OTHER_KERNELS, limit)
      throwErrors(reference.errors)
    })
    const compare = (precision: CheckPrecision, env: Record<string, string>) =>
      this.part(`agreement with the CPU (${precision})`, async (limit) => {
        if (!reference) throw new Error('there is no reference to compare with')
        const ours = await quantities(precision, env, limit)
        const failed = { ...reference.errors, ...ours.errors }
        const known = (values: Record<string, Float32Array>) =>
          Object.fromEntries(Object.entries(values).filter(([name]) => !(name.split('/')[0]! in failed)))
        const rows = compareQuantities(known(ours.values), known(reference.values), precision)
        this.report.agreement.push(...rows)
        throwErrors(ours.errors)
        const off = rows.filter(({ agrees }) => !agrees)
        this.line(`  ${rows.length - off.length} of ${rows.length} quantities agree`)
        if (off.length > 0)
          throw new Error(
            `off: ${off.map((row) => `${row.section} ${row.quantity} ${row.value.toPrecision(2)} (limit ${row.limit})`).join(', ')}`,
          )
      })
    for (const { precision, env } of this.ways) await compare(precision, env)
  }

  private async speed(model: string, precision: CheckPrecision): Promise<void> {
    await this.part(`speed of ${model} (${precision})`, async (limit) => {
      if (limit < this.limits.model) return `no time left in ${this.limits.total} s`
      const rates = this.report.rates.filter((rate) => rate.precision === precision)
      const measuredRate = rates.length === 0 ? null : Math.max(...rates.map(({ flops }) => flops))
      const { size } = this.report
      const found = await this.do({ part: 'speed', size, precision, model, measuredRate }, {}, limit)
      if ('skipped' in found) return `${model} ${found.skipped}`
      this.report.speed.push(found.speed)
      const { decoding, training, step, memory } = found.speed
      const last = decoding.at(-1)!
      const share = (value: number | null) => (value === null ? 'unknown' : `${(100 * value).toFixed(1)} %`)
      const gigabytes = (bytes: number | null) => (bytes === null ? 'unknown' : `${(bytes / 1e9).toFixed(2)} GB`)
      this.line(
        `  decoding ${last.tokensPerSecond.toFixed(0)} tokens/s at batch ${last.batch}; training ${training.tokensPerSecond.toFixed(0)} tokens/s, ` +
          `MFU ${share(training.utilization)} (of the products measured here ${share(training.shareOfMeasured)})`,
      )
      this.line(
        `  credit ${share(step.creditShare)} of a step of ${step.total.toFixed(2)} s; memory ${gigabytes(memory.measuredBytes)}, planned ${gigabytes(memory.plannedBytes)}`,
      )
      return null
    })
  }

  /** Does one part; what it throws is reported, a text that it returns says why it was left out. `limit`: seconds that are left. */
  private async part(name: string, work: (limit: number) => Promise<unknown>): Promise<void> {
    await this.pause()
    const begun = this.elapsed()
    this.line(`[${begun.toFixed(0)} s] ${name}`)
    const entry = (state: 'done' | 'failed' | 'skipped', message: string | null) =>
      this.report.parts.push({ part: name, state, seconds: this.elapsed() - begun, message })
    try {
      const why = await work(this.limits.total - begun)
      if (typeof why !== 'string') entry('done', null)
      else {
        entry('skipped', why)
        this.line(`  left out: ${why}`)
      }
    } catch (error) {
      // An interrupt ends the check; whatever else was wrong ends this part.
      await this.pause()
      entry('failed', (error as Error).message)
      this.line(`  FAILED: ${(error as Error).message}`)
    }
  }

  private do: RunPartHere = (request, env, limit) =>
    (this.options.runPart ?? runPartInProcess)(request, {
      env: { CUDA_DEVICE_ORDER: process.env.CUDA_DEVICE_ORDER ?? 'PCI_BUS_ID', ...env },
      limit,
      onProgress: (note) => this.line(`  ${note}`),
      signal: this.options.signal,
    })

  private elapsed(): number {
    return (performance.now() - this.started) / 1000
  }
}

type RunPartHere = <Request extends Parameters<RunPart>[0]>(
  request: Request,
  env: Record<string, string>,
  limit: number,
) => ReturnType<typeof runPartInProcess<Request>>

const NO_GPU = { CUDA_VISIBLE_DEVICES: '-1' }
/** NVIDIA's libraries then leave TF32 alone. */
const FULL_PRECISION = { NVIDIA_TF32_OVERRIDE: '0' }
/** On a CPU the reference sums in another order. */
const OTHER_KERNELS = { TF_ENABLE_ONEDNN_OPTS: '0', OMP_NUM_THREADS: '1' }

function throwErrors(errors: Record<string, string>): void {
  const found = Object.entries(errors)
  if (found.length > 0) throw new Error(found.map(([section, message]) => `${section}: ${message}`).join(' | '))
}
