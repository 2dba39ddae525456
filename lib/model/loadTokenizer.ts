import { stat } from 'node:fs/promises'
import path from 'node:path'
import { CheckpointError } from './checkpointError'
import { readGgufMetadata } from './gguf'
import { tokenizerFromGguf } from './ggufTokenizer'
import { tokenizerFromFolder } from './huggingFaceTokenizer'
import { createTokenizer, type TextTokenizer } from './tokenizer'

/**
 * The tokenizer that comes with a model: a Hugging Face folder (tokenizer.json, tokenizer_config.json,
 * special_tokens_map.json) or a .gguf file. Throws, naming what it found, on anything but byte-level BPE.
 */
export async function loadTokenizer(modelPath: string): Promise<TextTokenizer> {
  const isFolder = (await stat(modelPath)).isDirectory()
  if (!isFolder && path.extname(modelPath) !== '.gguf')
    throw new CheckpointError(`no tokenizer in ${modelPath}: expected a folder with tokenizer.json, or a .gguf file`)
  return isFolder
    ? createTokenizer(await tokenizerFromFolder(modelPath))
    : createTokenizer(tokenizerFromGguf(await readGgufMetadata(modelPath), modelPath))
}
