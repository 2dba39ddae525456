import type { FreshModel } from '../../lib/training/trainingConfig'

export const SMOLLM2 = 'smollm2-135m-instruct'

/** 4.8M parameters: 256 wide, 6 layers, 8 heads, FFN 683, 64 characters. */
export const SMALL_DECODER: FreshModel = {
  characters: 'abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789 \n',
  end: '\n',
  numHiddenLayers: 6,
  hiddenSize: 256,
  intermediateSize: 683,
  numAttentionHeads: 8,
  numKeyValueHeads: 8,
  headDim: 32,
  maxPositionEmbeddings: 160,
  ropeTheta: 10000,
  rmsNormEps: 1e-5,
  tieWordEmbeddings: false,
  initializerRange: 0.02,
}
