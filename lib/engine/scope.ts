import type { Tensor } from './tensorflow'

/**
 * Owns tensors across `await`, where `tf.tidy` cannot. `keep` takes ownership, `release` frees one early, `give` hands one
 * out to the caller, `end` frees the rest; call `end` in a `finally`, so that an interrupt or an error leaks nothing.
 */
export class Scope {
  private readonly owned = new Set<Tensor>()

  keep<T extends Tensor>(tensor: T): T {
    this.owned.add(tensor)
    return tensor
  }

  release(...tensors: Tensor[]): void {
    for (const tensor of tensors) {
      if (this.owned.delete(tensor)) tensor.dispose()
    }
  }

  give<T extends Tensor>(tensor: T): T {
    this.owned.delete(tensor)
    return tensor
  }

  end(): void {
    for (const tensor of this.owned) tensor.dispose()
    this.owned.clear()
  }
}
