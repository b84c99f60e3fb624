/** Who acts, from the signed chain only. */
export interface Actor {
  readonly subject: string;
  readonly runtime_id: string;
  readonly agent_id: string;
  readonly workspace_id: string;
  readonly run_id: string | null;
  readonly scope: readonly string[];
}
