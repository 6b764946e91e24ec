import { type FormField, type Jid, writeForm } from '#core';
import type { Command, Result, Stage } from '../commands/index.ts';
import { describeReport } from './report.ts';
import type { Kept, Reports } from './reports.ts';

const NODE = 'parlance:reports:1#list';
/** Reports on a page. */
const PAGE = 50;

/** The command at the host by which those who administer it see what users have reported (XEP-0050), page by page. */
export function reportCommand(reports: Reports, domain: string, isAdmin: (jid: Jid) => boolean): Command {
  return {
    node: NODE,
    name: 'List Reports of Spam and Abuse',
    isAllowed: isAdmin,
    start: () => showPage(undefined),
  };

  async function showPage(before: string | undefined): Promise<Stage | Result> {
    // One more, to know whether there are more.
    const found = await reports.page(before, PAGE + 1);
    const shown = found.slice(0, PAGE);
    const fields = [listing(shown)];
    const heading = { title: 'Reports' };
    const last = shown.at(-1);
    if (found.length <= PAGE || !last) {
      return { form: writeForm('result', NODE, fields, heading), text: shown.length === 0 ? 'There are none.' : '' };
    }
    return {
      form: writeForm('form', NODE, fields, { ...heading, instructions: 'There are more: go on for older ones.' }),
      next: () => showPage(last[0]),
    };
  }

  function listing(shown: readonly Kept[]): FormField {
    const lines = shown.map(([, report]) => {
      const line = describeReport(report, true);
      return report.place === domain ? line : `${report.place}: ${line}`;
    });
    return { name: 'reports', type: 'text-multi', label: 'Newest first', values: lines };
  }
}
