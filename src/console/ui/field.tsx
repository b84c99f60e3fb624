import type { ComponentChildren } from 'preact';
import { useId } from 'preact/hooks';

interface FieldProps {
  readonly label: string;
  readonly hint?: ComponentChildren;
  readonly problem?: string | null;
}

export interface TextFieldProps extends FieldProps {
  readonly value: string;
  readonly onInput: (value: string) => void;
  readonly type?: 'text' | 'password' | 'search' | 'number' | 'datetime-local';
  readonly placeholder?: string;
  readonly mono?: boolean;
  readonly multiline?: boolean;
  readonly required?: boolean;
  readonly maxLength?: number;
  readonly autofocus?: boolean;
}

export function TextField({
  label,
  hint,
  problem = null,
  value,
  onInput,
  type = 'text',
  mono = false,
  multiline = false,
  autofocus = false,
  ...rest
}: TextFieldProps) {
  const id = useId();
  const common = {
    id,
    value,
    class: `input ${mono ? 'mono' : ''}`,
    autocomplete: 'off',
    spellcheck: false,
    'aria-invalid': problem === null ? undefined : true,
    'aria-describedby': hint === undefined && problem === null ? undefined : `${id}-about`,
    'data-autofocus': autofocus ? '' : undefined,
    onInput: (event: { readonly currentTarget: { readonly value: string } }) =>
      onInput(event.currentTarget.value),
    ...rest,
  };
  return (
    <Labelled id={id} label={label} hint={hint} problem={problem}>
      {multiline ? <textarea rows={4} {...common} /> : <input type={type} {...common} />}
    </Labelled>
  );
}

export interface SelectFieldProps<T extends string> extends FieldProps {
  readonly value: T;
  readonly options: readonly (readonly [value: T, text: string])[];
  readonly onChange: (value: T) => void;
}

export function SelectField<T extends string>({
  label,
  hint,
  problem = null,
  value,
  options,
  onChange,
}: SelectFieldProps<T>) {
  const id = useId();
  return (
    <Labelled id={id} label={label} hint={hint} problem={problem}>
      <select
        id={id}
        class="input"
        value={value}
        aria-describedby={hint === undefined && problem === null ? undefined : `${id}-about`}
        onChange={(event) => onChange(event.currentTarget.value as T)}
      >
        {options.map(([one, text]) => (
          <option key={one} value={one}>
            {text}
          </option>
        ))}
      </select>
    </Labelled>
  );
}

export interface CheckFieldProps {
  readonly label: ComponentChildren;
  readonly checked: boolean;
  readonly onChange: (checked: boolean) => void;
}

export function CheckField({ label, checked, onChange }: CheckFieldProps) {
  return (
    <label class="check">
      <input type="checkbox" checked={checked} onChange={(event) => onChange(event.currentTarget.checked)} />
      <span>{label}</span>
    </label>
  );
}

function Labelled({
  id,
  label,
  hint,
  problem,
  children,
}: FieldProps & { readonly id: string; readonly children: ComponentChildren }) {
  return (
    <div class="field">
      <label for={id}>{label}</label>
      {children}
      {problem !== null && problem !== undefined ? (
        <span class="problem" id={`${id}-about`}>
          {problem}
        </span>
      ) : hint === undefined ? null : (
        <span class="hint" id={`${id}-about`}>
          {hint}
        </span>
      )}
    </div>
  );
}
