// Sets the theme before the first paint. A plain script, since a module would run after it.
(() => {
  const KEY = "prescale.theme";
  let stored = null;
  try {
    stored = localStorage.getItem(KEY);
  } catch {
    stored = null;
  }
  const system = matchMedia("(prefers-color-scheme: dark)");
  const current = () => stored ?? (system.matches ? "dark" : "light");
  const apply = () => {
    document.documentElement.dataset.theme = current();
    document.dispatchEvent(new CustomEvent("themechange"));
  };
  system.addEventListener("change", apply);
  window.prescaleTheme = {
    current,
    toggle() {
      const next = current() === "dark" ? "light" : "dark";
      stored = next === (system.matches ? "dark" : "light") ? null : next;
      try {
        if (stored === null) localStorage.removeItem(KEY);
        else localStorage.setItem(KEY, stored);
      } catch {
        // Without storage the choice lasts as long as the page.
      }
      apply();
    },
  };
  apply();
})();
