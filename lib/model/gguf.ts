export { type GgufMetadata, type GgufValue, readGgufMetadata } from './ggufHeader'
