// danfojs-node asks for @tensorflow/tfjs-node. One process must hold one engine: hand it the one that the project uses.
module.exports = require('@tensorflow/tfjs-node-gpu')
