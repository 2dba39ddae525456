// One process of plan.ts, on the compiled library as users run it: `baseline`, `plan CONFIG` or `train CONFIG FOLDER`. Prints one JSON line.
const { readFileSync } = require('node:fs')
const { memory, parseConfig, randomModel, train, trainingPlan } = require('reasoning-rhythm')

const [what, file, folder] = process.argv.slice(2)
const config = file && parseConfig(JSON.parse(readFileSync(file, 'utf8')))
const tiny = {
  hiddenSize: 8,
  intermediateSize: 8,
  numHiddenLayers: 1,
  numAttentionHeads: 1,
  numKeyValueHeads: 1,
  headDim: 8,
}
const works = {
  /** All modules and TensorFlow are loaded, and ops have run. */
  baseline: async () => {
    await randomModel({ ...tiny, vocabSize: 8, tieWordEmbeddings: true })
    return { bytes: memory().residentBytes }
  },
  plan: () => trainingPlan(config),
  train: async () => {
    const { metrics } = await train(config, { run: folder })
    return { metrics, bytes: process.resourceUsage().maxRSS * 1024 }
  },
}
works[what]().then((result) => process.stdout.write(`${JSON.stringify(result)}\n`))
