import { type Element, xml } from '../xml/element.ts';

/** The namespace of data forms (XEP-0004). */
export const NS_DATA = 'jabber:x:data';

/** The kinds of field of XEP-0004 section 3.3. */
export type FieldType =
  | 'boolean'
  | 'fixed'
  | 'hidden'
  | 'jid-multi'
  | 'jid-single'
  | 'list-multi'
  | 'list-single'
  | 'text-multi'
  | 'text-private'
  | 'text-single';

/** One field of a data form. */
export interface FormField {
  readonly name: string;
  readonly type?: FieldType;
  readonly label?: string;
  /** Its value; several for the -multi kinds, where a text has one for each line. */
  readonly values?: readonly string[];
  readonly isRequired?: boolean;
  /** What can be chosen from (section 3.2). */
  readonly options?: readonly { readonly value: string; readonly label?: string }[];
}

/** What stands above a form. */
export interface FormHeading {
  readonly title?: string;
  readonly instructions?: string;
}

/** A data form (XEP-0004): to be filled in, or a result. `formType` says what its fields mean (XEP-0068). */
export function writeForm(
  type: 'form' | 'result',
  formType: string,
  fields: readonly FormField[],
  heading: FormHeading = {},
): Element {
  return xml(
    'x',
    { xmlns: NS_DATA, type },
    heading.title === undefined ? undefined : xml('title', {}, heading.title),
    heading.instructions === undefined ? undefined : xml('instructions', {}, heading.instructions),
    xml('field', { var: 'FORM_TYPE', type: 'hidden' }, xml('value', {}, formType)),
    ...fields.map(writeField),
  );
}

function writeField({ name, type, label, values = [], isRequired, options = [] }: FormField): Element {
  return xml(
    'field',
    { var: name, type, label },
    isRequired ? xml('required') : undefined,
    ...values.map((value) => xml('value', {}, value)),
    ...options.map(({ value, label: text }) => xml('option', { label: text }, xml('value', {}, value))),
  );
}

/** The values of a form by field, as they were written; of fields of one name the first. FORM_TYPE is among them. */
export function readForm(form: Element): ReadonlyMap<string, readonly string[]> {
  const values = new Map<string, readonly string[]>();
  for (const field of form.getChildren('field', NS_DATA)) {
    const name: unknown = field.attrs['var'];
    if (typeof name !== 'string' || values.has(name)) continue;
    values.set(
      name,
      field.getChildren('value', NS_DATA).map((value) => value.getText()),
    );
  }
  return values;
}
