import type { Precision } from '../engine/precision'
import { applyChatTemplate, type ChatMessage, type ChatTemplate, type ChatTemplateOptions } from './chatTemplate'
import type { ModelConfig } from './config'
import type { Decoder } from './decoder'
import type { TextTokenizer } from './tokenizer'
import { type DecoderWeights, disposeWeights, weightTensors } from './weights'

/** A decoder with its tokenizer and chat template, as far as the checkpoint has them. */
export class LanguageModel implements Decoder {
  constructor(
    /** What it was loaded as. */
    readonly name: string,
    readonly config: ModelConfig,
    readonly weights: DecoderWeights,
    readonly tokenizer: TextTokenizer | null = null,
    readonly chatTemplate: ChatTemplate | null = null,
    /** Folder or .gguf file that its tokenizer and chat template were read from. */
    readonly location: string | null = null,
  ) {}

  /** Number of weights; those that are shared are counted once. */
  get parameterCount(): number {
    return weightTensors(this.weights).reduce((sum, tensor) => sum + tensor.size, 0)
  }

  /** Number type of its products. */
  get precision(): Precision {
    return this.weights.layers[0]?.products ? 'bf16' : 'float32'
  }

  get isDisposed(): boolean {
    return this.weights.embedding.isDisposed
  }

  /** Ids of a text taken verbatim. Throws if the model came without a tokenizer. */
  encode(text: string): number[] {
    return this.requireTokenizer().encode(text)
  }

  /** Text of ids. Throws if the model came without a tokenizer. */
  decode(ids: ArrayLike<number>): string {
    return this.requireTokenizer().decode(ids)
  }

  /** A conversation as the model was trained to read it, ready for the assistant's turn. Throws if the model has no chat template. */
  chat(messages: readonly ChatMessage[], options: ChatTemplateOptions = {}): string {
    const text = (id: number | null | undefined) => (id == null || !this.tokenizer ? '' : this.tokenizer.token(id))
    return applyChatTemplate(this.chatTemplate, messages, {
      bosToken: text(this.config.bosTokenId),
      eosToken: text(this.config.eosTokenIds[0]),
      ...options,
    })
  }

  /** Frees the weights. The model cannot be used afterwards; `loadModel` reads it again. */
  dispose(): void {
    if (!this.isDisposed) disposeWeights(this.weights)
  }

  private requireTokenizer(): TextTokenizer {
    if (!this.tokenizer) {
      throw new Error(
        `${this.name} came without a tokenizer: give ids instead of text, or put tokenizer.json into its folder`,
      )
    }
    return this.tokenizer
  }
}
