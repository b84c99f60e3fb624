import type { ComponentChildren } from 'preact';
import { useDoing } from '../lib/query.ts';
import { Button } from './button.tsx';
import { Dialog } from './dialog.tsx';
import { Problem } from './states.tsx';
import { toast } from './toasts.tsx';

export interface ConfirmProps {
  readonly title: string;
  readonly act: string;
  readonly done: string;
  readonly onClose: () => void;
  readonly run: () => Promise<unknown>;
  /** What may be undone is no danger. */
  readonly danger?: boolean;
  /** Something that is asked for is still missing. */
  readonly incomplete?: boolean;
  readonly children: ComponentChildren;
}

/** Before something that others will notice. */
export function Confirm({
  title,
  act,
  done,
  onClose,
  run,
  danger = true,
  incomplete = false,
  children,
}: ConfirmProps) {
  const doing = useDoing();
  const submit = async () => {
    if (!(await doing.run(async () => void (await run())))) return;
    toast(done);
    onClose();
  };
  return (
    <Dialog
      title={title}
      onClose={onClose}
      onSubmit={() => void submit()}
      foot={
        <>
          <Button onClick={onClose}>Cancel</Button>
          <Button
            kind={danger ? 'danger solid' : 'primary'}
            type="submit"
            disabled={doing.busy || incomplete}
            autofocus
          >
            {act}
          </Button>
        </>
      }
    >
      {children}
      <Problem error={doing.error} />
    </Dialog>
  );
}
