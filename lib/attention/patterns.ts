import { batchMatMul, indexTensor, take } from '../engine/ops'
import { tf } from '../engine/tensorflow'
import type { AttentionBlock, AttentionObserver, ForwardShape } from '../model/observer'
import type { Head } from '../rhythm/headSeries'

export interface PatternOptions {
  /** Named groups of heads; each becomes one map, the plain mean over its heads (Eq. 8). One head is a group of one. */
  groups: Record<string, readonly Head[]>
  /** Longest side of a map in cells; longer sequences are averaged over `tokensPerCell` positions. Default 512. */
  cells?: number
  /** Which sequence of the batch. Default 0. */
  sequence?: number
}

/** Mean attention of a head group as a picture. */
export interface AttentionMap {
  /** Cells on each side. */
  size: number
  /** Positions averaged into one cell, along each side. */
  tokensPerCell: number
  /** `[size, size]`, row = query, column = key: mean attention over the cell's positions. */
  values: Float32Array
}

/** An observer that keeps mean attention maps of head groups, downsampled beyond a stated size: memory does not grow with N². */
export class AttentionPatterns implements AttentionObserver {
  readonly layers: readonly number[]
  private readonly groups: [string, readonly Head[]][]
  private readonly cells: number
  private readonly sequence: number
  private length = 0
  private maps = new Map<string, Float32Array>()

  /** Throws a RangeError on an empty group. */
  constructor(options: PatternOptions) {
    this.groups = Object.entries(options.groups)
    for (const [name, heads] of this.groups) {
      if (heads.length === 0)
        throw new RangeError(`attention patterns: group '${name}' has no heads; give at least one [layer, head]`)
    }
    this.cells = options.cells ?? 512
    if (!(Number.isInteger(this.cells) && this.cells > 0)) {
      throw new RangeError(`attention patterns: cells ${this.cells}; expected a whole number above 0`)
    }
    this.sequence = options.sequence ?? 0
    this.layers = [...new Set(this.groups.flatMap(([, heads]) => heads.map(([layer]) => layer)))]
  }

  begin({ lengths, layers, heads: perLayer }: ForwardShape): void {
    this.length = lengths[this.sequence] ?? 0
    if (this.length === 0)
      throw new RangeError(`attention patterns: no sequence ${this.sequence} in a batch of ${lengths.length}`)
    for (const [name, heads] of this.groups) {
      for (const [layer, head] of heads) {
        if (!(layer >= 0 && layer < layers && head >= 0 && head < perLayer)) {
          throw new RangeError(
            `attention patterns: group '${name}' names head [${layer}, ${head}]; the model has ${layers} layers of ${perLayer} heads`,
          )
        }
      }
    }
    this.maps = new Map(this.groups.map(([name]) => [name, new Float32Array(this.size ** 2)]))
  }

  wants(rowStart: number): boolean {
    return rowStart < this.length
  }

  observe({ layer, rowStart, attention }: AttentionBlock): void {
    const [, heads, rows, keys] = attention.shape
    const real = Math.min(rows, this.length - rowStart)
    const realKeys = Math.min(keys, this.length)
    const own = tf.reshape(tf.slice(attention, [this.sequence, 0, 0, 0], [1, heads, real, realKeys]), [
      heads,
      real,
      realKeys,
    ])
    const firstCell = Math.floor(rowStart / this.tokensPerCell)
    const rowCells = Math.floor((rowStart + real - 1) / this.tokensPerCell) - firstCell + 1
    for (const [name, members] of this.groups) {
      const inLayer = members.filter(([l]) => l === layer).map(([, head]) => head)
      if (inLayer.length === 0) continue
      const sum = tf.sum(take(own, indexTensor(inLayer)), 0)
      const picture = this.tokensPerCell === 1 ? sum : this.downsample(sum, rowStart, firstCell, rowCells)
      const [, width] = picture.shape as [number, number]
      const values = picture.dataSync()
      const map = this.maps.get(name)!
      const scale = 1 / members.length
      for (let i = 0; i < values.length; i++) {
        map[(firstCell + Math.floor(i / width)) * this.size + (i % width)]! += values[i]! * scale
      }
    }
  }

  /** The maps by group name, after the forward pass. */
  results(): Record<string, AttentionMap> {
    const { size, tokensPerCell } = this
    return Object.fromEntries(
      [...this.maps].map(([name, values]) => [name, { size, tokensPerCell, values: values.slice() }]),
    )
  }

  private get tokensPerCell(): number {
    return Math.ceil(this.length / this.cells)
  }

  private get size(): number {
    return Math.ceil(this.length / this.tokensPerCell)
  }

  /** `[rows, keys]` to `[rowCells, keyCells]`, each position weighted by one over its cell's real positions. */
  private downsample(sum: tf.Tensor, rowStart: number, firstCell: number, rowCells: number): tf.Tensor {
    const [rows, keys] = sum.shape as [number, number]
    const per = this.tokensPerCell
    const share = (cell: number) => 1 / (Math.min(this.length, (cell + 1) * per) - cell * per)
    const keyCells = Math.ceil(keys / per)
    const byRow = new Float32Array(rowCells * rows)
    for (let row = 0; row < rows; row++) {
      const cell = Math.floor((rowStart + row) / per)
      byRow[(cell - firstCell) * rows + row] = share(cell)
    }
    const byKey = new Float32Array(keys * keyCells)
    for (let key = 0; key < keys; key++) {
      const cell = Math.floor(key / per)
      byKey[key * keyCells + cell] = share(cell)
    }
    return batchMatMul(batchMatMul(tf.tensor2d(byRow, [rowCells, rows]), sum), tf.tensor2d(byKey, [keys, keyCells]))
  }
}

/** An observer that keeps mean attention maps of head groups; see `AttentionPatterns`. */
export const patterns = (options: PatternOptions): AttentionPatterns => new AttentionPatterns(options)
