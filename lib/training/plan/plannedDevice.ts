import { type BlockSizes, blockSizes } from '../gradients/blockSizes'
import { deviceBytes, memoryIsReturned, usableGpuBytes } from './memoryShortage'

/** What a run is planned for. */
export interface PlannedDevice {
  /** Bytes for a run at most, beside TensorFlow itself; null where they are not known. */
  availableBytes: number | null
  /** Whether freed memory serves any later use, as on a GPU. */
  memoryIsReturned: boolean
  sizes: BlockSizes
  /** Whether its speed can be measured here. */
  atHand: boolean
}

export const deviceAtHand = (): PlannedDevice => ({
  availableBytes: deviceBytes(),
  memoryIsReturned: memoryIsReturned(),
  sizes: blockSizes(),
  atHand: true,
})

/** As `blockSizes` on a GPU. */
const GPU_SIZES: BlockSizes = {
  groupTokens: 8192,
  attentionNumbers: 2 ** 26,
  queryRows: 1024,
  logitNumbers: 2 ** 26,
  keptLogitNumbers: 2 ** 28,
}

/** A GPU with so many bytes, which need not be here. */
export const gpuWith = (bytes: number): PlannedDevice => ({
  availableBytes: usableGpuBytes(bytes),
  memoryIsReturned: true,
  sizes: blockSizes(GPU_SIZES),
  atHand: false,
})
