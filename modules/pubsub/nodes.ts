import { Shelf, StanzaError } from '#core';
import type { NodeConfig, NodeLimits } from './config.ts';
import { noSuchNode } from './errors.ts';
import { Node, type NodeStores, type StoredNode, together } from './node.ts';

/** What the nodes of all owners have in common. */
export interface NodesParts {
  readonly stores: NodeStores;
  readonly limits: NodeLimits & {
    /** Nodes that one owner may have. */
    readonly maxNodes: number;
  };
}

/** What is shown of a new node. */
export interface NewNode {
  readonly name: string;
  /** The bare JID of who makes it. */
  readonly creator: string;
  readonly config: NodeConfig;
}

/** The nodes of one owner. */
export class Nodes {
  readonly owner: string;
  readonly #parts: NodesParts;
  readonly #nodes = new Map<string, Node>();
  readonly #creating = new Map<string, Promise<Node>>();

  constructor(owner: string, parts: NodesParts) {
    this.owner = owner;
    this.#parts = parts;
  }

  static async load(owner: string, parts: NodesParts): Promise<Nodes> {
    const nodes = new Nodes(owner, parts);
    for (const [name, stored] of await parts.stores.nodes.entries(owner)) nodes.#add(name, stored);
    return nodes;
  }

  get size(): number {
    return this.#nodes.size;
  }

  /** Whether something is being changed, so that it must not be forgotten. */
  get isBusy(): boolean {
    if (this.#creating.size > 0) return true;
    for (const node of this.#nodes.values()) if (node.isBusy) return true;
    return false;
  }

  get(name: string): Node | undefined {
    return this.#nodes.get(name);
  }

  /** Throws StanzaError `item-not-found`. */
  find(name: string): Node {
    const node = this.#nodes.get(name);
    if (!node) throw noSuchNode();
    return node;
  }

  /** In the order of their names as they were read, new ones last. */
  all(): IterableIterator<Node> {
    return this.#nodes.values();
  }

  /** Makes a node. Rejects with StanzaError `conflict` when there is one of the name, `resource-constraint` when there are too many. */
  create({ name, creator, config }: NewNode): Promise<Node> {
    if (this.#nodes.has(name) || this.#creating.has(name)) throw new StanzaError('conflict');
    if (this.#nodes.size + this.#creating.size >= this.#parts.limits.maxNodes) {
      throw new StanzaError('resource-constraint', { type: 'cancel', text: 'There are too many nodes' });
    }
    const creating = this.#create(name, { creator, created: Date.now(), config });
    this.#creating.set(name, creating);
    return creating;
  }

  /** The node of this name that is there or is being made, or else a new one. Rejects as `create` does. */
  async obtain(wanted: NewNode): Promise<Node> {
    return this.#nodes.get(wanted.name) ?? this.#creating.get(wanted.name) ?? this.create(wanted);
  }

  /** A node that is there, or is being made. */
  async settled(name: string): Promise<Node | undefined> {
    return this.#nodes.get(name) ?? this.#creating.get(name)?.catch(() => undefined);
  }

  /** Removes a node with all of its items. Only in its turn. */
  async delete(node: Node): Promise<void> {
    await node.erase();
    if (this.#nodes.get(node.name) === node) this.#nodes.delete(node.name);
  }

  async #create(name: string, stored: StoredNode): Promise<Node> {
    try {
      const { nodes, items, members } = this.#parts.stores;
      await together([
        // Whatever a full disk may have left of one before it.
        ...[items, members].map((store) => store.remove(this.owner, name, {})),
        nodes.update(this.owner, new Map([[name, stored]])),
      ]);
      return this.#add(name, stored);
    } finally {
      this.#creating.delete(name);
    }
  }

  #add(name: string, stored: StoredNode): Node {
    const node = new Node(this.owner, name, stored, this.#parts);
    this.#nodes.set(name, node);
    return node;
  }
}

/** Nodes kept in memory of all owners together. */
const CACHED = 100_000;

/** The nodes of all owners, of which those used lately are in memory. */
export class Library {
  readonly #shelf: Shelf<Nodes>;

  constructor(parts: NodesParts) {
    this.#shelf = new Shelf(CACHED, (owner) => Nodes.load(owner, parts));
  }

  /** At once when they are in memory. */
  of(owner: string): Nodes | Promise<Nodes> {
    return this.#shelf.get(owner);
  }

  /** Takes note that there are more nodes. */
  weigh(nodes: Nodes): void {
    this.#shelf.weigh(nodes.owner, nodes);
  }

  /** Forgets an owner who is gone. */
  drop(owner: string): void {
    void this.#shelf.drop(owner);
  }
}
