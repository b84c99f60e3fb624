import { useState } from 'preact/hooks';
import { applyTheme, chooseTheme } from '../lib/theme.ts';
import { Button } from './button.tsx';

/** Dark where it is light, and the other way about. */
export function ThemeButton() {
  const [theme, setTheme] = useState(applyTheme);
  const other = theme === 'dark' ? 'light' : 'dark';
  return (
    <Button
      kind="quiet"
      icon={theme === 'dark' ? 'sun' : 'moon'}
      label={`Use ${other} colours`}
      onClick={() => {
        chooseTheme(other);
        setTheme(other);
      }}
    />
  );
}
