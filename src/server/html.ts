/** Text that is HTML already. */
export interface Html {
  readonly html: string;
}

type Value = Html | string | number | readonly Html[];

/** A template whose values are text unless they are Html: what is text is escaped. */
export function html(parts: TemplateStringsArray, ...values: readonly Value[]): Html {
  const text = parts.map((part, i) => {
    const value = values[i];
    return value === undefined ? part : part + markup(value);
  });
  return { html: text.join('') };
}

export const NOTHING: Html = { html: '' };

/** Text in which backticks set code apart. */
export function prose(text: string): Html {
  const parts = text.split('`').map((part, i) => (i % 2 === 1 ? html`<code>${part}</code>` : html`${part}`));
  return html`${parts}`;
}

function markup(value: Value): string {
  if (typeof value === 'string' || typeof value === 'number') return escaped(String(value));
  return 'html' in value ? value.html : value.map((one) => one.html).join('');
}

const ENTITIES: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
};

/** Safe as text and within either kind of quotes. */
export function escaped(text: string): string {
  return text.replaceAll(/[&<>"']/g, (c) => ENTITIES[c] ?? '');
}
