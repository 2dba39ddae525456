/** reasoning-rhythm: attention capture, WAAD and FAI, and rhythm credit for language models. */
export * from './attention/headStatistics'
export * from './attention/patterns'
export * from './credit/advantages'
export * from './credit/coupling'
export * from './credit/creditOptions'
export * from './credit/creditStrategy'
export * from './credit/rhythmOptions'
export * as strategies from './credit/strategies'
export { type StrategyName, strategyNamed } from './credit/strategies'
export * from './credit/topShare'
export * from './credit/traceRhythm'
export * from './credit/traceSchema'
export { Interrupted, interrupt, pacer } from './engine/cooperate'
export { type DeviceReport, deviceReport, type MemoryReport, memory } from './engine/tensorflow'
export {
  applyChatTemplate,
  type ChatMessage,
  type ChatTemplate,
  type ChatTemplateOptions,
  loadChatTemplate,
} from './model/chatTemplate'
export { CheckpointError } from './model/checkpointError'
export type { LinearRopeScaling, Llama3RopeScaling, ModelConfig } from './model/config'
export { type Decoder, type ForwardOptions, forward, logits } from './model/decoder'
export { type GeneratedToken, type GenerateOptions, type Generation, generate } from './model/generate'
export { type ResolveOptions, resolveModel } from './model/hub'
export { LanguageModel } from './model/languageModel'
export {
  type LoadOptions,
  loadModel,
  type RandomModelOptions,
  randomModel,
  type SaveOptions,
  saveModel,
} from './model/loadModel'
export { loadTokenizer } from './model/loadTokenizer'
export type { AttentionBlock, AttentionObserver, ForwardShape } from './model/observer'
export { openWeights } from './model/openWeights'
export { readSafetensors, writeSafetensors } from './model/safetensors'
export type { SamplingOptions } from './model/sampling'
export { StreamDecoder } from './model/streamDecoder'
export type { TextTokenizer } from './model/tokenizer'
export { type TokenStatistics, tokenStatistics } from './model/tokenStatistics'
export type { WeightSource } from './model/weightSource'
export { workspaceRoot } from './model/workspace'
export { show, showTable, showText } from './notebook/display'
export { type ParametersOptions, type ParameterValues, parameters } from './notebook/parameters'
export { type ProgressBar, type ProgressOptions, progress } from './notebook/progress'
export { type ReloadOptions, reload } from './notebook/reload'
export { type StreamedToken, streamText, type TextStream } from './notebook/streamText'
export type { TableOptions, TableSource } from './notebook/table'
export * from './plots'
export { type RandomStream, randomStream } from './random/randomStream'
export * from './rhythm/fromAttention'
export * from './rhythm/headGroups'
export * from './rhythm/headSeries'
export { InvalidArgument } from './rhythm/invalidArgument'
export * from './rhythm/kurtosis'
export * from './rhythm/layerRange'
export * from './rhythm/peaks'
export * from './rhythm/receiverBlock'
export * from './rhythm/receiverHeads'
export * from './rhythm/rhythmBlock'
export * from './rhythm/sentences'
export * from './rhythm/seriesTensors'
export { alignToPredictor, distanceDrop, faiValidity } from './rhythm/tokenSeries'
export { analysisMessages, analysisPrompt, analysisText, splitQuestion } from './tasks/analysisPrompt'
export { type Problem, type ReadProblemsOptions, readProblems } from './tasks/problems'
export * from './traces/generateResponses'
export * from './traces/traceAll'
export * from './traces/traceFiles'
export * from './traces/traceInput'
export * from './traces/traceResponse'
