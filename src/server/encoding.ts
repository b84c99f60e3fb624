/** Whether a client takes gzip (RFC 9110, 12.5.3). */
export function takesGzip(accepted: string | string[] | undefined): boolean {
  const codings = String(accepted ?? '')
    .toLowerCase()
    .split(',');
  const quality = (name: string) => {
    const found = codings.map((text) => text.trim().split(/\s*;\s*/)).find(([coding]) => coding === name);
    if (found === undefined) return null;
    const q = found.slice(1).find((text) => text.startsWith('q='));
    return q === undefined ? 1 : Number(q.slice(2));
  };
  return (quality('gzip') ?? quality('x-gzip') ?? quality('*') ?? 0) > 0;
}
