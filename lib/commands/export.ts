import { type Command, Option } from 'commander'
import { saveModel } from '../model/loadModel'
import { load, MODEL_HELP, print } from './shared'

export function register(program: Command): void {
  program
    .command('export')
    .description(
      'Save a model as a folder in the Hugging Face layout, which transformers opens. LoRA adapters (a checkpoint of a run with lora) are merged into their base.',
    )
    .option('--model <model>', MODEL_HELP, 'smollm2-135m-instruct')
    .requiredOption('--output <folder>', 'where to save it')
    .addOption(
      new Option('--dtype <type>', 'number type of the weights')
        .choices(['float32', 'float16', 'bfloat16'])
        .default('float32'),
    )
    .option('--replace', 'replace a model folder that is there already', false)
    .action(async ({ model, output, dtype, replace }) => {
      await saveModel(await load(model), output, { dtype, replace })
      print(`${output}: ${model} as ${dtype}`)
    })
}
