import type { Element, Jid, Maybe } from '#core';

/** What was filled into a command's form: values by field. */
export type Answers = ReadonlyMap<string, readonly string[]>;

/** How a command ends: what the user is told, or a form of type `result`, or both. */
export type Result = { readonly text: string; readonly form?: undefined } | { readonly form: Element; readonly text?: string };

/** One form of several: what is to be filled in, and what comes of it. */
export interface Stage {
  /** Asked for whenever the stage is shown: also to those who have come back to it. */
  readonly form: Element;
  /** Nothing comes after it but the result: clients offer to complete instead of to go on. */
  readonly isLast?: boolean;
  /**
   * Goes on. What it throws as a StanzaError refuses the answers, and they can be mended; it may be called again after `prev`. Who knows a
   * first form may answer it before it is shown: what it would have offered need not be what is answered.
   */
  next(answers: Answers): Maybe<Stage | Result>;
}

interface Offer<P> {
  /** Names it: unique at its desk. */
  readonly node: string;
  /** What clients show. */
  readonly name: string;
  /** Asked at every step, since the answer may change while a form is filled in. */
  isAllowed(from: Jid, place: P): Maybe<boolean>;
}

/** A command with at most one form. */
export interface FormCommand<P> extends Offer<P> {
  readonly start?: undefined;
  /** What is to be filled in first; without it the command runs at once. */
  form?(from: Jid, place: P): Maybe<Element>;
  /** Does it. Returns what the user is told, and throws StanzaError to refuse the answers. */
  run(answers: Answers, from: Jid, place: P): Maybe<string | Result>;
}

/** A command with as many forms as it takes. */
export interface StagedCommand<P> extends Offer<P> {
  readonly form?: undefined;
  readonly run?: undefined;
  /** The first stage; or the result at once, where nothing has to be filled in. */
  start(from: Jid, place: P): Maybe<Stage | Result>;
}

/** What can be run at a place of this kind; at the host itself, where the module says nothing else. */
export type Command<P = void> = FormCommand<P> | StagedCommand<P>;
