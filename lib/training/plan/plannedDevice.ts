import { type BlockSizes, blockSizes, GPU_BLOCK_SIZES } from '../gradients/blockSizes'
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

/** A GPU with so many bytes, which need not be here. */
export const gpuWith = (bytes: number): PlannedDevice => ({
  availableBytes: usableGpuBytes(bytes),
  memoryIsReturned: true,
  sizes: GPU_BLOCK_SIZES,
  atHand: false,
})
