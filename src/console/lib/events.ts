const STATUS_VERBS: Readonly<Record<string, string>> = { inactive: 'contain', active: 'resume' };

/** What somebody did, as its button says it. Members are of an event as it was stored, or as the API shows it. */
export function verbOf(type: string, { action, status }: { action?: unknown; status?: unknown }): string {
  if (typeof action === 'string') return action.replaceAll('_', ' ');
  return (type === 'status' ? STATUS_VERBS[String(status)] : undefined) ?? type.replaceAll('_', ' ');
}
