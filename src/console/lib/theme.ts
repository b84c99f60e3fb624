/** Dark or light: as the system has it, until somebody chooses. */

export type Theme = 'dark' | 'light';

const KEY = 'lemma-theme';

export function applyTheme(): Theme {
  const chosen = localStorage.getItem(KEY);
  const theme =
    chosen === 'dark' || chosen === 'light'
      ? chosen
      : matchMedia('(prefers-color-scheme: light)').matches
        ? 'light'
        : 'dark';
  document.documentElement.dataset.theme = theme;
  return theme;
}

export function chooseTheme(theme: Theme): void {
  localStorage.setItem(KEY, theme);
  applyTheme();
}
