/** Rotary-embedding scaling of Llama 3.1 and later, as in their config.json (`rope_type: llama3`). */
export interface Llama3RopeScaling {
  ropeType: 'llama3'
  factor: number
  lowFreqFactor: number
  highFreqFactor: number
  originalMaxPositionEmbeddings: number
}

/** All positions divided by `factor` (`rope_type: linear`). */
export interface LinearRopeScaling {
  ropeType: 'linear'
  factor: number
}

/** Shape of a decoder. Names are those of a Hugging Face config.json, in camel case. */
export interface ModelConfig {
  modelType: 'llama' | 'qwen2' | 'qwen3'
  vocabSize: number
  hiddenSize: number
  intermediateSize: number
  numHiddenLayers: number
  numAttentionHeads: number
  numKeyValueHeads: number
  /** Width of one attention head. */
  headDim: number
  maxPositionEmbeddings: number
  rmsNormEps: number
  ropeTheta: number
  ropeScaling: Llama3RopeScaling | LinearRopeScaling | null
  /** Biases on the query, key and value projections (Qwen2). */
  qkvBias: boolean
  /** Bias on the output projection of attention (Llama with `attention_bias`). */
  outputBias: boolean
  /** RMSNorm on each query and key head (Qwen3). */
  queryKeyNorm: boolean
  tieWordEmbeddings: boolean
  bosTokenId: number | null
  /** Any of these ends a response. */
  eosTokenIds: number[]
  padTokenId: number | null
}
