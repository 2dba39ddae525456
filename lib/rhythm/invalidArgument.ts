/** An argument or option that a function of this library cannot use; the message names it, what was expected and what to do. */
export class InvalidArgument extends Error {
  constructor(message: string) {
    super(message)
    this.name = 'InvalidArgument'
  }
}
