import { existsSync } from 'node:fs'
import { readFile, stat } from 'node:fs/promises'
import path from 'node:path'
import { Template } from '@huggingface/jinja'
import { type GgufMetadata, readGgufMetadata } from './gguf'

/** One turn of a conversation. Templates may read further keys (`tool_calls`, `reasoning_content`, …). */
export interface ChatMessage {
  role: string
  content: string
  [key: string]: unknown
}

/** A template by itself, or several by name (`default`, `tool_use`, …). */
export type ChatTemplate = string | readonly { name: string; template: string }[]

export interface ChatTemplateOptions {
  /** End with the opening of the assistant's turn, for the model to go on. Default true. */
  addGenerationPrompt?: boolean
  /** Text of the beginning- and end-of-text tokens, for templates that write them. */
  bosToken?: string
  eosToken?: string
  /** Functions that the model may call, as JSON schemas. */
  tools?: readonly object[]
  /** Further variables that the template reads, e.g. `{ enable_thinking: false }`. */
  variables?: Readonly<Record<string, unknown>>
}

/** Templates by their text: parsing takes longer than rendering. */
const parsed = new Map<string, Template>()

/**
 * The text of a conversation as the model was trained to read it. `template` is a Jinja chat template, as
 * `loadChatTemplate` finds it. Throws if there is none, if it cannot be parsed, or if it refuses the messages (`raise_exception`).
 */
export function applyChatTemplate(
  template: ChatTemplate | null | undefined,
  messages: readonly ChatMessage[],
  { addGenerationPrompt = true, bosToken = '', eosToken = '', tools, variables }: ChatTemplateOptions = {},
): string {
  messages.forEach((message, i) => {
    if (typeof message?.role !== 'string')
      throw new Error(
        `message ${i} has no role; expected {"role": "user", "content": "…"}, got ${JSON.stringify(message)}`,
      )
  })
  const source = chooseTemplate(template, tools !== undefined)
  let compiled = parsed.get(source)
  try {
    if (!compiled) {
      compiled = new Template(source)
      parsed.set(source, compiled)
    }
    return compiled.render({
      ...variables,
      messages,
      add_generation_prompt: addGenerationPrompt,
      bos_token: bosToken,
      eos_token: eosToken,
      ...(tools && { tools }),
    })
  } catch (error) {
    const what = compiled
      ? `refused these messages (${messages.map(({ role }) => role).join(', ')})`
      : 'cannot be parsed'
    throw new Error(`the chat template ${what}: ${error instanceof Error ? error.message : error}`, { cause: error })
  }
}

function chooseTemplate(template: ChatTemplate | null | undefined, withTools: boolean): string {
  if (typeof template === 'string' && template !== '') return template
  if (!template || template.length === 0)
    throw new Error(
      'this model has no chat template: give it plain text instead (a prompt, taken verbatim), ' +
        'or put the template of a model trained on the same format beside it as chat_template.jinja',
    )
  const named = template as readonly { name: string; template: string }[]
  const byName = (name: string) => named.find((item) => item.name === name)?.template
  const chosen = (withTools ? byName('tool_use') : undefined) ?? byName('default')
  if (chosen === undefined)
    throw new Error(
      `none of this model's chat templates is named default, only ${named.map(({ name }) => name).join(', ')}: ` +
        'choose one and pass it by itself',
    )
  return chosen
}

/**
 * The chat template that comes with a model, or null: chat_template.jinja, else `chat_template` in tokenizer_config.json of
 * a folder; `tokenizer.chat_template` of a .gguf file.
 */
export async function loadChatTemplate(modelPath: string): Promise<ChatTemplate | null> {
  if (!(await stat(modelPath)).isDirectory()) return chatTemplateFromGguf(await readGgufMetadata(modelPath))
  const jinja = path.join(modelPath, 'chat_template.jinja')
  if (existsSync(jinja)) return readFile(jinja, 'utf8')
  const config = path.join(modelPath, 'tokenizer_config.json')
  if (!existsSync(config)) return null
  let value: unknown
  try {
    value = JSON.parse(await readFile(config, 'utf8'))?.chat_template
  } catch (error) {
    throw new Error(`${config} is not readable as JSON: ${error instanceof Error ? error.message : error}`, {
      cause: error,
    })
  }
  if (value === undefined || value === null) return null
  if (!isChatTemplate(value)) throw new Error(`${config}: chat_template is neither a text nor a list of named texts`)
  return value
}

/** The chat template in a GGUF's metadata, or null. */
export function chatTemplateFromGguf(metadata: GgufMetadata): ChatTemplate | null {
  const value = metadata['tokenizer.chat_template']
  return typeof value === 'string' ? value : null
}

function isChatTemplate(value: unknown): value is ChatTemplate {
  if (typeof value === 'string') return true
  return (
    Array.isArray(value) && value.every((item) => typeof item?.name === 'string' && typeof item?.template === 'string')
  )
}
