/** reasoning-rhythm: attention capture, WAAD and FAI, and rhythm credit for language models. */
export * from './analysis'
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
export { type GpuCheckReport, readGpuCheck } from './device/checkReport'
export { type GpuCheckTables, gpuCheckTables } from './device/checkTables'
export { GpuMonitor, type GpuMonitorOptions, type GpuUse } from './device/gpuMonitor'
export { Interrupted, interrupt, pacer } from './engine/cooperate'
export type { Precision } from './engine/precision'
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
export type { ForwardSizes } from './model/forwardSizes'
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
export { modelFingerprint } from './model/modelFingerprint'
export type { AttentionBlock, AttentionObserver, ForwardShape } from './model/observer'
export { openWeights } from './model/openWeights'
export { permuteWeights } from './model/permuteWeights'
export { readSafetensors, writeSafetensors } from './model/safetensors'
export type { SamplingOptions } from './model/sampling'
export { StreamDecoder } from './model/streamDecoder'
export type { TextTokenizer } from './model/tokenizer'
export { type TokenStatistics, tokenStatistics } from './model/tokenStatistics'
export type { WeightSource } from './model/weightSource'
export { workspaceRoot } from './model/workspace'
export { show, showTable, showText } from './notebook/display'
export { gpuCheck } from './notebook/gpuCheck'
export { type ParametersOptions, type ParameterValues, parameters } from './notebook/parameters'
export { type ProgressBar, type ProgressOptions, progress } from './notebook/progress'
export { type ReloadOptions, reload } from './notebook/reload'
export { type StreamedToken, streamText, type TextStream } from './notebook/streamText'
export { type SweepOptions, sweep } from './notebook/sweep'
export type { TableOptions, TableSource } from './notebook/table'
export { type WatchOptions, watchTraining } from './notebook/watchTraining'
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
export type { JobResources, JobStatus, LaunchedJob, Launcher } from './sweeps/launcher'
export { LauncherUnavailable } from './sweeps/launcher'
export { LocalLauncher } from './sweeps/localLauncher'
export { type PlannedCell, type PlannedWarmup, planSweep, type SweepPlan } from './sweeps/planSweep'
export { connectRay, type RayLauncherOptions } from './sweeps/rayLauncher'
export { readSweep } from './sweeps/readSweep'
export { type RunSweepOptions, runSweep, type SweepResult } from './sweeps/runSweep'
export { type AxisValue, parseSweep, readSweepFile, type Sweep, type SweepInput } from './sweeps/sweepFile'
export type { RunView, SweepView } from './sweeps/sweepView'
export { analysisMessages, analysisPrompt, analysisText, splitQuestion } from './tasks/analysisPrompt'
export { type CharacterAlphabet, characterAlphabet } from './tasks/characters'
export { type CompactCountdownOptions, compactAlphabet, compactCountdown } from './tasks/compactCountdown'
export { type CountdownOptions, countdown, verifyCountdown } from './tasks/countdown'
export { type CountdownItem, countdownSizes, parseCountdown, type SplitSizes, splitOf } from './tasks/countdownItems'
export { countdownTrace } from './tasks/countdownTraces'
export * from './tasks/logicGrid'
export * from './tasks/math'
export * from './tasks/mathSets'
export * from './tasks/multipleChoice'
export {
  averageAccuracy,
  bootstrapMean,
  type IntervalOptions,
  meanPassAtK,
  passAtK,
} from './tasks/passAtK'
export { type Problem, type ReadProblemsOptions, readProblems } from './tasks/problems'
export {
  type Demonstration,
  type Task,
  type TaskItems,
  type TaskMessage,
  type TaskPrompt,
  type TaskSplit,
  taskItem,
  taskSplits,
  type Verdict,
} from './tasks/task'
export { type ControlSetOptions, makeControlSet, makeRereadSet, modelOfSet } from './traces/controlSet'
export * from './traces/generateResponses'
export { makeTraceSet, SET_HORIZONS, type TraceSetOptions } from './traces/makeTraceSet'
export * from './traces/openTraceSet'
export * from './traces/perturbationPositions'
export * from './traces/perturbationRollouts'
export {
  type PerturbationSettings,
  type PerturbedResponse,
  type PerturbSetOptions,
  perturbSet,
  readRollouts,
} from './traces/perturbSet'
export { type TaskItem, type TaskSource, taskItems } from './traces/taskItems'
export * from './traces/traceAll'
export * from './traces/traceFiles'
export * from './traces/traceInput'
export * from './traces/traceResponse'
export type {
  AnswerRule,
  TraceSetControl,
  TraceSetManifest,
  TraceSetMethod,
  TraceSetRun,
  TraceSetSampling,
  TraceSetTask,
} from './traces/traceSetManifest'
export { type EvaluationResult, evaluate } from './training/evaluation'
export { newRunFolder } from './training/newRunFolder'
export { ConfigError, parseConfig, readConfig } from './training/readConfig'
export {
  isTiming,
  type MetricsLine,
  type RolloutRecord,
  readMetrics,
  readRollouts as readTrainingRollouts,
  rolloutSteps,
} from './training/runFolder'
export { type AttachedRun, attachRun, type RunStatus, startRun } from './training/startRun'
export { type TracedRun, type TracedRunOptions, tracedRun } from './training/tracedRun'
export { type TrainOptions, type TrainResult, train } from './training/train'
export type { TrainingConfig, TrainingConfigInput } from './training/trainingConfig'
export { planLines, trainingPlan } from './training/trainingPlan'
