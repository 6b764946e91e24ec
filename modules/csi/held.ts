import type { C2sStream, Stanza } from '#core';

/** What one client is spared for now. */
export class Held {
  /** The stream over which its client said that it is inactive; undefined when only its line is broken. */
  readonly stream: C2sStream | undefined;
  #stanzas = new Map<string, Stanza>();
  #bytes = 0;

  constructor(stream: C2sStream | undefined) {
    this.stream = stream;
  }

  get count(): number {
    return this.#stanzas.size;
  }

  /** About how many bytes they have. */
  get bytes(): number {
    return this.#bytes;
  }

  /** Holds a stanza, in place of what was held under this key: the order is that of the last change. */
  add(key: string, stanza: Stanza): void {
    const before = this.#stanzas.get(key);
    if (before) {
      this.#stanzas.delete(key);
      this.#bytes -= before.size;
    }
    this.#stanzas.set(key, stanza);
    this.#bytes += stanza.size;
  }

  /** All that is held, in order; nothing is held any more. */
  take(): readonly Stanza[] {
    const stanzas = [...this.#stanzas.values()];
    this.#stanzas.clear();
    this.#bytes = 0;
    return stanzas;
  }
}
