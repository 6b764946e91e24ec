import assert from 'node:assert/strict';
import { readForm, writeForm } from '../../../src/stanza/forms.ts';
import { readElement } from '../../../src/xml/text.ts';

const form = (inner: string) => readElement(`<x xmlns='jabber:x:data' type='submit'>${inner}</x>`);

describe('forms', () => {
  it('are written with title, instructions, FORM_TYPE and fields (XEP-0004 section 3.1, XEP-0068)', () => {
    const fields = [
      { name: 'text', type: 'text-multi', label: 'Text', values: ['1', '2'], isRequired: true },
      { name: 'empty' },
    ] as const;
    const element = writeForm('form', 'urn:form', fields, { title: 'T', instructions: 'I' });
    assert.deepEqual(element.getChildElements().map(String), [
      '<title>T</title>',
      '<instructions>I</instructions>',
      '<field var="FORM_TYPE" type="hidden"><value>urn:form</value></field>',
      '<field var="text" type="text-multi" label="Text"><required/><value>1</value><value>2</value></field>',
      '<field var="empty"/>',
    ]);
    assert.deepEqual([element.getNS(), element.attrs['type']], ['jabber:x:data', 'form']);
  });

  it('are read as they were written', () => {
    const values = readForm(writeForm('result', 'urn:form', [{ name: 'a', values: ['1', '2'] }]));
    assert.deepEqual(
      [...values],
      [
        ['FORM_TYPE', ['urn:form']],
        ['a', ['1', '2']],
      ],
    );
  });

  for (const [what, inner, wanted] of [
    ['nothing', '', []],
    ['a field without a name', '<field><value>1</value></field>', []],
    ['a field without a value', "<field var='a'/>", [['a', []]]],
    ['a field twice', "<field var='a'><value>1</value></field><field var='a'><value>2</value></field>", [['a', ['1']]]],
    ['names of the language', "<field var='__proto__'><value>1</value></field>", [['__proto__', ['1']]]],
    ['fields of another namespace', "<field xmlns='urn:x' var='a'><value>1</value></field>", []],
  ] as const) {
    it(`are read with ${what}`, () => assert.deepEqual([...readForm(form(inner))], wanted));
  }
});
