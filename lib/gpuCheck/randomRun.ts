import { tmpdir } from 'node:os'
import path from 'node:path'
import { rhythmOptions } from '../credit/rhythmOptions'
import { strategyNamed } from '../credit/strategies'
import type { ModelConfig } from '../model/config'
import { LanguageModel } from '../model/languageModel'
import type { TextTokenizer } from '../model/tokenizer'
import type { Task } from '../tasks/task'
import { AdamW } from '../training/adamw'
import { initialState } from '../training/checkpoint'
import { Gradients } from '../training/gradients/gradients'
import { LoraGradients } from '../training/gradients/loraGradients'
import { newAdapters } from '../training/loraRun'
import { ItemOrder } from '../training/runStreams'
import { StopRequest } from '../training/stopRequest'
import { productsOf } from '../training/trainedModel'
import type { TrainingRun } from '../training/trainingRun'
import type { CheckedStep } from './checkShapes'
import { randomWeights } from './randomWeights'

/** A run as `train` makes it, of random weights and a task whose verdicts alternate, so that every group has variance. */
export function randomRun(
  name: string,
  shape: ModelConfig,
  config: TrainingRun['config'],
  step: CheckedStep,
): TrainingRun {
  const model = new LanguageModel(name, shape, randomWeights(shape, productsOf(config)), byteTokenizer(shape.vocabSize))
  const adapters = config.lora ? newAdapters(model, config.lora, 0) : null
  const gradients = adapters ? new LoraGradients(adapters) : new Gradients(model.weights)
  gradients.zero()
  const { beta1, beta2, epsilon, weightDecay, decay, state } = config.grpo!.optimizer
  const task = alternatingTask(step)
  return {
    config,
    model,
    adapters,
    gradients,
    optimizer: new AdamW({ beta1, beta2, epsilon, weightDecay, decay, state }),
    task,
    order: new ItemOrder(0, task.items('train', 0).length),
    credit: { strategy: strategyNamed('coupled'), name: 'coupled', hash: null },
    rhythm: rhythmOptions(),
    reference: null,
    state: initialState(config),
    stop: new StopRequest(path.join(tmpdir(), `gpu-check-${process.pid}.stop`)),
  }
}

/** Frees what `randomRun` made. */
export function disposeRun(run: TrainingRun): void {
  run.gradients.dispose()
  run.optimizer.dispose()
  run.adapters?.dispose()
  run.model.dispose()
}

function alternatingTask({ prompts, promptTokens }: CheckedStep): Task<unknown> {
  let verified = 0
  return {
    name: 'alternating',
    items: () => Array.from({ length: 2 * prompts }, (_, i) => String.fromCharCode(33 + i).repeat(promptTokens)),
    prompt: (item) => item as string,
    verify: () => {
      const correct = verified++ % 2 === 0
      return { reward: Number(correct), correct, wellFormed: true, answer: null }
    },
  }
}

/** A character of a prompt is a token; a token of a response is one letter. */
function byteTokenizer(vocabSize: number): TextTokenizer {
  const letter = (id: number) => 97 + (id % 26)
  const text = (ids: ArrayLike<number>) => String.fromCharCode(...Array.from(ids, letter))
  return {
    source: 'gpu-check',
    vocabSize,
    bosTokenId: null,
    eosTokenIds: [],
    padTokenId: null,
    specialTokenIds: new Set(),
    encode: (given) => Array.from(given, (character) => character.charCodeAt(0) % vocabSize),
    decode: text,
    token: (id) => text([id]),
    pieces: (ids) => Array.from(ids, (id) => text([id])),
    idOf: () => undefined,
    bytes: (id) => Uint8Array.of(letter(id)),
  }
}
