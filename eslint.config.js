// How the report's scripts are linted: `npm ci && npm run lint`.
import js from "@eslint/js";

// What the scripts use of the browser; anything else is probably a slip.
const BROWSER = [
  "Blob", "CustomEvent", "IntersectionObserver", "URL", "addEventListener", "clearTimeout",
  "devicePixelRatio", "document", "getComputedStyle", "getSelection",
  "matchMedia", "navigator", "setTimeout",
];

export default [
  js.configs.recommended,
  {
    languageOptions: { globals: Object.fromEntries(BROWSER.map((name) => [name, "readonly"])) },
    linterOptions: { reportUnusedDisableDirectives: "error" },
    rules: { eqeqeq: "error", "no-var": "error", "prefer-const": "error" },
  },
];
