// profanity, a client for the terminal, run in tmux: keys go in, and what stands on the screen comes out.
import { execFile } from 'node:child_process';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { bare, type Login, type Peer } from './peer.ts';

const run = promisify(execFile);
const PATIENCE = 30_000;
const LOOK_EVERY = 200;

/** One profanity in a tmux server of its own. */
export class ProfanityPeer implements Peer {
  readonly #commands: readonly string[];
  #home = '';

  /** With commands that are given before it connects. */
  constructor(commands: readonly string[] = []) {
    this.#commands = commands;
  }

  async start(login: Login): Promise<void> {
    this.#home = await mkdtemp(join(tmpdir(), 'profanity-'));
    const settings = '[ui]\nsplash=false\nrosterfirst=false\n\n[notifications]\nmessage=false\n\n[logging]\nchlog=false\n';
    await mkdir(join(this.#home, '.config', 'profanity'), { recursive: true });
    await writeFile(join(this.#home, '.config', 'profanity', 'profrc'), settings);
    const env = [
      `HOME=${this.#home}`,
      `XDG_CONFIG_HOME=${this.#home}/.config`,
      `XDG_DATA_HOME=${this.#home}/.local`,
      'TERM=screen-256color',
      'LC_ALL=C.UTF-8',
    ];
    await this.#tmux('new-session', '-d', '-x', '200', '-y', '60', 'env', ...env, 'profanity');
    await this.shows(/Profanity/);
    for (const command of this.#commands) await this.type(command);
    await this.type(`/connect ${login.username}@${login.domain} server 127.0.0.1 port ${login.c2s} tls trust`);
    await this.shows(/[Ee]nter password/);
    await this.type(login.password);
    await this.shows(/logged in successfully/);
  }

  sees(jid: string): Promise<void> {
    return this.shows(new RegExp(`${jid.split('@')[0]}.*is (online|available)|${jid.split('@')[0]}@localhost`));
  }

  async send(to: string, body: string): Promise<void> {
    await this.type(`/msg ${to} ${body}`);
    await this.type('/win 1');
  }

  /** It shows whom a message is from, and its text in that person's window. */
  async got(from: string, body: string): Promise<void> {
    await this.conversation(from, body);
  }

  /** What stands in somebody's window once this text does: who has said what (it calls its user "me"). */
  async conversation(from: string, body: string): Promise<readonly string[]> {
    const deadline = Date.now() + PATIENCE;
    for (;;) {
      await this.type(`/msg ${from}`);
      await new Promise((resolve) => setTimeout(resolve, LOOK_EVERY));
      const screen = await this.look();
      if (screen.includes(body)) {
        await this.type('/win 1');
        return [...screen.matchAll(/^\S+ - (me|\S+@\S+): (.*)$/gm)].map(([, who, text]) => `${bare(who!)} ${text!.trim()}`);
      }
      if (Date.now() > deadline) throw new Error(`profanity does not show "${body}":\n${screen}`);
    }
  }

  /** Resolves when it says that it is connected again. */
  async isBack(): Promise<void> {
    await this.shows(/Connection re-established/);
  }

  async stop(): Promise<void> {
    if (this.#home === '') return;
    await this.type('/quit').catch(() => {});
    await this.#tmux('kill-server').catch(() => {});
    await rm(this.#home, { recursive: true, force: true });
  }

  /** Types a line. */
  async type(text: string): Promise<void> {
    await this.#tmux('send-keys', '-l', text);
    await this.#tmux('send-keys', 'Enter');
  }

  /** What stands on the screen, and what has moved off it at the top. */
  async look(): Promise<string> {
    return (await this.#tmux('capture-pane', '-p', '-S', '-200')).stdout;
  }

  /** Resolves when this stands on the screen. */
  async shows(pattern: RegExp): Promise<void> {
    const deadline = Date.now() + PATIENCE;
    for (;;) {
      const screen = await this.look();
      if (pattern.test(screen)) return;
      if (Date.now() > deadline) throw new Error(`profanity does not show ${pattern}:\n${screen}`);
      await new Promise((resolve) => setTimeout(resolve, LOOK_EVERY));
    }
  }

  #tmux(...args: readonly string[]): Promise<{ stdout: string }> {
    return run('tmux', ['-S', join(this.#home, 'tmux'), '-f', '/dev/null', ...args]);
  }
}
