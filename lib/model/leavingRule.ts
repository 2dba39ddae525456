/**
 * Says when sequences that are complete leave a batch that is being decoded. To leave, all others are copied, and a copy takes about as
 * long as a step of them: so they stay until the steps that they took for nothing have cost as much.
 */
export class LeavingRule {
  private wasted = 0

  /** Asked before each step, with how many of the batch's sequences are complete and how many go on; true: copy those that go on now. */
  isDue(complete: number, going: number): boolean {
    this.wasted += complete
    if (this.wasted < going) return false
    this.wasted = 0
    return true
  }
}
