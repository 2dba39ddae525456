export type { ModelConfig } from './model/config'
