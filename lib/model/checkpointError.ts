/** A checkpoint file that cannot be used: unreadable, malformed, or holding what this project does not support. */
export class CheckpointError extends Error {
  constructor(message: string, options?: ErrorOptions) {
    super(message, options)
    this.name = 'CheckpointError'
  }
}

/** A string from a file, shortened and with control characters escaped, so that a message stays readable. */
export function quoted(text: string): string {
  return JSON.stringify(text.length > 80 ? `${text.slice(0, 77)}...` : text)
}
